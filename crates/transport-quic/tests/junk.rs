//! Junk of every size, thrown at a listener while honest peers dial it.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod ends;

use ends::{connect_at, connection, listen, socket_of, transport};
use skep_api::{
    Multiaddr,
    transport::{Listener, Transport},
};
use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The most that UDP carries over IPv4.
const MOST: usize = 65_507;

/// Dials, and hears one byte back.
async fn honest(dialer: &Arc<dyn Transport>, listener: &mut Box<dyn Listener>, addr: &Multiaddr) {
    let (dialed, accepted) = connect_at(dialer, listener, addr).await;
    let (dialed, accepted) = (connection(dialed), connection(accepted));
    let mut stream = dialed.conn.open().await.expect("open");
    stream.write_all(b"x").await.expect("write");
    let mut served = accepted.conn.accept().await.expect("accept");
    assert_eq!(served.read_u8().await.expect("read"), b'x');
}

/// Sends datagrams of every size there is, their content at random but for the first byte, which takes all values.
fn throw_junk(at: SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut junk: Vec<u8> = std::iter::repeat_with(|| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random.to_le_bytes()[0]
    })
    .take(2 * MOST)
    .collect();
    for size in 0..=MOST {
        let start = size;
        junk[start] = size.to_le_bytes()[0];
        // A long header of version 1 now and then, which is looked at more closely.
        if size % 3 == 0 && size > 5 {
            junk[start] |= 0xc0;
            junk[start + 1..start + 5].copy_from_slice(&[0, 0, 0, 1]);
        }
        // What the receiver has no room for is lost, as anywhere.
        let _ = socket.send_to(&junk[start..start + size], at);
    }
    // More than this is refused by the system itself.
    assert!(socket.send_to(&junk[..=MOST], at).is_err(), "UDP carried {} bytes", MOST + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn junk_of_every_size_holds_up_nobody() {
    let (dialer, node) = (transport("handshake_timeout = \"30s\""), transport(""));
    let (mut listener, addr) = listen(&node).await;
    let at = socket_of(&addr);
    let over = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&over);
    let junk = tokio::task::spawn_blocking(move || {
        throw_junk(at);
        done.store(true, Ordering::Release);
    });
    let mut served = 0;
    while !over.load(Ordering::Acquire) || served < 3 {
        honest(&dialer, &mut listener, &addr).await;
        served += 1;
    }
    junk.await.expect("the junk");
    honest(&dialer, &mut listener, &addr).await;
}
