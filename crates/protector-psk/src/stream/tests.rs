use super::PskStream;
use crate::{
    cipher::{Keystream, NONCE_LEN},
    incoming::Incoming,
    key::Key,
    opening::{HEADER, HEADER_LEN, Opening},
    outgoing::Outgoing,
};
use skep_api::{
    BoxIo,
    error::Kind,
    protector::{ProtectorError, ProtectorErrorKind},
};
use skep_testkit::{DuplexConfig, duplex};
use std::{io::IoSlice, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

const NONCE: [u8; NONCE_LEN] = [1; NONCE_LEN];
const THEIR_NONCE: [u8; NONCE_LEN] = [2; NONCE_LEN];

fn key() -> Arc<Key> {
    let key = Key::made(|bytes| {
        bytes.fill(7);
        Ok::<_, ()>(())
    });
    Arc::new(key.ok().unwrap())
}

fn dialer(io: BoxIo) -> PskStream {
    let outgoing = Outgoing::with_nonce(Keystream::new(&key(), &NONCE), NONCE);
    PskStream::dialer(io, Incoming::Opening(Box::new(Opening::new(NONCE)), key()), outgoing)
}

/// What a listener with this key sends.
fn answer(text: &[u8]) -> Vec<u8> {
    let mut bytes = [&HEADER[..], text].concat();
    Keystream::new(&key(), &THEIR_NONCE).apply(&mut bytes).unwrap();
    [&THEIR_NONCE[..], &bytes].concat()
}

/// What a dialler sent, decrypted.
fn plain(sent: &[u8]) -> Vec<u8> {
    let (nonce, bytes) = sent.split_at(NONCE_LEN);
    assert_eq!(nonce, NONCE);
    let mut bytes = bytes.to_vec();
    Keystream::new(&key(), &NONCE).apply(&mut bytes).unwrap();
    bytes
}

#[tokio::test(start_paused = true)]
async fn bytes_are_encrypted_once_however_few_the_stream_below_takes() {
    let text: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    for most in [1, 3, 61, 64, 65, 1_000, 65_535, 65_536, 65_537] {
        let (io, mut peer) = duplex(DuplexConfig::short(usize::MAX, most).with_capacity(most.max(1_000)));
        let mut stream = dialer(io);
        let writes = async {
            stream.write_all(&text).await.unwrap();
            stream.shutdown().await.unwrap();
        };
        let mut sent = Vec::new();
        let (_, read) = tokio::join!(writes, peer.read_to_end(&mut sent));
        read.unwrap();
        assert_eq!(sent.len(), NONCE_LEN + text.len());
        assert!(plain(&sent) == text, "writes of {most} bytes");
    }
}

#[tokio::test]
async fn several_slices_go_in_one_batch() {
    let (io, mut peer) = duplex(DuplexConfig::default().with_capacity(1 << 20));
    let mut stream = dialer(io);
    let long = vec![9; 70_000];
    let slices = [IoSlice::new(b"one"), IoSlice::new(b""), IoSlice::new(b"two"), IoSlice::new(&long)];
    assert_eq!(stream.write_vectored(&slices).await.unwrap(), 65_536, "a batch has an end");
    drop(stream);
    let mut sent = Vec::new();
    peer.read_to_end(&mut sent).await.unwrap();
    assert_eq!(plain(&sent), [b"onetwo", &long[..65_530]].concat());
}

#[tokio::test(start_paused = true)]
async fn a_stream_at_rest_holds_no_buffer() {
    let (io, mut peer) = duplex(DuplexConfig::default().with_capacity(1 << 20));
    let mut stream = dialer(io);
    stream.write_all(&[9; 60_000]).await.unwrap();
    assert!(stream.outgoing.memory() >= 60_000);
    stream.flush().await.unwrap();
    assert_eq!(stream.outgoing.memory(), 0);
    stream.write_all(b"a few").await.unwrap();
    assert!(stream.outgoing.memory() < 1_000, "few bytes take little: {}", stream.outgoing.memory());
    peer.write_all(&answer(b"")).await.unwrap();
    stream.read_exact(&mut [0; HEADER_LEN]).await.unwrap();
    assert!(matches!(stream.incoming, Incoming::Open(_, 0)), "what was needed to know the peer is gone");
    assert!(size_of::<PskStream>() < 512, "{}", size_of::<PskStream>());
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_waits_sends_the_nonce() {
    let (io, mut peer) = duplex(DuplexConfig::default());
    let mut stream = dialer(io);
    let answers = async {
        let mut nonce = [0; NONCE_LEN];
        peer.read_exact(&mut nonce).await.unwrap();
        assert_eq!(nonce, NONCE);
        peer.write_all(&answer(b"hello")).await.unwrap();
    };
    let mut heard = vec![0; HEADER_LEN + 5];
    let both = async { tokio::join!(answers, stream.read_exact(&mut heard)).1 };
    timeout(Duration::from_secs(60), both).await.unwrap().unwrap();
    assert_eq!(heard, [&HEADER[..], b"hello"].concat());
    stream.write_all(b"x").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    peer.read_to_end(&mut rest).await.unwrap();
    assert_eq!(plain(&[&NONCE[..], &rest].concat()), b"x", "the nonce was sent once");
}

#[tokio::test(start_paused = true)]
async fn a_stranger_gets_nothing_more() {
    let (io, mut peer) = duplex(DuplexConfig::default());
    let mut stream = dialer(io);
    stream.write_all(HEADER).await.unwrap();
    let mut junk = answer(b"");
    junk[NONCE_LEN] ^= 1;
    peer.write_all(&junk).await.unwrap();
    let failures = [
        stream.read_u8().await.unwrap_err(),
        stream.read_u8().await.unwrap_err(),
        stream.write_all(b"secret").await.unwrap_err(),
        stream.flush().await.unwrap_err(),
    ];
    for error in failures {
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
        let inner: &ProtectorError = error.get_ref().and_then(|inner| inner.downcast_ref()).unwrap();
        assert_eq!(inner.kind(), ProtectorErrorKind::WrongNetwork);
        assert_eq!(inner.kind().code(), "wrong_network");
    }
    stream.shutdown().await.unwrap();
    let mut sent = Vec::new();
    peer.read_to_end(&mut sent).await.unwrap();
    assert_eq!(plain(&sent), HEADER);
}
