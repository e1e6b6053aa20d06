//! Who the peer is, and what both ends agreed on.

use super::{
    Fixture,
    shaken::{Node, Shaken, shake},
};
use crate::{
    duplex::{DuplexConfig, duplex},
    harness::{During, Outcome, broken, ensure},
};
use skep_api::security::SecurityErrorKind;

/// S1. Each end learns the peer id of the other, and an expected peer that answers is let in.
pub async fn s1_each_end_learns_who_the_other_is(fixture: Fixture) -> Outcome {
    for expects in [false, true] {
        let (mut dialer, listener) = (Node::new(&fixture), Node::new(&fixture));
        dialer.expects = expects.then_some(listener.id);
        let shaken = shake(&dialer, &listener, duplex(DuplexConfig::default())).await;
        let at_dialer = shaken.dialer.during("the dialler's handshake")?;
        let at_listener = shaken.listener.during("the listener's handshake")?;
        let seen = (at_dialer.verified().peer(), at_listener.verified().peer());
        ensure!(
            seen == (listener.id, dialer.id),
            "{seen:?} were seen, expected {:?}",
            (listener.id, dialer.id)
        );
        let key = at_dialer.verified().key().to_peer_id();
        ensure!(key == listener.id, "the key is that of {key}, not of {}", listener.id);
    }
    Ok(())
}

/// S2. When the dialler expected another peer, it says so, and the listener fails too.
pub async fn s2_another_peer_fails_at_both_ends(fixture: Fixture) -> Outcome {
    let (mut dialer, listener) = (Node::new(&fixture), Node::new(&fixture));
    dialer.expects = Some(Node::new(&fixture).id);
    let Shaken { dialer, listener } = shake(&dialer, &listener, duplex(DuplexConfig::default())).await;
    match dialer {
        Ok(_) => return broken("the dialler took another peer than it expected"),
        Err(e) if e.kind() == SecurityErrorKind::WrongPeer => {}
        Err(e) => return broken(format!("the dialler failed with {:?}, not as WrongPeer: {e}", e.kind())),
    }
    ensure!(listener.is_err(), "the listener has a connection with a dialler that wants somebody else");
    Ok(())
}

/// Both ends name the same muxer or none, and it is the one that the dialler likes best of those in common.
pub async fn early_muxer_is_the_same_at_both_ends(fixture: Fixture) -> Outcome {
    let cases = [
        (["/one", "/two"].as_slice(), ["/two", "/one"].as_slice(), Some("/one")),
        (&["/one", "/two"], &["/two"], Some("/two")),
        (&["/one"], &["/two"], None),
        (&["/one"], &[], None),
    ];
    for (ours, theirs, best) in cases {
        let (mut dialer, mut listener) = (Node::new(&fixture), Node::new(&fixture));
        dialer.muxers = ours.iter().map(ToString::to_string).collect();
        listener.muxers = theirs.iter().map(ToString::to_string).collect();
        let shaken = shake(&dialer, &listener, duplex(DuplexConfig::default())).await;
        let at_dialer = shaken.dialer.during("the dialler's handshake")?;
        let at_listener = shaken.listener.during("the listener's handshake")?;
        let agreed = (at_dialer.early_muxer(), at_listener.early_muxer());
        let fine = agreed == (None, None) || agreed == (best, best);
        ensure!(
            fine,
            "of {ours:?} and {theirs:?} the ends took {agreed:?}, expected {best:?} or none at both"
        );
    }
    Ok(())
}
