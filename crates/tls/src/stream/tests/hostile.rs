//! Records that a peer must not send, or that change on the way.

use super::*;
use crate::record::{ALERT, DATA, HANDSHAKE};

const CHANGE_CIPHER_SPEC: u8 = 20;

/// An established session: the plugin's end, which is the server if so wanted, and a peer that seals what it likes.
pub(super) async fn against(our_end_is_server: bool) -> (TlsStream, Session) {
    against_with(our_end_is_server, &Buffers::new(4)).await
}

pub(super) async fn against_with(our_end_is_server: bool, buffers: &Buffers) -> (TlsStream, Session) {
    let (a, b) = duplex(ROOM);
    let (client, server) = sessions(Box::new(a), Box::new(b)).await;
    let (ours, peer) = if our_end_is_server { (server, client) } else { (client, server) };
    (TlsStream::new(ours, buffers).unwrap(), peer)
}

impl Session {
    pub(super) fn record(&mut self, content_type: u8, plain: &[u8]) -> Vec<u8> {
        let mut record = vec![0; plain.len() + OVERHEAD];
        self.sealer.seal_from(content_type, plain, &mut record).unwrap();
        record
    }

    fn key_update(&mut self, asks: bool) -> Vec<u8> {
        let record = self.record(HANDSHAKE, &[24, 0, 0, 1, asks.into()]);
        self.sealer = self.secrets.next_sealer().unwrap();
        record
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
    }

    /// The content of the next record that arrives.
    async fn receive(&mut self) -> (u8, Vec<u8>) {
        let mut header = [0; 5];
        self.io.read_exact(&mut header).await.unwrap();
        let mut sealed = vec![0; crate::record::sealed_len(header).unwrap()];
        self.io.read_exact(&mut sealed).await.unwrap();
        let content = self.opener.open_in_place(header, &mut sealed).unwrap();
        sealed.truncate(content.len);
        (content.content_type, sealed)
    }
}

/// What is read from these bytes, followed by the end of file, and the error that ends it.
pub(super) async fn read(
    ours: &mut TlsStream,
    peer: &mut Session,
    bytes: &[u8],
) -> (Vec<u8>, Option<RecordError>) {
    peer.send(bytes).await;
    peer.io.shutdown().await.unwrap();
    let mut got = Vec::new();
    let error = ours.read_to_end(&mut got).await.err().map(|error| cause(&error));
    if let Some(error) = error {
        assert_eq!(cause(&ours.read_u8().await.unwrap_err()), error, "a stream that failed stays so");
    }
    (got, error)
}

fn cause(error: &io::Error) -> RecordError {
    *error.get_ref().unwrap().downcast_ref().unwrap()
}

#[tokio::test]
async fn replayed_swapped_and_dropped_records_are_refused() {
    for which in 0..3 {
        let (mut ours, mut peer) = against(true).await;
        let (first, second) = (peer.record(DATA, b"first"), peer.record(DATA, b"second"));
        let (bytes, expected, record) = match which {
            0 => ([&first[..], &first].concat(), &b"first"[..], 1),
            1 => ([&second[..], &first].concat(), &b""[..], 0),
            _ => (second, &b""[..], 0),
        };
        let (got, error) = read(&mut ours, &mut peer, &bytes).await;
        assert_eq!(got, expected);
        assert_eq!(error, Some(RecordError::Decrypt { record }));
    }
}

#[tokio::test]
async fn a_record_changed_anywhere_is_refused_and_nothing_of_it_is_read() {
    let len = OVERHEAD + 8;
    for at in 0..len {
        for bit in 0..8 {
            let (mut ours, mut peer) = against(true).await;
            let mut record = peer.record(DATA, b"the data");
            record[at] ^= 1 << bit;
            let (got, error) = read(&mut ours, &mut peer, &record).await;
            assert!(got.is_empty() && error.is_some(), "byte {at}, bit {bit}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_cut_anywhere_is_an_error_unless_it_was_announced() {
    for cut in 0..=OVERHEAD + 8 {
        let (mut ours, mut peer) = against(false).await;
        let bytes = [peer.record(DATA, b"whole"), peer.record(DATA, b"the data")].concat();
        let whole = bytes.len() - (OVERHEAD + 8);
        let (got, error) = read(&mut ours, &mut peer, &bytes[..whole + cut]).await;
        let all = cut == OVERHEAD + 8;
        assert_eq!(got, if all { &b"wholethe data"[..] } else { b"whole" });
        assert_eq!(error, Some(RecordError::Truncated { have: if all { 0 } else { cut } }));
    }
    let (mut ours, mut peer) = against(false).await;
    let bytes =
        [peer.record(DATA, b"all"), peer.record(ALERT, &[1, 0]), peer.record(DATA, b"ignored")].concat();
    assert_eq!(read(&mut ours, &mut peer, &bytes).await, (b"all".to_vec(), None));
}

#[tokio::test]
async fn padding_of_any_length_is_taken_off() {
    let (mut ours, mut peer) = against(true).await;
    let mut bytes = peer.record(0, b"padded\x17");
    bytes.extend(peer.record(0, &[b"more\x17".to_vec(), vec![0; 10_000]].concat()));
    bytes.extend(peer.record(0, &[&[7; 16_384][..], b"\x17", &[0; 238]].concat()));
    bytes.extend(peer.record(ALERT, &[1, 0]));
    let (got, error) = read(&mut ours, &mut peer, &bytes).await;
    assert_eq!(error, None);
    assert!(got.starts_with(b"paddedmore\x07") && got.len() == 10 + 16_384);
}

#[tokio::test]
async fn what_has_no_place_is_refused_and_the_peer_is_told() {
    let unexpected = |content_type| RecordError::UnexpectedRecord { content_type };
    for server in [true, false] {
        for (content_type, plain, expected, alert) in [
            (CHANGE_CIPHER_SPEC, vec![1], unexpected(CHANGE_CIPHER_SPEC), 10),
            (24, vec![], unexpected(24), 10),
            (0, vec![0; 9], unexpected(0), 10),
            (HANDSHAKE, vec![], RecordError::BadMessage, 50),
            (HANDSHAKE, vec![1, 0, 0, 0], RecordError::UnexpectedMessage { message_type: 1 }, 10),
            (HANDSHAKE, vec![24, 0, 0, 1, 9], RecordError::BadMessage, 50),
            (ALERT, vec![1], RecordError::BadMessage, 50),
            (DATA, vec![7; 16_385], RecordError::TooLong { len: 16_385 }, 22),
        ] {
            let (mut ours, mut peer) = against(server).await;
            let record = peer.record(content_type, &plain);
            peer.send(&record).await;
            let error = ours.read_u8().await.unwrap_err();
            assert_eq!(cause(&error), expected);
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert_eq!(peer.receive().await, (ALERT, vec![2, alert]));
            assert!(ours.write_all(b"x").await.is_err(), "nothing more is for such a peer");
        }
    }
}

#[tokio::test]
async fn outer_headers_are_checked_before_anything_is_opened() {
    for (bytes, expected) in [
        (&b"\x14\x03\x03\x00\x01\x01"[..], RecordError::UnexpectedRecord { content_type: 20 }),
        (b"GET / HTTP/1.1\r\n", RecordError::UnexpectedRecord { content_type: b'G' }),
        (b"\x17\x03\x03\x00\x10", RecordError::TooShort { len: 16 }),
        (b"\x17\x03\x03\x41\x01", RecordError::TooLong { len: 16_641 }),
    ] {
        let (mut ours, mut peer) = against(true).await;
        assert_eq!(read(&mut ours, &mut peer, bytes).await, (Vec::new(), Some(expected)));
    }
}

#[tokio::test]
async fn a_message_is_not_interrupted_by_data() {
    let (mut ours, mut peer) = against(true).await;
    let bytes = [peer.record(HANDSHAKE, &[24, 0]), peer.record(DATA, b"x")].concat();
    let expected = RecordError::UnexpectedRecord { content_type: DATA };
    assert_eq!(read(&mut ours, &mut peer, &bytes).await, (Vec::new(), Some(expected)));
}

#[tokio::test]
async fn an_alert_ends_both_directions() {
    let (mut ours, mut peer) = against(false).await;
    // The peer refuses the certificate after this side took the handshake for done.
    let alert = peer.record(ALERT, &[2, 42]);
    peer.send(&alert).await;
    let error = ours.read_u8().await.unwrap_err();
    assert_eq!(cause(&error), RecordError::Alert { description: 42 });
    assert!(error.to_string().contains("BadCertificate"), "{error}");
    assert_eq!(cause(&ours.write_all(b"x").await.unwrap_err()), RecordError::Alert { description: 42 });
}

#[tokio::test]
async fn a_peer_may_change_its_key_and_ask_for_ours() {
    let (mut ours, mut peer) = against(true).await;
    for asks in [false, true] {
        let bytes = [peer.record(DATA, b"old "), peer.key_update(asks), peer.record(DATA, b"new ")].concat();
        peer.send(&bytes).await;
        let mut got = [0; 8];
        ours.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"old new ");
    }
    ours.write_all(b"answer").await.unwrap();
    ours.flush().await.unwrap();
    assert_eq!(peer.receive().await, (HANDSHAKE, vec![24, 0, 0, 1, 0]));
    peer.opener = peer.secrets.next_opener().unwrap();
    assert_eq!(peer.receive().await, (DATA, b"answer".to_vec()));
}

#[tokio::test]
async fn changing_keys_without_end_is_refused_and_answered_once() {
    let (mut ours, mut peer) = against(true).await;
    for _ in 0..32 {
        let record = peer.key_update(true);
        peer.send(&record).await;
    }
    let data = peer.record(DATA, b"x");
    peer.send(&data).await;
    assert_eq!(ours.read_u8().await.unwrap(), b'x');
    ours.write_all(b"y").await.unwrap();
    ours.flush().await.unwrap();
    assert_eq!(peer.receive().await.0, HANDSHAKE);
    peer.opener = peer.secrets.next_opener().unwrap();
    assert_eq!(peer.receive().await, (DATA, b"y".to_vec()));

    for _ in 0..33 {
        let record = peer.key_update(false);
        peer.send(&record).await;
    }
    assert_eq!(cause(&ours.read_u8().await.unwrap_err()), RecordError::KeyUpdates { count: 33 });
}

#[tokio::test]
async fn tickets_are_taken_from_a_server_and_not_from_a_client() {
    let ticket = [&[4, 0, 0, 60][..], &[1; 60]].concat();
    let (mut ours, mut peer) = against(false).await;
    let bytes = [peer.record(HANDSHAKE, &ticket), peer.record(DATA, b"x")].concat();
    peer.send(&bytes).await;
    assert_eq!(ours.read_u8().await.unwrap(), b'x');
    let (mut ours, mut peer) = against(true).await;
    let record = peer.record(HANDSHAKE, &ticket);
    let expected = RecordError::UnexpectedMessage { message_type: 4 };
    assert_eq!(read(&mut ours, &mut peer, &record).await, (Vec::new(), Some(expected)));
}

#[tokio::test]
async fn records_without_data_are_skipped_some_per_turn() {
    let (mut ours, mut peer) = against(true).await;
    for _ in 0..1000 {
        let record = peer.record(DATA, b"");
        peer.send(&record).await;
    }
    let record = peer.record(DATA, b"x");
    peer.send(&record).await;

    let (mut turns, mut got) = (0, [0; 32]);
    let n = poll_fn(|cx| {
        turns += 1;
        let mut out = ReadBuf::new(&mut got);
        Pin::new(&mut ours).poll_read(cx, &mut out).map_ok(|()| out.filled().len())
    });
    assert_eq!(n.await.unwrap(), 1);
    assert_eq!((turns, got[0]), (1000 / 64 + 1, b'x'));
}

#[tokio::test]
async fn what_is_not_data_does_not_stay_in_the_readers_buffer() {
    let (mut ours, mut peer) = against(false).await;
    let ticket = [&[4, 0, 0, 8][..], b"a secret"].concat();
    let bytes = [peer.record(HANDSHAKE, &ticket), peer.record(DATA, b"x")].concat();
    peer.send(&bytes).await;
    let mut got = [0; 64];
    assert_eq!(ours.read(&mut got).await.unwrap(), 1);
    assert!(!got.windows(8).any(|part| part == b"a secret"));
}
