//! `chaos`: each fault does what it is called, says that it was wanted, and comes again with its seed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod inside;

use inside::{linked, memory, muxed, noise, yamux};
use skep_api::{
    BoxIo, Keypair, Multiaddr, Side,
    decorator::Decorator,
    error::chain,
    muxer::MuxerErrorKind,
    resolver::ResolveErrorKind,
    security::{Role, SecureCx, SecurityErrorKind, Verifier},
    stream::StreamError,
    transport::{Link, Transport, TransportErrorKind},
};
use skep_decorators::{INJECTED, Injected};
use skep_testkit::{DuplexConfig, duplex};
use std::{io::ErrorKind, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};

fn chaos(table: &str) -> Arc<dyn Decorator> {
    inside::decorator(&skep_decorators::chaos::PLUGIN, &format!("seed = 7\n{table}"))
}

fn around_memory(table: &str) -> Arc<dyn Transport> {
    chaos(table).transport("memory", memory()).unwrap()
}

async fn disturbed(table: &str) -> (BoxIo, BoxIo) {
    linked(&*around_memory(table), &*memory()).await
}

fn any() -> Multiaddr {
    "/memory/0".parse().unwrap()
}

/// What the dialler gets of its dials, each accepted by a plain listener.
async fn dials(transport: &dyn Transport, count: usize) -> Vec<bool> {
    let mut listening = memory().listen(&any()).await.unwrap();
    let addr = listening.local_addrs().remove(0);
    tokio::spawn(async move { while listening.accept().await.is_ok() {} });
    let mut ended = Vec::new();
    for _ in 0..count {
        ended.push(transport.dial(&addr).await.is_ok());
        // The listener has its turn, or its queue would be full at last.
        tokio::task::yield_now().await;
    }
    ended
}

#[tokio::test(start_paused = true)]
async fn the_dials_in_the_list_fail_and_no_others() {
    let transport = around_memory("fail_dials = [1, 3]");
    assert_eq!(dials(&*transport, 5).await, [false, true, false, true, true]);
}

#[tokio::test(start_paused = true)]
async fn as_many_dials_fail_as_the_percentage_says() {
    let transport = around_memory("fail_dial_percent = 25");
    let failed = dials(&*transport, 2_000).await.iter().filter(|ok| !**ok).count();
    assert!((430..570).contains(&failed), "{failed} of 2000");
}

#[tokio::test(start_paused = true)]
async fn errors_of_transports_say_that_they_were_wanted() {
    let transport = around_memory("fail_dial_percent = 100\nfail_listen_percent = 100");
    let addr: Multiaddr = "/memory/77".parse().unwrap();
    let error = transport.dial(&addr).await.unwrap_err();
    let text = "/memory/77: injected by decorator chaos at transport.memory (seed 7)";
    assert_eq!((error.kind(), error.detail()), (TransportErrorKind::Reset, text));
    let source = error.into_source().unwrap().downcast::<Injected>().unwrap();
    assert_eq!(*source, Injected { decorator: "chaos", place: "transport.memory".into(), seed: 7 });
    assert_eq!(transport.listen(&any()).await.unwrap_err().kind(), TransportErrorKind::Other);
}

#[tokio::test(start_paused = true)]
async fn inbound_connections_break_when_they_are_accepted() {
    let transport = around_memory("fail_accept_percent = 100");
    let mut listening = transport.listen(&any()).await.unwrap();
    let addr = listening.local_addrs().remove(0);
    let plain = memory();
    let (dialed, incoming) = tokio::join!(plain.dial(&addr), async { listening.accept().await.unwrap() });
    let error = incoming.accept().await.unwrap_err();
    assert!(error.detail().ends_with("injected by decorator chaos at transport.memory (seed 7)"), "{error}");
    // The dialler sees the end of it.
    if let Ok(Link::Raw(mut link)) = dialed {
        assert!(!matches!(link.io.read(&mut [0; 1]).await, Ok(1..)));
    }
    // And the listener goes on.
    let (_, incoming) = tokio::join!(plain.dial(&addr), listening.accept());
    incoming.unwrap();
}

#[tokio::test(start_paused = true)]
async fn handshakes_streams_and_lookups_fail_with_the_kinds_of_their_layers() {
    let decorator = chaos("fail_secure_percent = 100\nfail_open_percent = 100\nfail_resolve_percent = 100");
    let upgrade = decorator.security("noise", noise(Keypair::generate_ed25519())).unwrap();
    let (a, mut b) = duplex(DuplexConfig::default());
    let cx = SecureCx::new(Role::Dialer, Verifier::new(None), Vec::new());
    let error = upgrade.secure(a, cx).await.unwrap_err();
    let text = "outbound: injected by decorator chaos at security.noise (seed 7)";
    assert_eq!((error.kind(), error.detail()), (SecurityErrorKind::Io, text));
    assert!(!matches!(b.read(&mut [0; 1]).await, Ok(1..)), "a handshake that fails has sent nothing");

    let (near, _far) = muxed(&*decorator.muxer("yamux", yamux()).unwrap(), &*yamux());
    let error = near.open().await.unwrap_err();
    let text = "a stream: injected by decorator chaos at muxer.yamux (seed 7)";
    assert_eq!((error.kind(), error.detail()), (MuxerErrorKind::TooManyStreams, text));

    let resolver = decorator.resolver("dns", inside::static_resolver()).unwrap();
    let error = resolver.resolve(&"/dns/a.test/tcp/1".parse().unwrap()).await.unwrap_err();
    let text = "/dns/a.test/tcp/1: injected by decorator chaos at resolver.dns (seed 7)";
    assert_eq!((error.kind(), error.detail()), (ResolveErrorKind::Unavailable, text));
    // Without a name there is no lookup that could fail.
    assert_eq!(resolver.resolve(&any()).await.unwrap(), [any()]);
}

#[tokio::test(start_paused = true)]
async fn operations_come_late_and_come_all_the_same() {
    let transport = around_memory("delay_percent = 100\ndelay = \"10s\"");
    let mut listening = memory().listen(&any()).await.unwrap();
    let addr = listening.local_addrs().remove(0);
    tokio::spawn(async move { while listening.accept().await.is_ok() {} });
    let mut times = Vec::new();
    for _ in 0..20 {
        let begun = Instant::now();
        transport.dial(&addr).await.unwrap();
        times.push(begun.elapsed());
    }
    assert!(times.iter().all(|time| *time <= Duration::from_secs(10)), "{times:?}");
    assert!(times.iter().max().unwrap() > &Duration::from_secs(5), "{times:?}");
    assert!(times.iter().min().unwrap() < &Duration::from_secs(5), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn bytes_come_late_and_come_all_the_same() {
    let (mut near, mut far) = disturbed("byte_delay_percent = 100\nbyte_delay = \"1s\"").await;
    let begun = Instant::now();
    for n in 0..20 {
        near.write_all(&[n]).await.unwrap();
        assert_eq!(far.read_u8().await.unwrap(), n);
    }
    assert!((3..17).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

/// A raw link breaks at both ends, with words at this one.
#[tokio::test(start_paused = true)]
async fn a_link_breaks_within_so_many_bytes() {
    let transport = around_memory("reset_percent = 100\nwithin = 1000");
    let mut broke = (0, 0);
    for _ in 0..20 {
        let (mut near, mut far) = linked(&*transport, &*memory()).await;
        let mut sent = 0;
        let error = loop {
            if sent < 1_000 {
                match near.write(&[1; 30]).await {
                    Ok(n) => sent += n,
                    Err(e) => break e,
                }
            } else {
                // It is the other direction, then.
                drop(far.write_all(&[2; 1_000]).await);
                match near.read_exact(&mut [0; 1_000]).await {
                    Ok(_) => panic!("nothing broke"),
                    Err(e) => break e,
                }
            }
        };
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(chain(&error), "injected by decorator chaos at transport.memory (seed 7)");
        // It stays broken, in both directions, and for the peer as well.
        assert!(near.write(&[1]).await.is_err() && near.read(&mut [0; 1]).await.is_err());
        assert!(near.flush().await.is_err() && near.shutdown().await.is_err());
        let mut heard = Vec::new();
        let end = timeout(Duration::from_secs(1), far.read_to_end(&mut heard)).await;
        assert!(end.is_ok(), "the peer waits for what does not come");
        assert!(heard.len() <= sent);
        if sent < 1_000 { broke.0 += 1 } else { broke.1 += 1 }
    }
    assert!(broke.0 > 3 && broke.1 > 3, "{broke:?} sent and received");
}

/// A stream is reset for both ends, and its connection goes on.
#[tokio::test(start_paused = true)]
async fn a_stream_is_reset_with_a_code_that_says_so() {
    let muxer = chaos("reset_percent = 100\nwithin = 1000").muxer("yamux", yamux()).unwrap();
    let (near, far) = muxed(&*muxer, &*yamux());
    let mut seen = 0;
    for _ in 0..20 {
        let mut stream = near.open().await.unwrap();
        stream.flush().await.unwrap();
        let mut result = Ok(());
        for _ in 0..100 {
            if result.is_ok() {
                result = stream.write_all(&[1; 10]).await;
            }
        }
        let Err(error) = result else {
            // Its fault is in the other direction.
            drop((stream, far.accept().await));
            continue;
        };
        let expected = StreamError::Reset { by: Side::Local, code: INJECTED };
        assert_eq!(StreamError::of(&error), Some(&expected));
        assert_eq!(StreamError::of(&stream.read(&mut [0; 1]).await.unwrap_err()), Some(&expected));
        let mut theirs = far.accept().await.unwrap();
        let error = theirs.read_to_end(&mut Vec::new()).await.unwrap_err();
        let expected = StreamError::Reset { by: Side::Remote, code: INJECTED };
        assert_eq!(StreamError::of(&error), Some(&expected));
        seen += 1;
    }
    assert!(seen > 3, "{seen} of 20 streams broke while writing");
}

/// What is lost leaves no sign: writes succeed, and the peer waits.
#[tokio::test(start_paused = true)]
async fn bytes_that_are_dropped_leave_the_peer_waiting() {
    let transport = around_memory("drop_percent = 100\nwithin = 1000");
    let mut stalled = (0, 0);
    for _ in 0..20 {
        let (mut near, mut far) = linked(&*transport, &*memory()).await;
        for io in [&mut near, &mut far] {
            io.write_all(&[1; 5_000]).await.unwrap();
            io.flush().await.unwrap();
            io.shutdown().await.unwrap();
        }
        let (mut here, mut there) = (Vec::new(), Vec::new());
        let waits = Duration::from_secs(60);
        let ended_here = timeout(waits, near.read_to_end(&mut here)).await.is_ok();
        let ended_there = timeout(waits, far.read_to_end(&mut there)).await.is_ok();
        match (ended_here, ended_there) {
            (true, false) => {
                stalled.0 += 1;
                assert!(there.len() < 1_000 && here.len() == 5_000);
            }
            (false, true) => {
                stalled.1 += 1;
                assert!(here.len() < 1_000 && there.len() == 5_000);
            }
            ends => panic!("one direction stalls, not {ends:?}"),
        }
    }
    assert!(stalled.0 > 3 && stalled.1 > 3, "{stalled:?}");
}

/// One byte of a raw link is changed, and no other.
#[tokio::test(start_paused = true)]
async fn one_byte_is_changed() {
    let transport = around_memory("corrupt_percent = 100\nwithin = 1000");
    for _ in 0..20 {
        let (mut near, mut far) = linked(&*transport, &*memory()).await;
        let (mut here, mut there) = (vec![9; 5_000], vec![9; 5_000]);
        near.write_all(&[0; 5_000]).await.unwrap();
        far.write_all(&[0; 5_000]).await.unwrap();
        near.read_exact(&mut here).await.unwrap();
        far.read_exact(&mut there).await.unwrap();
        let changed: Vec<_> = here.iter().chain(&there).filter(|byte| **byte != 0).collect();
        assert_eq!(changed.len(), 1, "{changed:?}");
    }
}

/// The layer above notices: what noise decrypts is right, or an error.
#[tokio::test(start_paused = true)]
async fn security_finds_out_what_was_changed() {
    const COUNT: usize = 200_000;
    let transport = around_memory("corrupt_percent = 100");
    for _ in 0..10 {
        let (near, far) = linked(&*transport, &*memory()).await;
        let sides = [(near, Role::Dialer), (far, Role::Listener)].map(|(io, role)| async move {
            let cx = SecureCx::new(role, Verifier::new(None), Vec::new());
            let upgrade = noise(Keypair::generate_ed25519());
            let (mut io, ..) = upgrade.secure(io, cx).await.map_err(|e| e.to_string())?.into_parts();
            io.write_all(&[5; COUNT]).await.map_err(|e| e.to_string())?;
            io.flush().await.map_err(|e| e.to_string())?;
            let mut heard = vec![0; COUNT];
            io.read_exact(&mut heard).await.map_err(|e| e.to_string())?;
            assert_eq!(heard, [5; COUNT], "what was changed came through");
            Ok::<_, String>(())
        });
        let [a, b] = sides;
        // An end that fails is dropped, and takes the other one with it, unless that had all it wanted.
        let (a, b) = timeout(Duration::from_secs(60), async { tokio::join!(a, b) }).await.unwrap();
        assert!(a.is_err() || b.is_err(), "a changed byte was not noticed");
    }
}

#[test]
fn the_operator_is_told_with_the_seed() {
    let warning = chaos("").warning().unwrap();
    assert_eq!(warning, "decorator chaos makes connections fail on purpose (seed = 7); it is for tests");
}

/// Without a seed it is the node's chance, which a simulation seeds.
#[test]
fn without_a_seed_the_node_gives_one() {
    use skep_api::random::Random;
    let plugin = skep_decorators::chaos::PLUGIN;
    let warning = |seed| {
        let cx = skep_testkit::build_cx().with_random(Random::seeded(seed));
        (plugin.build)(&inside::section(&plugin, ""), &cx).unwrap().warning().unwrap()
    };
    assert_eq!(warning(1), warning(1));
    assert_ne!(warning(1), warning(2));
}
