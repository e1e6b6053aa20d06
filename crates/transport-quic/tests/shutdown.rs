//! The QUIC library's tasks are the node's, and end with it.
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod ends;

use ends::{connect_at, connection, listen, multiaddr_of};
use futures::FutureExt;
use skep_api::{BuildCx, Code, ConfigSection, Keypair, TaskScope, context::Spawn, transport::Transport};
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Counts the tasks that run.
#[derive(Clone, Debug, Default)]
struct Tasks {
    running: Arc<AtomicUsize>,
    cancelled: CancellationToken,
}

impl Spawn for Tasks {
    fn spawn(&self, _: &'static str, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let running = Arc::clone(&self.running);
        running.fetch_add(1, Ordering::AcqRel);
        tokio::spawn(async move {
            task.await;
            running.fetch_sub(1, Ordering::AcqRel);
        });
    }
}

impl Tasks {
    fn transport(&self) -> Arc<dyn Transport> {
        let scope = TaskScope::new(Arc::new(self.clone()), self.cancelled.clone());
        let cx = BuildCx::new(Keypair::generate_ed25519(), scope);
        (skep_transport_quic::PLUGIN.build)(&ConfigSection::empty("transport.quic"), &cx)
            .expect("a transport")
    }

    fn running(&self) -> usize {
        self.running.load(Ordering::Acquire)
    }

    async fn all_end(&self) {
        while self.running() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn every_task_is_the_nodes_and_ends_with_what_it_served() {
    let (ours, theirs) = (Tasks::default(), Tasks::default());
    let (dialer, node) = (ours.transport(), theirs.transport());
    assert_eq!((ours.running(), theirs.running()), (0, 0));
    let (mut listener, addr) = listen(&node).await;
    let (dialed, accepted) = connect_at(&dialer, &mut listener, &addr).await;
    // A socket and a connection; the listener has one for those who wait in line, too, and the dialler one that keeps the
    // socket for a while.
    assert_eq!((ours.running(), theirs.running()), (3, 3));
    drop((dialed, accepted, listener));
    tokio::time::pause();
    sleep(Duration::from_secs(11)).await;
    ours.all_end().await;
    theirs.all_end().await;
}

#[tokio::test]
async fn a_shutdown_leaves_connections_the_time_to_say_goodbye() {
    let (ours, theirs) = (Tasks::default(), Tasks::default());
    let (dialer, node) = (ours.transport(), theirs.transport());
    let (mut listener, addr) = listen(&node).await;
    let (dialed, accepted) = connect_at(&dialer, &mut listener, &addr).await;
    let (dialed, accepted) = (connection(dialed), connection(accepted));
    ours.cancelled.cancel();
    sleep(Duration::from_millis(600)).await;
    // The connection is in use, so it is not cut off.
    dialed.conn.close(Code::SHUTDOWN).await;
    assert_eq!(accepted.driver.await, skep_api::CloseReason::remote(Code::SHUTDOWN));
    drop((dialed, dialer));
    ours.all_end().await;
}

/// The library keeps a dial that was given up for seconds, for the answers that may come late.
#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_dials_that_were_given_up() {
    let tasks = Tasks::default();
    let dialer = tasks.transport();
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addr = multiaddr_of(silent.local_addr().unwrap());
    let mut dial = dialer.dial(&addr);
    assert!((&mut dial).now_or_never().is_none());
    drop(dial);
    tasks.cancelled.cancel();
    let begun = tokio::time::Instant::now();
    tasks.all_end().await;
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
}
