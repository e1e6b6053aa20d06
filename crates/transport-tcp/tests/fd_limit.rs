//! A listener outlives a lack of file descriptors. The only test of this program, for the limit is the process's.
#![cfg(unix)]

use rlimit::Resource;
use skep_api::transport::Transport;
use skep_transport_tcp::{Config, TcpTransport};
use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tracing::{Event, Level, Metadata, span};

/// Counts warnings.
struct Warnings(Arc<AtomicUsize>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }
    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn accept_rests_while_files_lack_and_then_goes_on() {
    let warnings = Arc::new(AtomicUsize::new(0));
    let _guard = tracing::subscriber::set_default(Warnings(Arc::clone(&warnings)));
    let transport = TcpTransport::new(Config::default());
    let mut listener = transport.listen(&"/ip4/127.0.0.1/tcp/0".parse().unwrap()).await.unwrap();
    let addr = listener.local_addrs().remove(0);
    let link = transport.dial(&addr).await.unwrap();

    let (_, hard) = rlimit::getrlimit(Resource::NOFILE).unwrap();
    rlimit::setrlimit(Resource::NOFILE, 64, hard).unwrap();
    let hoard: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(!hoard.is_empty());

    // Nine seconds of this clock pass at once; each caller gives up early, which must not lose the connection.
    for _ in 0..3 {
        let waited = tokio::time::timeout(Duration::from_secs(3), listener.accept()).await;
        assert!(waited.is_err(), "no file is left, and yet {waited:?}");
    }
    assert_eq!(warnings.load(Ordering::Relaxed), 1, "one warning for one episode");

    drop(hoard);
    let incoming = listener.accept().await.unwrap();
    assert_eq!(incoming.remote_addr(), link.local());
}
