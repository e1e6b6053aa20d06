//! Frames of an established session that are changed, repeated, swapped or cut short.

use crate::{against, peer::Session};
use skep_api::{BoxIo, security::Role};
use skep_security_noise::FrameError;
use std::io::{Error, ErrorKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// An established session: the plugin's end as the listener, and the peer's.
async fn session() -> (BoxIo, Session) {
    let (outcome, session) = against(Role::Listener, async |peer| {
        let payload = peer.proof();
        peer.shake(Role::Dialer, &payload).await.0
    })
    .await;
    (outcome.unwrap().into_parts().0, session)
}

/// What the plugin reads from these bytes, followed by the end of file, and the error that ends it.
async fn read(mut ours: BoxIo, mut session: Session, bytes: &[u8]) -> (Vec<u8>, Option<Error>) {
    session.io.write_all(bytes).await.unwrap();
    session.io.shutdown().await.unwrap();
    let mut got = Vec::new();
    let error = ours.read_to_end(&mut got).await.err();
    if let Some(error) = &error {
        let again = ours.read_u8().await.unwrap_err();
        assert_eq!(cause(&again), cause(error), "a stream that failed stays so");
    }
    (got, error)
}

fn cause(error: &Error) -> FrameError {
    *error.get_ref().unwrap().downcast_ref().unwrap()
}

#[tokio::test]
async fn a_replayed_frame_is_refused() {
    let (ours, mut session) = session().await;
    let frame = session.frame(b"once");
    let (got, error) = read(ours, session, &[&frame[..], &frame].concat()).await;
    assert_eq!(got, b"once");
    let error = error.unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert_eq!(cause(&error), FrameError::Decrypt { frame: 1 });
}

#[tokio::test]
async fn swapped_and_dropped_frames_are_refused() {
    for swapped in [true, false] {
        let (ours, mut session) = session().await;
        let (first, second) = (session.frame(b"first"), session.frame(b"second"));
        let bytes = if swapped { [second, first].concat() } else { second };
        let (got, error) = read(ours, session, &bytes).await;
        assert!(got.is_empty());
        assert_eq!(cause(&error.unwrap()), FrameError::Decrypt { frame: 0 });
    }
}

#[tokio::test]
async fn a_frame_changed_anywhere_is_refused_and_nothing_of_it_is_read() {
    for at in 0..2 + 8 + 16 {
        for bit in 0..8 {
            let (ours, mut session) = session().await;
            let mut frame = session.frame(b"the data");
            frame[at] ^= 1 << bit;
            let (got, error) = read(ours, session, &frame).await;
            assert!(got.is_empty(), "byte {at}");
            let error = error.unwrap();
            assert!(matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof), "byte {at}");
        }
    }
}

#[tokio::test]
async fn a_frame_cut_anywhere_is_an_error_but_between_frames_is_the_end() {
    for cut in 0..=2 + 8 + 16 {
        let (ours, mut session) = session().await;
        let bytes = [session.frame(b"whole"), session.frame(b"the data")].concat();
        let whole = bytes.len() - 26;
        let (got, error) = read(ours, session, &bytes[..whole + cut]).await;
        match cut {
            0 => assert!(got == b"whole" && error.is_none()),
            26 => assert!(got == b"wholethe data" && error.is_none()),
            _ => {
                let error = error.unwrap();
                assert_eq!(got, b"whole");
                assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
                assert_eq!(cause(&error), FrameError::Truncated { have: cut });
            }
        }
    }
}

#[tokio::test]
async fn a_frame_without_room_for_a_tag_is_refused() {
    let (ours, session) = session().await;
    let (got, error) = read(ours, session, b"\0\x0f0123456789abcde").await;
    assert!(got.is_empty());
    assert_eq!(cause(&error.unwrap()), FrameError::TooShort { len: 15 });
}

#[tokio::test]
async fn frames_that_come_with_the_last_message_are_read() {
    let (outcome, ()) = against(Role::Listener, async |mut peer| {
        peer.send(b"").await;
        peer.receive().await;
        let payload = peer.proof();
        let last = peer.message(&payload);
        let mut session = Session { io: peer.io, state: peer.state.into_transport_mode().unwrap() };
        let bytes = [last, session.frame(b"at once")].concat();
        session.io.write_all(&bytes).await.unwrap();
    })
    .await;
    let mut got = String::new();
    outcome.unwrap().into_parts().0.read_to_string(&mut got).await.unwrap();
    assert_eq!(got, "at once");
}
