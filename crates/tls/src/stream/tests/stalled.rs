//! Peers that stop in the middle of a record.

use super::{
    hostile::{against, against_with, read},
    *,
};
use crate::{incoming::MAX_KEPT, record::DATA};

/// What one poll reads.
async fn poll_once(ours: &mut TlsStream) -> Poll<Vec<u8>> {
    poll_fn(|cx| {
        let mut got = [0; 4096];
        let mut out = ReadBuf::new(&mut got);
        Poll::Ready(Pin::new(&mut *ours).poll_read(cx, &mut out).map(|read| {
            read.unwrap();
            out.filled().to_vec()
        }))
    })
    .await
}

#[tokio::test]
async fn a_reader_that_waits_for_the_rest_of_a_record_holds_no_buffer() {
    let data = pattern(2 * MAX_KEPT);
    for part in [1, 4, 5, 6, MAX_KEPT - 1, MAX_KEPT] {
        let buffers = Buffers::new(4);
        let (mut ours, mut peer) = against_with(true, &buffers).await;
        let whole = peer.record(DATA, b"whole");
        let record = peer.record(DATA, &data);
        peer.send(&[&whole[..], &record[..part]].concat()).await;
        assert_eq!(poll_once(&mut ours).await, Poll::Ready(b"whole".to_vec()));
        for _ in 0..2 {
            assert_eq!(poll_once(&mut ours).await, Poll::Pending);
            assert_eq!(buffers.idle(), 1, "after {part} bytes");
        }
        peer.send(&record[part..]).await;
        assert_eq!(poll_once(&mut ours).await, Poll::Ready(data.clone()));
        assert_eq!(poll_once(&mut ours).await, Poll::Pending);
        assert_eq!(buffers.idle(), 1);
    }
}

#[tokio::test]
async fn a_reader_that_has_much_of_a_record_stays_where_it_is() {
    let buffers = Buffers::new(4);
    let (mut ours, mut peer) = against_with(true, &buffers).await;
    let record = peer.record(DATA, &pattern(2 * MAX_KEPT));
    peer.send(&record[..=MAX_KEPT]).await;
    assert_eq!(poll_once(&mut ours).await, Poll::Pending);
    assert_eq!(buffers.idle(), 0);
}

#[tokio::test]
async fn records_that_come_a_byte_at_a_time_arrive() {
    let buffers = Buffers::new(4);
    let (mut ours, mut peer) = against_with(false, &buffers).await;
    let data = pattern(2 * MAX_KEPT);
    for _ in 0..2 {
        let record = peer.record(DATA, &data);
        let (last, before) = record.split_last().unwrap();
        for byte in before {
            peer.send(&[*byte]).await;
            assert_eq!(poll_once(&mut ours).await, Poll::Pending);
        }
        peer.send(&[*last]).await;
        assert_eq!(poll_once(&mut ours).await, Poll::Ready(data.clone()));
    }
}

#[tokio::test]
async fn an_end_after_a_wait_tells_how_much_of_the_record_there_was() {
    for part in [1, MAX_KEPT, MAX_KEPT + 1] {
        let (mut ours, mut peer) = against(true).await;
        let record = peer.record(DATA, &pattern(2 * MAX_KEPT));
        peer.send(&record[..part]).await;
        assert_eq!(poll_once(&mut ours).await, Poll::Pending);
        let expected = RecordError::Truncated { have: part };
        assert_eq!(read(&mut ours, &mut peer, &[]).await, (Vec::new(), Some(expected)));
    }
}
