//! The plugin, and what it puts on a stream.

use crate::{
    Config,
    accepted::Accepted,
    conn::MplexConn,
    driver::{Driver, Parts, Patience},
    link::{Below, Link},
    shared::{Limits, Shared},
};
use futures::FutureExt;
use libp2p_core::upgrade::InboundConnectionUpgrade;
use libp2p_mplex::MaxBufferBehaviour;
use skep_api::{
    BoxIo, BuildCx, CloseReason, Problems,
    muxer::{Muxed, Muxer},
    register_muxer,
    security::Role,
};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

register_muxer! {
    name: "mplex",
    summary: "many streams over one connection without flow control, for old peers that have no yamux",
    example: "max_streams = 128\nslow_reader_timeout = \"1s\"\n",
    config: Config,
    build: build,
}

/// The multistream-select id.
const PROTOCOL: &str = "/mplex/6.7.0";

/// How many calls of `open` may wait in line for the driver; more wait to get in line.
const OPEN_QUEUE: usize = 8;

/// Frames that the crate may hold. The driver takes them out as soon as the crate has read so many.
const FRAMES_IN_CRATE: usize = 32;

/// Least bytes that a stream takes ahead of the link.
const MIN_UNSENT: usize = 64 * 1024;

/// Puts mplex on a stream.
#[derive(Debug)]
struct Mplex {
    config: libp2p_mplex::Config,
    limits: Limits,
    accept_backlog: usize,
    patience: Patience,
}

fn build(config: Config, _: &BuildCx) -> Result<Arc<dyn Muxer>, Problems> {
    let max_streams = to_usize("max_streams", config.max_streams.into())?;
    let max_outbound = max_streams / 2;
    let frame_size = to_usize("frame_size", config.frame_size.into())?;
    let mut inner = libp2p_mplex::Config::new();
    inner
        // One more for the driver's own.
        .set_max_num_streams(max_streams.saturating_add(1))
        .set_max_buffer_size(FRAMES_IN_CRATE)
        // It never comes to that, and blocking loses nothing.
        .set_max_buffer_behaviour(MaxBufferBehaviour::Block)
        .set_split_send_size(frame_size);
    Ok(Arc::new(Mplex {
        config: inner,
        limits: Limits {
            max_inbound: max_streams.saturating_sub(max_outbound),
            max_outbound,
            max_buffer: to_usize("max_buffer", config.max_buffer)?,
            max_unsent: frame_size.max(MIN_UNSENT),
            frame_size,
        },
        accept_backlog: to_usize("accept_backlog", config.accept_backlog.into())?,
        patience: Patience { slow_reader: config.slow_reader_timeout.0, write: config.write_timeout.0 },
    }))
}

fn to_usize(key: &str, value: u64) -> Result<usize, Problems> {
    usize::try_from(value)
        .map_err(|_| Problems::one(key, format!("{value} is too large for this machine"), "lower it"))
}

impl Muxer for Mplex {
    fn protocol(&self) -> &str {
        PROTOCOL
    }

    /// Both roles are alike: a frame says which end opened its stream.
    fn mux(&self, io: BoxIo, _: Role) -> Muxed {
        let shared = Arc::new(Shared::new(self.limits));
        let accepted = Arc::new(Accepted::new(self.accept_backlog));
        let link = Link::new(io, Arc::clone(&shared), Arc::clone(&accepted));
        let link = Arc::new(Mutex::new(link));
        let (ask, opens) = mpsc::channel(OPEN_QUEUE);
        let conn = MplexConn { shared: Arc::clone(&shared), opens: ask, accepted: Arc::clone(&accepted) };
        // Ready at once, and never an error; both directions are the same.
        let upgrade = self.config.clone().upgrade_inbound(Below::new(Arc::clone(&link)), PROTOCOL);
        let Some(Ok(mux)) = upgrade.now_or_never() else {
            let reason = CloseReason::Lost { what: "the multiplexer could not be set up".into() };
            return Muxed { conn: Arc::new(conn), driver: Box::pin(std::future::ready(reason)) };
        };
        let patience = self.patience;
        let driver = Driver::new(Parts { mux, link, shared, opens, accepted, patience });
        Muxed { conn: Arc::new(conn), driver: Box::pin(driver) }
    }
}
