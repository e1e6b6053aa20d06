//! Peers that mean no good, against a whole node, in paused time over the in-process transport. In every case the
//! attacker's connection ends with a typed error or is bounded, nothing it took stays taken, and a peer that
//! behaves is served meanwhile.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use futures::FutureExt;
use skep::{
    DialOptions, Swarm, SwarmBuilder, SwarmConn,
    api::{
        BoxIo, CloseReason, Code, ConfigSection, Keypair, Multiaddr, Plugin,
        muxer::{Muxed, Muxer},
        plugin::layer,
        security::{Role, SecureCx, Upgrader, Verifier},
        transport::{Link, Transport},
    },
    swarm::{
        Settings,
        error::{Cause, Stage},
        events::{Event, Events},
    },
};
use std::{panic::AssertUnwindSafe, sync::Arc};
use support::{FLOOD, echo_works, event, layers};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};

/// What a dialler sends to propose Noise, before its first Noise message.
const PROPOSAL: &[u8] = b"\x13/multistream/1.0.0\n\x07/noise\n";

fn memory(hub: &str, swarm: &SwarmBuilder) -> Arc<dyn Transport> {
    let serde_json::Value::Object(table) = serde_json::json!({ "hub": hub }) else { unreachable!() };
    let section = ConfigSection::from_table("transport.memory", table);
    (skep::transport_memory::PLUGIN.build)(&section, swarm.build_cx()).unwrap()
}

/// A victim, a peer that behaves and is connected, and what an attacker needs.
struct Scene {
    victim: Swarm,
    honest: SwarmConn,
    events: Events,
    transport: Arc<dyn Transport>,
    noise: Arc<dyn Upgrader>,
    addr: Multiaddr,
}

impl Scene {
    async fn new(hub: &str) -> Self {
        let settings = Settings { max_pending_inbound: 4, ..Settings::default() };
        let (a, b, attacker) = (layers(), layers(), layers());
        let (to_a, to_b, transport) = (memory(hub, &a), memory(hub, &b), memory(hub, &attacker));
        let victim = a.transport("memory", to_a).settings(settings).build().unwrap();
        let peer = b.transport("memory", to_b).build().unwrap();
        let addr = victim.listen(&"/memory/0".parse().unwrap()).await.unwrap()[0].clone();
        let honest = peer.dial_addr(&addr).await.unwrap();
        echo_works(&honest).await;
        let section = ConfigSection::empty("security.noise");
        let noise = (skep::security_noise::PLUGIN.build)(&section, attacker.build_cx()).unwrap();
        Self { events: victim.events(), victim, honest, transport, noise, addr }
    }

    /// A bare link to the victim.
    async fn raw(&self) -> BoxIo {
        match self.transport.dial(&self.addr).await.unwrap() {
            Link::Raw(link) => link.io,
            other => panic!("{other:?}"),
        }
    }

    /// An authenticated stream to the victim on which yamux was agreed early: the attacker writes the frames.
    async fn secured(&self) -> BoxIo {
        let mut io = self.raw().await;
        io.write_all(PROPOSAL).await.unwrap();
        io.flush().await.unwrap();
        let mut answer = vec![0; PROPOSAL.len()];
        io.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, PROPOSAL);
        let cx = SecureCx::new(Role::Dialer, Verifier::new(None), vec!["/yamux/1.0.0".into()]);
        let secured = self.noise.secure(io, cx).await.unwrap();
        assert_eq!(secured.early_muxer(), Some("/yamux/1.0.0"));
        let (mut io, _, _) = secured.into_parts();
        io.flush().await.unwrap();
        io
    }

    /// How the next inbound connection failed: stage and code.
    async fn failure(&mut self) -> (Stage, &'static str) {
        let error = event(&mut self.events, |e| match e {
            Event::InboundFailed { error, .. } => Some(error),
            _ => None,
        });
        let error = error.await;
        (error.stage, error.cause.code())
    }

    /// How the next connection ended.
    async fn disconnected(&mut self) -> CloseReason {
        event(&mut self.events, |e| match e {
            Event::Disconnected { reason, .. } => Some(reason),
            _ => None,
        })
        .await
    }

    /// The honest peer is served and holds the only permit.
    async fn all_is_well(&self) {
        echo_works(&self.honest).await;
        assert_eq!((self.victim.metrics().connections, self.victim.metrics().panics), (1, 0));
        // What was refused may take its time to close: virtual seconds, of which there are enough.
        for _ in 0..100 {
            if self.victim.metrics().permits == 1 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
        panic!("{} permits are in use", self.victim.metrics().permits);
    }
}

/// A yamux header.
fn frame(kind: u8, flags: u16, stream: u32, length: u32) -> [u8; 12] {
    let mut header = [0; 12];
    header[1] = kind;
    header[2..4].copy_from_slice(&flags.to_be_bytes());
    header[4..8].copy_from_slice(&stream.to_be_bytes());
    header[8..12].copy_from_slice(&length.to_be_bytes());
    header
}

const DATA: u8 = 0;
const WINDOW: u8 = 1;
const SYN: u16 = 1;

#[tokio::test(start_paused = true)]
async fn junk_before_the_handshake() {
    let mut scene = Scene::new("junk").await;
    let mut io = scene.raw().await;
    let _ = io.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let _ = io.flush().await;
    assert_eq!(scene.failure().await.0, Stage::Security);
    scene.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn zero_bytes_are_not_answered_one_by_one() {
    let mut scene = Scene::new("zeros").await;
    let mut io = scene.raw().await;
    let _ = io.write_all(&[0; 64 * 1024]).await;
    let _ = io.flush().await;
    assert_eq!(scene.failure().await.0, Stage::Security);
    let mut answer = Vec::new();
    let _ = io.read_to_end(&mut answer).await;
    assert!(answer.len() <= 64, "{} bytes of answer", answer.len());
    scene.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn silent_peers_are_closed_by_the_deadline_and_hold_up_nobody_for_longer() {
    let mut scene = Scene::new("silent").await;
    // As many as may be in their handshake at once.
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(scene.raw().await);
    }
    let settings = ConfigSection::empty("x").decode::<Settings>().unwrap();
    let begun = tokio::time::Instant::now();
    // The next one waits in the queue until a slot is free, and is served then.
    let late = layers();
    let transport = memory("silent", &late);
    let late = late.transport("memory", transport).build().unwrap();
    let impatient = || DialOptions::default().ignore_backoff();
    let mut again = late.dial_addr_with(&scene.addr, impatient()).await;
    if again.is_err() {
        again = late.dial_addr_with(&scene.addr, impatient()).await;
    }
    echo_works(&again.unwrap().connection).await;
    assert!(begun.elapsed() >= settings.upgrade_timeout.0);
    for _ in 0..4 {
        assert_eq!(scene.failure().await, (Stage::Security, "deadline"));
    }
    late.shutdown(std::time::Duration::from_secs(1)).await;
    scene.disconnected().await;
    scene.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_never_ends() {
    let mut scene = Scene::new("endless").await;
    let mut io = scene.raw().await;
    let endless = tokio::spawn(async move {
        let _ = io.write_all(PROPOSAL).await;
        // A Noise message that is announced as long and comes byte by byte.
        let _ = io.write_all(&[0, 200]).await;
        while io.write_all(&[1]).await.is_ok() && io.flush().await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    });
    assert_eq!(scene.failure().await, (Stage::Security, "deadline"));
    endless.await.unwrap();
    scene.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn handshakes_that_are_truncated_oversized_or_changed() {
    let mut scene = Scene::new("changed").await;
    for (sent, code) in [
        (&PROPOSAL[..7], "security_io"),
        (&[PROPOSAL, &[0, 32, 1, 2, 3]].concat()[..], "security_io"),
        (&[PROPOSAL, &[0xff, 0xff, 1, 2, 3]].concat()[..], "malformed_handshake"),
        (&b"\x13/multistream/2.0.0\n"[..], "malformed_handshake"),
        (&b"\x13/multistream/1.0.0\n\x05/tls\n"[..], "no_common_security"),
    ] {
        let mut io = scene.raw().await;
        io.write_all(sent).await.unwrap();
        io.shutdown().await.unwrap();
        let failed = scene.failure().await;
        assert_eq!(failed, (Stage::Security, code), "after {:?}", String::from_utf8_lossy(sent));
    }
    scene.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn junk_after_the_handshake_breaks_the_protocol() {
    let mut scene = Scene::new("frames").await;
    let mut io = scene.secured().await;
    io.write_all(&[0xff; 4096]).await.unwrap();
    io.flush().await.unwrap();
    let reason = scene.disconnected().await;
    assert!(matches!(reason, CloseReason::Violation { .. }), "{reason}");
    scene.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_streams_on_one_connection() {
    let mut scene = Scene::new("flood").await;
    let io = scene.secured().await;
    let (mut r, mut w) = tokio::io::split(io);
    let drain = tokio::spawn(async move { while matches!(r.read(&mut [0; 4096]).await, Ok(n) if n > 0) {} });
    for i in 0..10_000_u32 {
        if w.write_all(&frame(WINDOW, SYN, 2 * i + 1, 0)).await.is_err() {
            break;
        }
    }
    let _ = w.flush().await;
    let reason = scene.disconnected().await;
    assert!(matches!(reason, CloseReason::Violation { .. }), "{reason}");
    drain.await.unwrap();
    scene.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_asks_for_much_and_never_reads() {
    let mut scene = Scene::new("deaf").await;
    let mut io = scene.secured().await;
    // Streams that the victim writes to for as long as it is let, each with a huge window.
    let mut proposal = b"\x13/multistream/1.0.0\n".to_vec();
    proposal.push(u8::try_from(FLOOD.len() + 1).unwrap());
    proposal.extend_from_slice(FLOOD.as_bytes());
    proposal.push(b'\n');
    for i in 0..8_u32 {
        let stream = 2 * i + 1;
        io.write_all(&frame(WINDOW, SYN, stream, 512 << 20)).await.unwrap();
        io.write_all(&frame(DATA, 0, stream, u32::try_from(proposal.len()).unwrap())).await.unwrap();
        io.write_all(&proposal).await.unwrap();
    }
    io.flush().await.unwrap();
    let reason = scene.disconnected().await;
    assert!(matches!(reason, CloseReason::Violation { .. } | CloseReason::Lost { .. }), "{reason}");
    drop(io);
    scene.all_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_security_names_its_cause_to_the_victim() {
    let mut scene = Scene::new("cause").await;
    let mut io = scene.raw().await;
    io.write_all(PROPOSAL).await.unwrap();
    // A whole first message, then nonsense in place of the third.
    io.write_all(&[0, 32]).await.unwrap();
    io.write_all(&[9; 32]).await.unwrap();
    io.write_all(&[0, 64]).await.unwrap();
    io.write_all(&[7; 64]).await.unwrap();
    io.flush().await.unwrap();
    let error = event(&mut scene.events, |e| match e {
        Event::InboundFailed { error, .. } => Some(error),
        _ => None,
    });
    let error = error.await;
    assert!(
        matches!(&error.cause, Cause::Security(e) if e.kind() == skep::api::security::SecurityErrorKind::Decrypt),
        "{error}"
    );
    scene.all_is_well().await;
}

/// A muxer whose drivers tell how they end. A panic within is not the connection's own business, as it is for a node.
#[derive(Debug)]
struct Watched(Arc<dyn Muxer>, mpsc::Sender<Result<CloseReason, &'static str>>);

impl Muxer for Watched {
    fn protocol(&self) -> &str {
        self.0.protocol()
    }

    fn mux(&self, io: BoxIo, role: Role) -> Muxed {
        let (Muxed { conn, driver }, ended) = (self.0.mux(io, role), self.1.clone());
        let driver = async move {
            let driven = AssertUnwindSafe(driver).catch_unwind().await;
            let _ = ended.try_send(driven.as_ref().cloned().map_err(|_| "it panicked"));
            driven.unwrap_or_else(|_| CloseReason::Lost { what: "it panicked".into() })
        };
        Muxed { conn, driver: Box::pin(driver) }
    }
}

/// A node with one muxer, connected to a peer that has agreed on security, and not yet on the muxer.
struct Dialled {
    _node: Swarm,
    events: Events,
    conn: SwarmConn,
    peer: BoxIo,
    ended: mpsc::Receiver<Result<CloseReason, &'static str>>,
}

impl Dialled {
    async fn new(muxer: Plugin<layer::Muxer>) -> Self {
        let (builder, stranger) = (SwarmBuilder::new(Keypair::generate_ed25519()), layers());
        let transport = memory("answers", &builder);
        let noise = |builder: &SwarmBuilder| {
            (skep::security_noise::PLUGIN.build)(&ConfigSection::empty("security.noise"), builder.build_cx())
        };
        let (ours, theirs) = (noise(&builder).unwrap(), noise(&stranger).unwrap());
        let inner = (muxer.build)(&ConfigSection::empty("muxer"), builder.build_cx()).unwrap();
        let (tell, ended) = mpsc::channel(1);
        let node = builder
            .transport("memory", Arc::clone(&transport))
            .security("noise", ours)
            .muxer(muxer.name, Arc::new(Watched(inner, tell)))
            .build()
            .unwrap();
        let mut listener = transport.listen(&"/memory/0".parse().unwrap()).await.unwrap();
        let addr = listener.local_addrs()[0].clone();
        let accept = async {
            let Link::Raw(raw) = listener.accept().await.unwrap().accept().await.unwrap() else { panic!() };
            let mut io = raw.io;
            let mut proposal = vec![0; PROPOSAL.len()];
            io.read_exact(&mut proposal).await.unwrap();
            io.write_all(PROPOSAL).await.unwrap();
            io.flush().await.unwrap();
            // Without a word on muxers, so that one is proposed.
            let cx = SecureCx::new(Role::Listener, Verifier::new(None), Vec::new());
            theirs.secure(io, cx).await.unwrap().into_parts().0
        };
        let events = node.events();
        let (peer, conn) = tokio::join!(accept, node.dial_addr(&addr));
        Self { _node: node, events, conn: conn.unwrap(), peer, ended }
    }

    /// How the muxer and the connection have ended.
    async fn end(&mut self) -> (Result<CloseReason, &'static str>, CloseReason) {
        let muxer = self.ended.recv().await.unwrap();
        let reason = event(&mut self.events, |e| match e {
            Event::Disconnected { reason, .. } => Some(reason),
            _ => None,
        });
        (muxer, reason.await)
    }
}

const MUXERS: [Plugin<layer::Muxer>; 2] = [skep::muxer_mplex::PLUGIN, skep::muxer_yamux::PLUGIN];

/// What a peer may answer to the proposal of the muxer, and what the dialler is told.
const ANSWERS: [(&[u8], &str); 4] = [
    (b"\x13/multistream/1.0.0\n\x03na\n", "the peer does not take the muxer that was proposed"),
    (b"\x13/multistream/1.0.0\n\x06junk!\n", "no answer to the muxer that was proposed: "),
    (b"\x13/multistream/1", "connection lost: "),
    (b"", "connection lost: "),
];

#[tokio::test(start_paused = true)]
async fn a_muxer_that_the_peer_does_not_take_is_named_as_the_reason() {
    for muxer in MUXERS {
        for (answer, told) in ANSWERS {
            let mut dialled = Dialled::new(muxer).await;
            dialled.peer.write_all(answer).await.unwrap();
            dialled.peer.shutdown().await.unwrap();
            let (muxed, reason) = dialled.end().await;
            let case = format!("{} after {}", muxer.name, answer.escape_ascii());
            assert_eq!(muxed.as_ref(), Ok(&reason), "{case}");
            assert!(reason.to_string().contains(told), "{case}: {reason}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_closed_before_the_answer_to_the_muxer_is_closed_in_order() {
    for muxer in MUXERS {
        for (answer, _) in ANSWERS {
            let mut dialled = Dialled::new(muxer).await;
            dialled.peer.write_all(answer).await.unwrap();
            dialled.peer.shutdown().await.unwrap();
            // In the same breath: the answer is there, and nobody has read it.
            dialled.conn.close(Code::NONE).await;
            let (muxed, reason) = dialled.end().await;
            let case = format!("{} after {}", muxer.name, answer.escape_ascii());
            let closed = CloseReason::local(Code::NONE);
            assert_eq!((muxed, reason), (Ok(closed.clone()), closed), "{case}");
        }
    }
}
