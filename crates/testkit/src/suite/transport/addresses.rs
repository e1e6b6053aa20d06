//! Which addresses a transport takes, and which it reports.

use super::{Fixture, connected::Bound};
use crate::harness::{Broken, During, Outcome, broken, ensure};
use skep_api::{
    Multiaddr, PeerId,
    multiaddr::Protocol,
    security::{SecurityError, SecurityErrorKind},
    transport::{Link, TransportError, TransportErrorKind},
};
use std::error::Error as _;

/// Addresses of many forms; no transport serves all of them. They lead nowhere beyond this host.
const FORMS: [&str; 10] = [
    "/ip4/127.0.0.1/tcp/9",
    "/ip4/127.0.0.1/tcp/9/ws",
    "/ip4/127.0.0.1/tcp/9/tls/ws",
    "/ip4/127.0.0.1/udp/9",
    "/ip4/127.0.0.1/udp/9/quic-v1",
    "/ip4/127.0.0.1/udp/9/webrtc-direct",
    "/ip4/127.0.0.1",
    "/unix/%2Ftmp%2Fskep-testkit",
    "/memory/18446744073709551615",
    "/p2p-circuit",
];

/// T1. `supports` says the same each time, and `dial` and `listen` refuse as unsupported what it denies.
pub async fn t1_supports_agrees_with_dial_and_listen(fixture: Fixture) -> Outcome {
    let bound = Bound::new(&fixture).await?;
    for addr in [&fixture.listen, &bound.addr] {
        let answers = [bound.transport.supports(addr), bound.transport.supports(addr)];
        ensure!(answers == [true, true], "it listens on {addr}, and `supports` says {answers:?}");
    }
    let forms = FORMS.map(|form| form.parse::<Multiaddr>().map_err(|e| Broken(format!("{form}: {e}"))));
    let mut foreign = 0_usize;
    for form in forms {
        let form = form?;
        if bound.transport.supports(&form) {
            continue;
        }
        foreign = foreign.saturating_add(1);
        unsupported("dial", &form, bound.transport.dial(&form).await.err())?;
        unsupported("listen", &form, bound.transport.listen(&form).await.err())?;
    }
    ensure!(foreign > 0, "`supports` is true for every form of address");
    Ok(())
}

fn unsupported(step: &str, addr: &Multiaddr, error: Option<TransportError>) -> Outcome {
    match error {
        Some(e) if e.kind() == TransportErrorKind::Unsupported => Ok(()),
        Some(e) => broken(format!("{step} of {addr}, which is not supported, says {:?}: {e}", e.kind())),
        None => broken(format!("{step} of {addr} succeeds, and `supports` is false")),
    }
}

/// T2. A link's remote is the address dialled, and its local end is the remote of the other side.
pub async fn t2_a_link_names_both_ends(fixture: Fixture) -> Outcome {
    let mut bound = Bound::new(&fixture).await?;
    let dial = bound.dial();
    let incoming = bound.listener.accept().await.during("accept")?;
    let (remote, local) = (incoming.remote_addr().clone(), incoming.local_addr().clone());
    let accepted = incoming.accept().await.during("take the connection")?;
    let dialed = dial.await.during("dial")?.during("dial")?;
    ensure!(*dialed.remote() == bound.addr, "dialled {}, the link says {}", bound.addr, dialed.remote());
    ensure!(*dialed.local() == remote, "the dialler is {}, the listener sees {remote}", dialed.local());
    ensure!(local == bound.addr, "{} was dialled, and `local_addr` is {local}", bound.addr);
    let ends = [accepted.local(), accepted.remote()];
    ensure!(ends == [&local, &remote], "accepting changed the ends: {local} and {remote} to {ends:?}");
    Ok(())
}

/// T4. The addresses of a listener have a port, a host and no peer id, and each can be dialled.
pub async fn t4_port_zero_is_resolved(fixture: Fixture) -> Outcome {
    let mut bound = Bound::new(&fixture).await?;
    for addr in bound.listener.local_addrs() {
        for part in &addr {
            let open = match &part {
                Protocol::Tcp(port) | Protocol::Udp(port) => *port == 0,
                Protocol::Memory(port) => *port == 0,
                Protocol::Ip4(host) => host.is_unspecified(),
                Protocol::Ip6(host) => host.is_unspecified(),
                Protocol::P2p(_) => true,
                _ => false,
            };
            ensure!(!open, "`local_addrs` has {addr}, and {part} cannot be dialled");
        }
        ensure!(bound.transport.supports(&addr), "`local_addrs` has {addr}, which is not supported");
        bound.addr = addr;
        bound.connect().await?;
    }
    Ok(())
}

/// T5. A dial that fails says which address, and has the system's error as its source where there is a system.
pub async fn t5_a_failure_names_the_address(fixture: Fixture) -> Outcome {
    // Another test may take the port that was just freed; not three times in a row.
    for _ in 0..3 {
        let Bound { transport, listener, addr } = Bound::new(&fixture).await?;
        drop(listener);
        let Err(error) = transport.dial(&addr).await else { continue };
        ensure!(error.to_string().contains(&addr.to_string()), "the dial of {addr} failed with: {error}");
        ensure!(error.kind() != TransportErrorKind::Unsupported, "{addr} was served and is now unsupported");
        let on_a_socket = addr.iter().any(|part| matches!(part, Protocol::Ip4(_) | Protocol::Ip6(_)));
        ensure!(!on_a_socket || error.source().is_some(), "the error has no source: {error}");
        return Ok(());
    }
    broken("dials succeed although nobody listens")
}

/// T6. A trailing `/p2p/…` is accepted and does not show up in the ends of the link. Raw links ignore it; a link that
/// comes secured is made with the peer named, and with no other.
pub async fn t6_a_peer_suffix_is_ignored_by_raw_links_alone(fixture: Fixture) -> Outcome {
    let mut bound = Bound::new(&fixture).await?;
    let plain = bound.addr.clone();
    let mut peer = PeerId::random();
    if bound.transport.capabilities().muxed {
        bound.addr = plain.clone().with(Protocol::P2p(peer));
        another_peer_fails(&mut bound).await?;
        bound.addr = plain.clone();
        let (dialed, _accepted) = bound.connect().await?;
        let Link::Muxed(link) = dialed else {
            return broken("a link that `capabilities` calls muxed is not");
        };
        peer = link.muxed.verified().peer();
    }
    bound.addr = plain.clone().with(Protocol::P2p(peer));
    ensure!(bound.transport.supports(&bound.addr), "{} is not supported, and {plain} is", bound.addr);
    let (dialed, _accepted) = bound.connect().await?;
    ensure!(*dialed.remote() == plain, "the link's remote is {}, expected {plain}", dialed.remote());
    Ok(())
}

/// The address names a peer that does not listen there: both ends fail, the dialler with the verifier's verdict.
async fn another_peer_fails(bound: &mut Bound) -> Outcome {
    let dial = bound.dial();
    let incoming = bound.listener.accept().await.during("accept")?;
    if incoming.accept().await.is_ok() {
        return broken("the listener was told that the handshake is complete with a dialler that refused it");
    }
    let Err(error) = dial.await.during("the task of the dial")? else {
        return broken(format!("a dial of {} succeeded, and another peer answered", bound.addr));
    };
    let cause = error.source().and_then(|source| source.downcast_ref::<SecurityError>());
    let verdict = cause.map(SecurityError::kind);
    ensure!(
        error.kind() == TransportErrorKind::Handshake && verdict == Some(SecurityErrorKind::WrongPeer),
        "another peer answered, and the error is {:?} with the verdict {verdict:?}: {error}",
        error.kind()
    );
    Ok(())
}
