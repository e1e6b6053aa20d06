//! Plugins whose claims are not those that the contracts give by default.

use async_trait::async_trait;
use skep_api::{
    BoxIo, CloseReason, Code, Keypair,
    muxer::{Muxed, MuxedConn, MuxedStream, Muxer, MuxerError, MuxerErrorKind, Pulse},
    security::{Role, SecureCx, Secured, SecurityError, Upgrader},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

/// Takes everybody for somebody, who has told of muxers.
#[derive(Debug)]
pub struct OddUpgrade;

/// Carries no streams, and has a pulse.
#[derive(Debug, Default)]
pub struct OddMuxer {
    pub probes: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct OddConn(Arc<AtomicUsize>);

/// What [`OddMuxer`] says of its peer.
pub const PULSE: (Duration, Option<Duration>) = (Duration::from_secs(7), Some(Duration::from_millis(9)));

#[async_trait]
impl Upgrader for OddUpgrade {
    fn protocol(&self) -> &str {
        "/odd"
    }

    fn insecure(&self) -> bool {
        true
    }

    fn at_full_speed(&self) -> bool {
        false
    }

    async fn secure(&self, io: BoxIo, cx: SecureCx) -> Result<Secured<BoxIo>, SecurityError> {
        let key = Keypair::generate_ed25519().public().encode_protobuf();
        let verified = cx.verifier.allowing_insecure().take_word(&key)?;
        let muxers = ["/a", "/b"].map(str::to_string);
        Ok(Secured::new(verified, io).with_early_muxer(Some("/a".into())).with_peer_muxers(muxers.to_vec()))
    }
}

impl Muxer for OddMuxer {
    fn protocol(&self) -> &str {
        "/odd"
    }

    fn mux(&self, _: BoxIo, _: Role) -> Muxed {
        let driver = Box::pin(async { CloseReason::remote(Code(3)) });
        Muxed { conn: Arc::new(OddConn(Arc::clone(&self.probes))), driver }
    }
}

#[async_trait]
impl MuxedConn for OddConn {
    async fn open(&self) -> Result<Box<dyn MuxedStream>, MuxerError> {
        Err(MuxerError::new(MuxerErrorKind::TooManyStreams, "odd"))
    }

    async fn accept(&self) -> Result<Box<dyn MuxedStream>, MuxerError> {
        Err(MuxerError::new(MuxerErrorKind::Closed, "odd"))
    }

    async fn close(&self, _: Code) {}

    fn num_streams(&self) -> usize {
        5
    }

    fn pulse(&self) -> Option<Pulse> {
        Some(Pulse::new(PULSE.0, PULSE.1))
    }

    fn probe(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    fn unsent(&self) -> u64 {
        11
    }
}
