//! Runs the QUIC library's tasks in the node's scope.
#![allow(
    clippy::disallowed_types,
    reason = "the library's trait has instants of std; those given are tokio's"
)]

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};
use skep_api::TaskScope;
use std::{
    future::Future,
    io,
    net::UdpSocket,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// How long the library's tasks of a socket that nobody uses go on after the node began to shut down. The close of a
/// connection is sent at once; what the library waits for afterwards are the peer's late packets.
const FAREWELL: Duration = Duration::from_millis(250);

/// Sockets and timers are tokio's; tasks are the node's, so that a shutdown joins them.
#[derive(Debug)]
pub(crate) struct NodeRuntime {
    tasks: TaskScope,
    /// Fires when the socket that the tasks work for is of no use any more.
    released: CancellationToken,
}

impl NodeRuntime {
    pub(crate) fn new(tasks: TaskScope, released: CancellationToken) -> Self {
        Self { tasks, released }
    }
}

impl Runtime for NodeRuntime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let (released, cancelled) = (self.released.clone(), self.tasks.cancelled().clone());
        self.tasks.spawn("quic", async move {
            let over = async {
                released.cancelled().await;
                cancelled.cancelled().await;
                tokio::time::sleep(FAREWELL).await;
            };
            tokio::select! {
                biased;
                () = future => {}
                () = over => {}
            }
        });
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}
