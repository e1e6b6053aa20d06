//! What arrives together with the handshake.

use super::*;
use crate::{Offer, record::DATA};
use std::collections::VecDeque;

/// Longer than a buffer.
const MUCH: usize = BUFFER_LEN + MAX_PLAIN_LEN;

/// A first message that is nearly as long as a handshake may be, the records that it comes in, and reads of it that make
/// the room for a handshake double each time: when 20 bytes are missing, one more header is needed.
const LEN: usize = 65_530;
const RECORD: usize = 8600;
const DOUBLING: [usize; 3] = [1000, LEN - 20, LEN];

/// Reads up to each of these places of the stream, and then as much as there is room for.
struct Stops {
    io: DuplexStream,
    lens: VecDeque<usize>,
}

impl Stops {
    fn boxed(io: DuplexStream, places: &[usize]) -> BoxIo {
        let before = std::iter::once(&0).chain(places);
        Box::new(Self { io, lens: places.iter().zip(before).map(|(to, from)| to - from).collect() })
    }
}

impl AsyncRead for Stops {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let most = this.lens.front().copied().unwrap_or(usize::MAX).min(out.remaining());
        let mut some = vec![0; most];
        let mut some = ReadBuf::new(&mut some);
        ready!(Pin::new(&mut this.io).poll_read(cx, &mut some))?;
        let n = some.filled().len();
        out.put_slice(some.filled());
        if let Some(len) = this.lens.front_mut() {
            *len -= n;
            if *len == 0 {
                this.lens.pop_front();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stops {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, data)
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

/// Application protocols that take so many bytes of a first message, and one that is known.
fn protocols(mut len: usize) -> Vec<Vec<u8>> {
    let mut names = vec![b"libp2p".to_vec()];
    while len > 0 {
        let most = if len == 257 { 128 } else { 256 };
        names.push(vec![b'x'; len.min(most) - 1]);
        len -= len.min(most);
    }
    names
}

/// A client with these protocols that sends its first message in short records.
fn client(alpn: &[Vec<u8>]) -> Arc<ClientConfig> {
    let mut config = (*client_config(&IDENTITY, Verifier::new(None), alpn).0).clone();
    config.max_fragment_size = Some(RECORD);
    Arc::new(config)
}

/// How long the first message of such a client is, its records included.
async fn first_message_len(config: Arc<ClientConfig>) -> usize {
    let (a, mut b) = duplex(ROOM);
    let mut sent = Vec::with_capacity(ROOM);
    tokio::select! {
        biased;
        _ = handshake::connect(Box::new(a), config, name()) => panic!("nobody answers"),
        n = b.read_buf(&mut sent) => n.unwrap(),
    }
}

/// Protocols with which a first message is as long as [`LEN`].
async fn protocols_to_fit() -> Vec<Vec<u8>> {
    let most = 64_000;
    let rest = LEN - first_message_len(client(&protocols(most))).await;
    let alpn = protocols(most + rest);
    assert_eq!(first_message_len(client(&alpn)).await, LEN);
    alpn
}

/// Sends what is left of the handshake and much data, all at once.
async fn dial(io: BoxIo, config: Arc<ClientConfig>, data: &[u8]) -> Session {
    let mut session = handshake::connect(io, config, name()).await.unwrap();
    let mut bytes = std::mem::take(&mut session.unsent);
    for plain in data.chunks(MAX_PLAIN_LEN) {
        let mut record = vec![0; plain.len() + OVERHEAD];
        session.sealer.seal_from(DATA, plain, &mut record).unwrap();
        bytes.extend(record);
    }
    session.io.write_all(&bytes).await.unwrap();
    session
}

#[tokio::test]
async fn however_much_follows_a_handshake_at_once_all_of_it_arrives() {
    let (data, buffers) = (pattern(MUCH), Buffers::new(4));
    let alpn = protocols_to_fit().await;
    for (looks_first, places) in [(false, &DOUBLING[..]), (false, &[]), (true, &DOUBLING), (true, &[])] {
        let (a, b) = duplex(ROOM);
        let (b, server) = (Stops::boxed(b, places), configs().1);
        let accept = async {
            match looks_first {
                true => Offer::read(b).await?.accept(server, &buffers).await,
                false => TlsStream::accept(b, server, &buffers).await,
            }
        };
        let (_peer, accepted) = tokio::join!(dial(Box::new(a), client(&alpn), &data), accept);
        let mut got = vec![0; data.len()];
        accepted.unwrap().read_exact(&mut got).await.unwrap();
        assert!(got == data);
    }
}

#[tokio::test]
async fn what_is_read_behind_a_handshake_is_far_less_than_a_buffer_takes() {
    let data = pattern(MUCH);
    let alpn = protocols_to_fit().await;
    for places in [&DOUBLING[..], &[]] {
        let (a, b) = duplex(ROOM);
        let accept = handshake::accept(Stops::boxed(b, places), Vec::new(), configs().1);
        let (_peer, session) = tokio::join!(dial(Box::new(a), client(&alpn), &data), accept);
        let surplus = session.unwrap().surplus.len();
        assert!((1..=BUFFER_LEN / 4).contains(&surplus), "{surplus} bytes");
    }
}

#[tokio::test]
async fn a_handshake_that_left_more_than_a_buffer_takes_is_an_error() {
    for (surplus, unsent) in [(BUFFER_LEN + 1, 0), (0, BUFFER_LEN + 1)] {
        let (a, b) = duplex(ROOM);
        let mut session = sessions(Box::new(a), Box::new(b)).await.0;
        (session.surplus, session.unsent) = (vec![0; surplus], vec![0; unsent]);
        let error = TlsStream::new(session, &Buffers::new(4)).unwrap_err();
        assert!(error.to_string().contains("more bytes than a buffer takes"), "{error}");
    }
}
