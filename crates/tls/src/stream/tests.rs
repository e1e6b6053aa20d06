mod first_bytes;
mod hostile;
mod stalled;

use super::*;
use crate::{Identity, buffer::BUFFER_LEN, client_config, server_config};
use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};
use skep_api::{Keypair, security::Verifier};
use std::{
    future::poll_fn,
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    task::JoinHandle,
};

const ROOM: usize = 8 * BUFFER_LEN;

static IDENTITY: LazyLock<Identity> = LazyLock::new(|| Identity::new(&Keypair::generate_ed25519()).unwrap());

fn configs() -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let alpn = [b"libp2p".to_vec()];
    let client = client_config(&IDENTITY, Verifier::new(None), &alpn).0;
    (client, server_config(&IDENTITY, Verifier::new(None), &alpn).0)
}

fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

/// The two ends of a handshake over these streams. The client's last flight is sent.
async fn sessions(a: BoxIo, b: BoxIo) -> (Session, Session) {
    let (client, server) = configs();
    let (client, server) = tokio::join!(
        async {
            let mut session = handshake::connect(a, client, name()).await.unwrap();
            session.io.write_all(&session.unsent).await.unwrap();
            session.unsent.clear();
            session
        },
        handshake::accept(b, Vec::new(), server)
    );
    (client, server.unwrap())
}

async fn over(a: BoxIo, b: BoxIo, buffers: &Buffers) -> (TlsStream, TlsStream) {
    let (a, b) = sessions(a, b).await;
    (TlsStream::new(a, buffers).unwrap(), TlsStream::new(b, buffers).unwrap())
}

async fn pair(room: usize, buffers: &Buffers) -> (TlsStream, TlsStream) {
    let (a, b) = duplex(room);
    over(Box::new(a), Box::new(b), buffers).await
}

/// Counts the writes that reach a stream.
struct Counted {
    io: DuplexStream,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, out)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.get_mut().io).poll_write(cx, data)
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

/// Moves few bytes at a time, and is not ready every other time.
struct Choppy {
    io: DuplexStream,
    most: usize,
    reads: usize,
    writes: usize,
}

impl Choppy {
    fn boxed(io: DuplexStream, most: usize) -> BoxIo {
        Box::new(Self { io, most, reads: 0, writes: 0 })
    }
}

fn ready(turn: &mut usize, cx: &Context<'_>) -> bool {
    *turn += 1;
    if turn.is_multiple_of(2) {
        cx.waker().wake_by_ref();
    }
    !turn.is_multiple_of(2)
}

impl AsyncRead for Choppy {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !ready(&mut this.reads, cx) {
            return Poll::Pending;
        }
        let mut few = vec![0; this.most.min(out.remaining())];
        let mut few = ReadBuf::new(&mut few);
        ready!(Pin::new(&mut this.io).poll_read(cx, &mut few))?;
        out.put_slice(few.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Choppy {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !ready(&mut this.writes, cx) {
            return Poll::Pending;
        }
        let n = data.len().min(this.most);
        Pin::new(&mut this.io).poll_write(cx, &data[..n])
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

/// Bytes that differ by position.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8).collect()
}

/// Writes pieces, some of them flushed, and reads pieces: what arrives is what was sent. The key changes after
/// `limit` records.
async fn round_trip(
    sizes: &[(usize, bool)],
    read_size: usize,
    most: usize,
    limit: u64,
) -> (Vec<u8>, Vec<u8>) {
    let (a, b) = duplex(ROOM);
    let (mut from, mut to) = over(Choppy::boxed(a, most), Choppy::boxed(b, most), &Buffers::new(4)).await;
    from.outgoing.limit_key(limit);
    let sent = pattern(sizes.iter().map(|(size, _)| size).sum());
    let write = async {
        let mut rest = &sent[..];
        for (size, flush) in sizes {
            let (piece, behind) = rest.split_at(*size);
            from.write_all(piece).await.unwrap();
            if *flush {
                from.flush().await.unwrap();
            }
            rest = behind;
        }
        from.shutdown().await.unwrap();
    };
    let read = async {
        let (mut got, mut piece) = (Vec::new(), vec![0; read_size]);
        loop {
            match to.read(&mut piece).await.unwrap() {
                0 => return got,
                n => got.extend_from_slice(&piece[..n]),
            }
        }
    };
    let ((), got) = tokio::join!(write, read);
    (sent, got)
}

fn piece() -> impl Strategy<Value = (usize, bool)> {
    (prop::sample::select(vec![0, 1, 17, 1000, 16_383, 16_384, 16_385, 200_000]), any::<bool>())
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]
    #[test]
    fn pieces_of_any_size_arrive_whole_and_in_order(
        sizes in prop::collection::vec(piece(), 0..8),
        read_size in prop::sample::select(vec![13_usize, 4096, 16_384, 16_385, 300_000]),
        most in prop::sample::select(vec![977_usize, 16_407, 1_000_000]),
        limit in prop::sample::select(vec![1_u64, 2, 1 << 23]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (sent, got) = runtime.block_on(round_trip(&sizes, read_size, most, limit));
        prop_assert_eq!(sent.len(), got.len());
        prop_assert!(sent == got, "the same length, other bytes");
    }
}

#[tokio::test]
async fn reading_into_memory_that_is_not_initialised_works_too() {
    let (mut a, mut b) = pair(ROOM, &Buffers::new(4)).await;
    let sent = pattern(150_000);
    a.write_all(&sent).await.unwrap();
    a.shutdown().await.unwrap();
    let mut got = Vec::new();
    b.read_to_end(&mut got).await.unwrap();
    assert!(got == sent);
}

/// A client whose last flight is held, the writes that reach the wire, and the server, which is not done yet.
async fn held() -> (TlsStream, Arc<AtomicUsize>, JoinHandle<TlsStream>) {
    let (a, b) = duplex(ROOM);
    let writes = Arc::new(AtomicUsize::new(0));
    let counted = Counted { io: a, writes: Arc::clone(&writes) };
    let (client, server) = configs();
    let server =
        tokio::spawn(async { TlsStream::accept(Box::new(b), server, &Buffers::new(4)).await.unwrap() });
    let client = TlsStream::connect(Box::new(counted), client, name(), &Buffers::new(4)).await.unwrap();
    (client, writes, server)
}

#[tokio::test]
async fn small_writes_go_in_one_write_along_with_the_last_flight() {
    let (mut a, writes, b) = held().await;
    assert_eq!(a.alpn(), Some(&b"libp2p"[..]));
    let before = writes.load(Ordering::Relaxed);
    for _ in 0..10 {
        a.write_all(b"0123456789").await.unwrap();
    }
    let slices = [IoSlice::new(b"header"), IoSlice::new(b""), IoSlice::new(b"body")];
    assert_eq!(a.write_vectored(&slices).await.unwrap(), 10);
    assert_eq!(writes.load(Ordering::Relaxed), before);
    a.flush().await.unwrap();
    assert_eq!(writes.load(Ordering::Relaxed), before + 1);
    let mut got = [0; 110];
    assert_eq!(b.await.unwrap().read(&mut got).await.unwrap(), 110, "one record");
}

#[tokio::test]
async fn a_reader_sends_the_last_flight_but_leaves_a_turn_for_data() {
    let (mut a, writes, b) = held().await;
    let before = writes.load(Ordering::Relaxed);
    let mut byte = [0];
    let first_turn =
        poll_fn(|cx| Poll::Ready(Pin::new(&mut a).poll_read(cx, &mut ReadBuf::new(&mut byte)))).await;
    assert!(first_turn.is_pending());
    assert_eq!(writes.load(Ordering::Relaxed), before);
    let mut b = tokio::select! {
        _ = a.read(&mut byte) => panic!("there is nothing to read"),
        b = b => b.unwrap(),
    };
    b.write_all(b"x").await.unwrap();
    b.flush().await.unwrap();
    assert_eq!(a.read_u8().await.unwrap(), b'x');
}

#[tokio::test]
async fn four_full_records_go_out_without_a_flush() {
    let (mut a, mut b) = pair(ROOM, &Buffers::new(4)).await;
    let data = pattern(1 << 16);
    a.write_all(&data).await.unwrap();
    let mut got = vec![0; data.len()];
    b.read_exact(&mut got).await.unwrap();
    assert!(got == data);
}

#[tokio::test]
async fn a_writer_that_nobody_reads_from_is_held_back() {
    let (mut a, mut b) = pair(1000, &Buffers::new(4)).await;
    let data = pattern(1 << 20);
    let mut taken = 0;
    poll_fn(|cx| {
        while let Poll::Ready(n) = Pin::new(&mut a).poll_write(cx, &data[taken..]) {
            taken += n.unwrap();
        }
        Poll::Ready(())
    })
    .await;
    assert!(taken <= BUFFER_LEN + 1000, "{taken} bytes were taken");

    let mut got = vec![0; data.len()];
    let (sent, read) = tokio::join!(
        async {
            a.write_all(&data[taken..]).await?;
            a.flush().await
        },
        b.read_exact(&mut got)
    );
    sent.unwrap();
    read.unwrap();
    assert!(got == data);
}

#[tokio::test]
async fn a_connection_at_rest_holds_no_buffer() {
    let buffers = Buffers::new(4);
    let (mut a, mut b) = pair(ROOM, &buffers).await;
    a.write_all(b"hello").await.unwrap();
    assert_eq!(buffers.idle(), 0);
    a.flush().await.unwrap();
    assert_eq!(buffers.idle(), 1, "what was sent is given back");

    let mut got = [0; 5];
    b.read_exact(&mut got).await.unwrap();
    let waits = poll_fn(|cx| {
        let mut byte = [0];
        Poll::Ready(Pin::new(&mut b).poll_read(cx, &mut ReadBuf::new(&mut byte)).is_pending())
    });
    assert!(waits.await);
    assert_eq!(buffers.idle(), 1, "what was read is given back");
    drop((a, b));
    assert_eq!(buffers.idle(), 1);
}

#[tokio::test]
async fn one_direction_ends_and_the_other_goes_on() {
    let (mut a, mut b) = pair(ROOM, &Buffers::new(4)).await;
    a.write_all(b"last words").await.unwrap();
    a.shutdown().await.unwrap();
    let mut got = Vec::new();
    b.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"last words");
    assert_eq!(b.read(&mut [0]).await.unwrap(), 0, "the end stays the end");
    b.write_all(b"an answer").await.unwrap();
    b.shutdown().await.unwrap();
    b.shutdown().await.unwrap();
    let mut got = String::new();
    a.read_to_string(&mut got).await.unwrap();
    assert_eq!(got, "an answer");
    let error = a.write_all(b"more").await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn both_directions_at_once() {
    let buffers = Buffers::new(4);
    let (mut a, mut b) = pair(100_000, &buffers).await;
    a.outgoing.limit_key(100);
    let data = pattern(8 << 20);
    let send = async |io: &mut TlsStream| {
        let (mut read, mut write) = tokio::io::split(io);
        let mut got = vec![0; data.len()];
        let (sent, read) = tokio::join!(
            async {
                write.write_all(&data).await?;
                write.flush().await
            },
            read.read_exact(&mut got)
        );
        sent.unwrap();
        read.unwrap();
        got == data
    };
    assert_eq!(tokio::join!(send(&mut a), send(&mut b)), (true, true));
    assert!(buffers.idle() <= 4);
}

#[test]
fn a_stream_is_small_and_shows_no_secret() {
    assert!(size_of::<TlsStream>() <= 1024, "{} bytes", size_of::<TlsStream>());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (a, _b) = runtime.block_on(pair(ROOM, &Buffers::new(0)));
    let text = format!("{a:?}");
    assert!(!text.contains("key: ["), "{text}");
}
