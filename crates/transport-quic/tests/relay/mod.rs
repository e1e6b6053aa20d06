//! A path between dialler and listener that tests can cut and move, and on which they can count.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    dead_code,
    reason = "helpers of tests, of which each program uses some"
)]

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::{net::UdpSocket, task::JoinHandle};

/// Passes datagrams on between one dialler and a listener.
pub(crate) struct Relay {
    /// Where to dial.
    pub(crate) addr: SocketAddr,
    path: Arc<Path>,
    front: JoinHandle<()>,
}

struct Path {
    front: UdpSocket,
    listener: SocketAddr,
    dialer: Mutex<Option<SocketAddr>>,
    /// Faces the listener, with the task that reads from it.
    back: Mutex<(Arc<UdpSocket>, JoinHandle<()>)>,
    cut: AtomicBool,
    retries: AtomicU64,
}

fn socket() -> UdpSocket {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("bind");
    socket.set_nonblocking(true).expect("a socket that does not block");
    // The system caps it.
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20);
    UdpSocket::from_std(socket).expect("a tokio socket")
}

impl Relay {
    pub(crate) fn to(listener: SocketAddr) -> Self {
        let front = socket();
        let addr = front.local_addr().expect("an address");
        let back = Mutex::new((Arc::new(socket()), tokio::spawn(async {})));
        let dialer = Mutex::default();
        let cut = AtomicBool::new(false);
        let path = Arc::new(Path { front, listener, dialer, back, cut, retries: AtomicU64::new(0) });
        path.take_another_way();
        let front = tokio::spawn(Arc::clone(&path).forth());
        Self { addr, path, front }
    }

    /// From now on nothing arrives.
    pub(crate) fn cut(&self) -> Arc<dyn Fn() + Send + Sync> {
        let path = Arc::clone(&self.path);
        Arc::new(move || path.cut.store(true, Ordering::Relaxed))
    }

    /// From now on everything arrives again.
    pub(crate) fn mend(&self) {
        self.path.cut.store(false, Ordering::Relaxed);
    }

    /// From now on the listener sees the dialler at another address, which is given back.
    pub(crate) fn take_another_way(&self) -> SocketAddr {
        self.path.take_another_way()
    }

    /// Retry packets that the listener sent (RFC 9000, section 17.2.5).
    pub(crate) fn retries(&self) -> u64 {
        self.path.retries.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.front.abort();
        self.path.back.lock().unwrap_or_else(PoisonError::into_inner).1.abort();
    }
}

impl Path {
    fn take_another_way(self: &Arc<Self>) -> SocketAddr {
        let back = Arc::new(socket());
        let addr = back.local_addr().expect("an address");
        let task = tokio::spawn(Arc::clone(self).back(Arc::clone(&back)));
        let mut place = self.back.lock().unwrap_or_else(PoisonError::into_inner);
        place.1.abort();
        *place = (back, task);
        addr
    }

    async fn forth(self: Arc<Self>) {
        let mut datagram = vec![0; 65_536];
        loop {
            let Ok((len, from)) = self.front.recv_from(&mut datagram).await else { continue };
            *self.dialer.lock().unwrap_or_else(PoisonError::into_inner) = Some(from);
            let back = Arc::clone(&self.back.lock().unwrap_or_else(PoisonError::into_inner).0);
            if !self.cut.load(Ordering::Relaxed) {
                let _ = back.send_to(&datagram[..len], self.listener).await;
            }
        }
    }

    async fn back(self: Arc<Self>, back: Arc<UdpSocket>) {
        let mut datagram = vec![0; 65_536];
        loop {
            let Ok((len, _)) = back.recv_from(&mut datagram).await else { continue };
            if datagram[0] & 0xf0 == 0xf0 {
                self.retries.fetch_add(1, Ordering::Relaxed);
            }
            let dialer = *self.dialer.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(dialer) = dialer.filter(|_| !self.cut.load(Ordering::Relaxed)) {
                let _ = self.front.send_to(&datagram[..len], dialer).await;
            }
        }
    }
}
