use super::*;
use crate::buffer::BUFFER_LEN;
use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};
use std::{
    future::poll_fn,
    sync::atomic::{AtomicUsize, Ordering},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const ROOM: usize = 8 * BUFFER_LEN;

fn keys(ours: u8, theirs: u8) -> SessionKeys {
    SessionKeys::new(&[ours; 32], &[theirs; 32]).unwrap()
}

fn pair(room: usize, pool: &Arc<Pool>) -> (NoiseStream, NoiseStream) {
    let (a, b) = duplex(room);
    (stream(Box::new(a), 1, pool, b""), stream(Box::new(b), 2, pool, b""))
}

fn stream(io: BoxIo, side: u8, pool: &Arc<Pool>, unsent: &[u8]) -> NoiseStream {
    NoiseStream::new(io, keys(side, 3 - side), pool, unsent, b"")
}

/// Counts the writes and flushes that reach a stream.
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
        let mut few = out.take(this.most);
        ready!(Pin::new(&mut this.io).poll_read(cx, &mut few))?;
        let n = few.filled().len();
        // `take` borrows memory that its owner does not know to be initialised.
        let data = few.filled().to_vec();
        assert!(n <= this.most);
        out.put_slice(&data);
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

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Writes pieces, some of them flushed, and reads pieces: what arrives is what was sent.
async fn round_trip(sizes: &[(usize, bool)], read_size: usize, most: usize) -> (Vec<u8>, Vec<u8>) {
    let (a, b) = duplex(ROOM);
    let pool = Pool::new(4);
    let mut from = stream(Choppy::boxed(a, most), 1, &pool, b"");
    let mut to = stream(Choppy::boxed(b, most), 2, &pool, b"");
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
    (prop::sample::select(vec![0, 1, 17, 1000, 65_518, 65_519, 65_520, 200_000]), any::<bool>())
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]
    #[test]
    fn pieces_of_any_size_arrive_whole_and_in_order(
        sizes in prop::collection::vec(piece(), 0..8),
        read_size in prop::sample::select(vec![13_usize, 4096, 65_519, 300_000]),
        most in prop::sample::select(vec![977_usize, 65_537, 1_000_000]),
    ) {
        let (sent, got) = block_on(round_trip(&sizes, read_size, most));
        prop_assert_eq!(sent.len(), got.len());
        prop_assert!(sent == got, "the same length, other bytes");
    }
}

#[tokio::test]
async fn reading_into_memory_that_is_not_initialised_works_too() {
    let (mut a, mut b) = pair(ROOM, &Pool::new(4));
    let sent = pattern(150_000);
    a.write_all(&sent).await.unwrap();
    a.shutdown().await.unwrap();
    let mut got = Vec::new();
    b.read_to_end(&mut got).await.unwrap();
    assert!(got == sent);
}

#[tokio::test]
async fn small_writes_are_one_frame_and_one_write() {
    let (a, mut wire) = duplex(ROOM);
    let writes = Arc::new(AtomicUsize::new(0));
    let counted = Counted { io: a, writes: Arc::clone(&writes) };
    let mut a = stream(Box::new(counted), 1, &Pool::new(4), b"message 3 ");
    for _ in 0..10 {
        a.write_all(b"0123456789").await.unwrap();
    }
    let slices = [IoSlice::new(b"header"), IoSlice::new(b""), IoSlice::new(b"body")];
    assert_eq!(a.write_vectored(&slices).await.unwrap(), 10);
    assert_eq!(writes.load(Ordering::Relaxed), 0);
    a.flush().await.unwrap();
    assert_eq!(writes.load(Ordering::Relaxed), 1);
    let mut sent = [0; 10 + 2 + 110 + 16];
    wire.read_exact(&mut sent).await.unwrap();
    assert_eq!(&sent[..12], b"message 3 \x00\x7e");
}

#[tokio::test]
async fn a_full_frame_goes_out_without_a_flush() {
    let (mut a, mut b) = pair(ROOM, &Pool::new(4));
    let data = pattern(65_519);
    a.write_all(&data).await.unwrap();
    let mut got = vec![0; data.len()];
    b.read_exact(&mut got).await.unwrap();
    assert!(got == data);
}

#[tokio::test]
async fn a_reader_sends_the_handshakes_last_message_but_leaves_a_turn_for_data() {
    let (a, mut wire) = duplex(ROOM);
    let mut a = stream(Box::new(a), 1, &Pool::new(4), b"message 3");
    let mut byte = [0];
    let first_turn =
        poll_fn(|cx| Poll::Ready(Pin::new(&mut a).poll_read(cx, &mut ReadBuf::new(&mut byte)))).await;
    assert!(first_turn.is_pending());
    let nothing = poll_fn(|cx| {
        let mut one = [0];
        Poll::Ready(Pin::new(&mut wire).poll_read(cx, &mut ReadBuf::new(&mut one)).is_pending())
    });
    assert!(nothing.await);

    let mut message = [0; 9];
    tokio::select! {
        _ = a.read(&mut byte) => panic!("there is nothing to read"),
        read = wire.read_exact(&mut message) => drop(read.unwrap()),
    }
    assert_eq!(&message, b"message 3");
}

#[tokio::test]
async fn a_writer_that_nobody_reads_from_is_held_back() {
    let (mut a, mut b) = pair(1000, &Pool::new(4));
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
    let pool = Pool::new(4);
    let (mut a, mut b) = pair(ROOM, &pool);
    a.write_all(b"hello").await.unwrap();
    assert_eq!(pool.idle(), 0);
    a.flush().await.unwrap();
    assert_eq!(pool.idle(), 1, "what was sent is given back");

    let mut got = [0; 5];
    b.read_exact(&mut got).await.unwrap();
    let waits = poll_fn(|cx| {
        let mut byte = [0];
        Poll::Ready(Pin::new(&mut b).poll_read(cx, &mut ReadBuf::new(&mut byte)).is_pending())
    });
    assert!(waits.await);
    assert_eq!(pool.idle(), 1, "what was read is given back");
    drop((a, b));
    assert_eq!(pool.idle(), 1);
}

#[tokio::test]
async fn frames_without_plaintext_are_skipped_some_per_turn() {
    let (mut wire, b) = duplex(ROOM);
    let pool = Pool::new(4);
    let mut b = stream(Box::new(b), 2, &pool, b"");
    let mut sealer = keys(1, 2).sealer;
    for _ in 0..1000 {
        let mut frame = [0; 18];
        sealer.seal_in_place(&mut frame).unwrap();
        wire.write_all(&frame).await.unwrap();
    }
    let mut frame = *b"\0\0x0123456789abcdef";
    sealer.seal_in_place(&mut frame).unwrap();
    wire.write_all(&frame).await.unwrap();

    let (mut turns, mut got) = (0, [0; 8]);
    let n = poll_fn(|cx| {
        turns += 1;
        let mut out = ReadBuf::new(&mut got);
        Pin::new(&mut b).poll_read(cx, &mut out).map_ok(|()| out.filled().len())
    });
    assert_eq!(n.await.unwrap(), 1);
    assert_eq!((turns, got[0]), (1000 / 64 + 1, b'x'));
}

#[tokio::test]
async fn both_directions_at_once() {
    let pool = Pool::new(4);
    let (mut a, mut b) = pair(100_000, &pool);
    let data = pattern(8 << 20);
    let send = async |io: &mut NoiseStream| {
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
    assert!(pool.idle() <= 4);
}
