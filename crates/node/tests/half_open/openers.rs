//! Who begins connections and never finishes them.

use crate::initial::Initials;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    task::JoinSet,
    time::{sleep, timeout},
};

/// How many are open at once: more than a node looks at, and more than a shared port keeps waiting.
pub(crate) const AT_ONCE: usize = 384;
/// So many of the last are all of the first sort, which is silent where there is a silent one: a shared port keeps a
/// connection that said too little for some seconds, hung up or not, unless others push it out.
const LAST: u64 = 300;
/// How many ports datagrams come from.
const PORTS: usize = 64;
/// How many datagrams go out before there is a rest, so that a part of them arrives.
const BURST: u64 = 16;
/// How long one holds on if the node lets it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a half-open connection is made of.
pub(crate) enum Opener {
    /// A TCP connection on which one of these was written.
    Streams(Vec<Arc<[u8]>>),
    /// First datagrams of QUIC, with a whole `ClientHello` or with half of one, each of its own connection.
    Datagrams,
}

impl Opener {
    pub(crate) fn streams<const N: usize>(starts: [Vec<u8>; N]) -> Self {
        Self::Streams(starts.map(Into::into).to_vec())
    }

    /// Begins so many, and holds on to the last of them until `grace` is over.
    pub(crate) async fn open(&self, at: SocketAddr, many: u64, grace: Duration) {
        let left = Arc::new(AtomicU64::new(many));
        let mut workers = JoinSet::new();
        match self {
            Self::Streams(starts) => {
                for _ in 0..AT_ONCE {
                    workers.spawn(streams(at, starts.clone(), Arc::clone(&left)));
                }
            }
            Self::Datagrams => {
                workers.spawn(datagrams(at, Arc::clone(&left)));
            }
        }
        while left.load(Ordering::SeqCst) > 0 {
            sleep(Duration::from_millis(5)).await;
        }
        let all = async { while workers.join_next().await.transpose().unwrap().is_some() {} };
        let _ = timeout(grace, all).await;
        // Those that the node still bears with hang up.
        workers.shutdown().await;
    }
}

/// Which one it is that comes next, if any.
fn take(left: &AtomicU64) -> Option<u64> {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).ok()
}

async fn streams(at: SocketAddr, starts: Vec<Arc<[u8]>>, left: Arc<AtomicU64>) {
    while let Some(number) = take(&left) {
        // The node may be so busy that the system refuses some.
        let Ok(mut io) = TcpStream::connect(at).await else { continue };
        let start = if number < LAST { &starts[0] } else { &starts[number as usize % starts.len()] };
        if io.write_all(start).await.is_ok() {
            // Until the node hangs up. What it says before is not answered.
            let _ = timeout(PATIENCE, io.read_to_end(&mut Vec::new())).await;
        }
    }
}

async fn datagrams(at: SocketAddr, left: Arc<AtomicU64>) {
    let initials = Initials::new();
    let mut sockets = Vec::new();
    for _ in 0..PORTS {
        sockets.push(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    }
    while let Some(number) = take(&left) {
        let socket = &sockets[number as usize % PORTS];
        // A full buffer of the system drops it, as a network would.
        let _ = socket.send_to(&initials.packet(number), at).await;
        if number % BURST == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }
    // The answers find somebody, who does not read them.
    std::future::pending().await
}
