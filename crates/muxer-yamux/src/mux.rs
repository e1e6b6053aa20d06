//! The plugin, and what it puts on a stream.

use crate::{
    Config,
    conn::YamuxConn,
    driver::Driver,
    frames::FrameFilter,
    queue::{Asks, Queue},
    shared::Shared,
};
use skep_api::{
    BoxIo, BuildCx, Problems,
    muxer::{Muxed, Muxer},
    register_muxer,
    security::Role,
};
use std::{sync::Arc, time::Duration};

register_muxer! {
    name: "yamux",
    summary: "many streams with flow control over one connection, as all libp2p implementations speak it",
    example: "max_streams = 512\nwrite_timeout = \"30s\"\n",
    config: Config,
    build: build,
}

/// How many calls of `open` may wait in line for the driver; more wait to get in line.
const OPEN_QUEUE: usize = 32;

/// Streams that the `yamux` crate may hold above the limit, because it has not noticed their end. The limit is
/// kept by the crate's caller, for the crate ends the whole connection at it.
const SLACK: usize = 64;

/// Puts yamux on a stream.
#[derive(Debug)]
struct Yamux {
    config: yamux::Config,
    max_streams: usize,
    accept_backlog: usize,
    write_timeout: Duration,
}

fn build(config: Config, _: &BuildCx) -> Result<Arc<dyn Muxer>, Problems> {
    let max_streams = to_usize("max_streams", config.max_streams.into())?;
    let slack = SLACK.saturating_mul(yamux::DEFAULT_CREDIT as usize);
    let window = to_usize("max_receive_window", config.max_receive_window)?.saturating_add(slack);
    let mut inner = yamux::Config::default();
    // The crate asserts that the two fit each other after each call, so the window is lifted first. The
    // configuration was validated, and the slack is added on both sides.
    inner.set_max_connection_receive_window(None);
    inner.set_max_num_streams(max_streams.saturating_add(SLACK));
    inner.set_max_connection_receive_window(Some(window));
    inner.set_split_send_size(to_usize("frame_size", config.frame_size.into())?);
    inner.set_read_after_close(true);
    Ok(Arc::new(Yamux {
        config: inner,
        max_streams,
        accept_backlog: to_usize("accept_backlog", config.accept_backlog.into())?,
        write_timeout: config.write_timeout.0,
    }))
}

fn to_usize(key: &str, value: u64) -> Result<usize, Problems> {
    usize::try_from(value)
        .map_err(|_| Problems::one(key, format!("{value} is too large for this machine"), "lower it"))
}

impl Muxer for Yamux {
    fn protocol(&self) -> &str {
        "/yamux/1.0.0"
    }

    fn mux(&self, io: BoxIo, role: Role) -> Muxed {
        let mode = match role {
            Role::Dialer => yamux::Mode::Client,
            Role::Listener => yamux::Mode::Server,
        };
        let shared = Arc::new(Shared::new(role, self.max_streams));
        let filter = FrameFilter::new(io, Arc::clone(&shared), self.write_timeout);
        let inner = yamux::Connection::new(filter, self.config.clone(), mode);
        let opens = Arc::new(Asks::new(OPEN_QUEUE));
        let accepted = Arc::new(Queue::new(self.accept_backlog));
        let driver = Driver::new(inner, Arc::clone(&shared), Arc::clone(&opens), Arc::clone(&accepted));
        let conn = YamuxConn { shared, opens, accepted };
        Muxed { conn: Arc::new(conn), driver: Box::pin(driver) }
    }
}
