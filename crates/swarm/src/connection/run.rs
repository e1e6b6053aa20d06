//! The one task of a connection.

use super::{
    Shared, SwarmConn,
    life::{self, Verdict},
    serve::accept_loop,
};
use crate::{permits::Permit, swarm::Inner};
use futures::FutureExt;
use skep_api::{CloseReason, muxer::Muxed};
use std::{panic::AssertUnwindSafe, sync::Arc};

/// Takes a connection off the table when its task ends, also by a panic or an abort.
pub(crate) struct Leaving {
    node: Arc<Inner>,
    conn: Arc<Shared>,
    permit: Option<Permit>,
    reason: Option<CloseReason>,
}

impl Leaving {
    pub(crate) fn new(node: Arc<Inner>, conn: Arc<Shared>, permit: Permit) -> Self {
        Self { node, conn, permit: Some(permit), reason: None }
    }

    /// Runs the connection until it ends.
    pub(crate) async fn run(mut self, muxed: Muxed) {
        self.reason = Some(run(&self.node, &self.conn, muxed).await);
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        // The socket is gone with the driver. Whoever waits for the end may dial again at once.
        self.conn.end_streams();
        self.permit = None;
        let aborted = || CloseReason::Lost { what: "its task was aborted".into() };
        self.node.leave(&self.conn, self.reason.take().unwrap_or_else(aborted));
    }
}

/// Drives the muxer and accepts streams until the connection ends. A panic in it is an end like another.
async fn run(node: &Inner, shared: &Arc<Shared>, muxed: Muxed) -> CloseReason {
    let driver = AssertUnwindSafe(muxed.driver).catch_unwind();
    tokio::pin!(driver);
    let accept = accept_loop(Arc::clone(shared));
    tokio::pin!(accept);
    let settings = Arc::clone(&node.live().settings);
    let rules = || life::watch(shared, settings.idle_timeout, settings.dead_after);
    let watch = rules();
    tokio::pin!(watch);
    let (mut accepting, mut watching) = (true, true);
    let ended = loop {
        tokio::select! {
            // In an order that does not depend on chance: each is done after it was ready once, or waits for a time.
            biased;
            ended = &mut driver => break Some(ended),
            () = &mut accept, if accepting => accepting = false,
            verdict = &mut watch, if watching => match verdict {
                Verdict::Dead(reason) => break Some(Ok(reason)),
                Verdict::Idle(reason) if shared.close_if_idle(&reason) => {
                    watching = false;
                    tracing::debug!(peer = %shared.info.peer, %reason, "A connection is closed.");
                    let conn = SwarmConn(Arc::clone(shared));
                    node.tasks.spawn("close", async move { conn.close_for(reason).await });
                }
                Verdict::Idle(_) => watch.set(rules()),
            },
            () = shared.cut.cancelled() => break None,
        }
    };
    match (shared.closing(), ended) {
        (Some(closing), _) => closing,
        (None, Some(Ok(reason))) => reason,
        (None, Some(Err(_))) => {
            tracing::error!(peer = %shared.info.peer, "The muxer panicked; its connection has ended.");
            CloseReason::Lost { what: "the muxer panicked".into() }
        }
        (None, None) => CloseReason::local(skep_api::Code::NONE),
    }
}
