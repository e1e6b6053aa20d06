//! Handshakes that break off, or that change on their way.

use crate::{Outcome, ROLES, cx, kind, tls};
use skep_api::{
    BoxIo,
    error::chain,
    security::{Role, SecurityErrorKind, Upgrader},
};
use skep_testkit::{DuplexConfig, Wire, wiretap};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt, duplex},
    time::timeout,
};

/// On paused time, waiting costs nothing.
const GIVE_UP: Duration = Duration::from_secs(10);

/// Length of the record with the word that each end says.
const WORD_RECORD: usize = 5 + 4 + 1 + 16;

fn reader(writer: Role) -> Role {
    match writer {
        Role::Dialer => Role::Listener,
        Role::Listener => Role::Dialer,
    }
}

/// Two instances that are used again and again, so that all handshakes are about as long.
struct Ends {
    dialer: Arc<dyn Upgrader>,
    listener: Arc<dyn Upgrader>,
}

impl Ends {
    fn new() -> Self {
        Self { dialer: tls(), listener: tls() }
    }

    /// A handshake over a wire that is tampered with; each end says a word, and the dialler and the listener tell
    /// whether they heard it.
    async fn shake(&self, tamper: impl FnOnce(&Wire)) -> (Heard, Heard, Wire) {
        let (a, b, wire) = wiretap(DuplexConfig::default());
        tamper(&wire);
        let (dialer, listener) =
            tokio::join!(hear(&*self.dialer, a, Role::Dialer), hear(&*self.listener, b, Role::Listener));
        (dialer, listener, wire)
    }
}

struct Heard {
    outcome: Option<Outcome>,
    word: bool,
}

async fn hear(upgrader: &dyn Upgrader, io: BoxIo, role: Role) -> Heard {
    let secured = match timeout(GIVE_UP, upgrader.secure(io, cx(role, None, &[]))).await {
        Err(_) => return Heard { outcome: None, word: false },
        Ok(Err(error)) => return Heard { outcome: Some(Err(error)), word: false },
        Ok(Ok(secured)) => secured,
    };
    let (mut io, verified, _) = secured.into_parts();
    let sent = async {
        io.write_all(b"word").await?;
        io.flush().await
    };
    let mut got = [0; 4];
    let word = sent.await.is_ok()
        && matches!(timeout(GIVE_UP, io.read_exact(&mut got)).await, Ok(Ok(_)) if &got == b"word");
    Heard { outcome: Some(Ok(skep_api::security::Secured::new(verified, io))), word }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_cut_anywhere_is_an_error() {
    let ends = Ends::new();
    for writer in ROLES {
        for cut in 0.. {
            let (dialer, listener, wire) = ends.shake(|wire| wire.cut(writer, cut)).await;
            let end = if reader(writer) == Role::Dialer { dialer } else { listener };
            match end.outcome.unwrap() {
                Ok(_) => {
                    let handshake = wire.sent_by(writer).len() - WORD_RECORD;
                    assert!(cut >= handshake, "{writer} at {cut} of {handshake}");
                    break;
                }
                Err(error) => assert_eq!(error.kind(), SecurityErrorKind::Io, "{writer} at {cut}: {error}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_changed_anywhere_does_not_work() {
    let ends = Ends::new();
    for writer in ROLES {
        for at in 0.. {
            let (dialer, listener, wire) = ends.shake(|wire| wire.flip(writer, at, 1 << (at % 8))).await;
            let sent = wire.sent_by(writer);
            let works = dialer.word && listener.word;
            if works && at >= sent.len() {
                break;
            }
            // The version of a record counts only where it is encrypted (RFC 8446, section 5.1).
            assert!(!works || versions(&sent).contains(&at), "{writer} at {at} of {}", sent.len());
        }
    }
}

/// Where the records that are not encrypted name their version.
fn versions(sent: &[u8]) -> Vec<usize> {
    const ENCRYPTED: u8 = 23;
    let (mut at, mut found) = (0, Vec::new());
    while let Some([content_type, _, _, high, low]) = sent.get(at..at + 5) {
        if *content_type != ENCRYPTED {
            found.extend([at + 1, at + 2]);
        }
        at += 5 + usize::from(u16::from_be_bytes([*high, *low]));
    }
    found
}

#[tokio::test(start_paused = true)]
async fn junk_in_place_of_any_message_is_an_error() {
    let random =
        |seed: u32| std::iter::successors(Some(seed), |x| Some(x.wrapping_mul(1_664_525).wrapping_add(1)));
    let noise: Vec<u8> = random(7).map(|x| x.to_be_bytes()[0]).take(1 << 16).collect();
    // As records of 16 KiB that look as if they were encrypted.
    let records: Vec<u8> =
        noise.chunks(1 << 14).flat_map(|part| [&b"\x17\x03\x03\x40\x00"[..], part].concat()).collect();
    let ends = Ends::new();
    for writer in ROLES {
        for junk in [&noise, &records, &vec![0; 1 << 16], &vec![0x16; 1 << 16]] {
            for messages in 0..4 {
                let upgrader = if writer == Role::Dialer { &ends.listener } else { &ends.dialer };
                let honest = if writer == Role::Dialer { &ends.dialer } else { &ends.listener };
                let (outcome, replaced) = replace(&**upgrader, &**honest, writer, messages, junk).await;
                assert_eq!(outcome.is_err(), replaced, "{writer} after {messages} messages");
                if let Err(error) = outcome {
                    let kinds =
                        [SecurityErrorKind::Malformed, SecurityErrorKind::Decrypt, SecurityErrorKind::Io];
                    assert!(kinds.contains(&error.kind()), "{writer} after {messages}: {error}");
                }
            }
        }
    }
}

/// A handshake with an honest peer whose record after so many is replaced by junk and the end. Whether there was one.
async fn replace(
    upgrader: &dyn Upgrader,
    honest: &dyn Upgrader,
    writer: Role,
    records: usize,
    junk: &[u8],
) -> (Outcome, bool) {
    let (ours, middle) = duplex(1 << 17);
    let (theirs, other_middle) = duplex(1 << 17);
    let peer = async {
        let secured = honest.secure(Box::new(theirs), cx(writer, None, &[])).await;
        if let Ok(secured) = secured {
            let mut io = secured.into_parts().0;
            drop(io.flush().await);
            drop(io.read_u8().await);
        }
    };
    let relay = async {
        let (mut from_us, mut to_us) = tokio::io::split(middle);
        let (mut from_them, mut to_them) = tokio::io::split(other_middle);
        let replaced = async {
            for _ in 0..records {
                let Some(record) = read_record(&mut from_them).await else { return false };
                to_us.write_all(&record).await.unwrap();
            }
            let next = timeout(GIVE_UP, from_them.read_u8()).await;
            drop(to_us.write_all(junk).await);
            drop(to_us.shutdown().await);
            matches!(next, Ok(Ok(_)))
        };
        tokio::select! {
            replaced = replaced => replaced,
            _ = async {
                drop(tokio::io::copy(&mut from_us, &mut to_them).await);
                std::future::pending::<()>().await;
            } => false,
        }
    };
    let ours = upgrader.secure(Box::new(ours), cx(reader(writer), None, &[]));
    tokio::select! {
        (outcome, replaced) = async { tokio::join!(ours, relay) } => (outcome, replaced),
        () = async { peer.await; std::future::pending().await } => unreachable!(),
    }
}

async fn read_record(io: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut header = [0; 5];
    io.read_exact(&mut header).await.ok()?;
    let [_, _, _, high, low] = header;
    let mut body = vec![0; usize::from(u16::from_be_bytes([high, low]))];
    io.read_exact(&mut body).await.ok()?;
    Some([&header[..], &body].concat())
}

#[tokio::test]
async fn what_is_not_tls_is_named_so() {
    for role in ROLES {
        let (ours, mut theirs) = duplex(1 << 16);
        theirs.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let error = tls().secure(Box::new(ours), cx(role, None, &[])).await.unwrap_err();
        assert_eq!(error.kind(), SecurityErrorKind::Malformed);
        assert!(chain(&error).contains("it is not TLS"), "{}", chain(&error));
    }
}

#[tokio::test]
async fn the_listener_follows_the_diallers_order_of_muxers() {
    let ends = Ends::new();
    for (ours, theirs, expected) in [
        (&["/a", "/b"][..], &["/b", "/a"][..], Some("/a")),
        (&["/a", "/b"], &["/c", "/b"], Some("/b")),
        (&["/a"], &["/b"], None),
        (&[], &["/b", "/a"], None),
    ] {
        let (a, b) = duplex(1 << 16);
        let dial = async {
            let secured = ends.dialer.secure(Box::new(a), cx(Role::Dialer, None, ours)).await.unwrap();
            let muxer = secured.early_muxer().map(str::to_owned);
            secured.into_parts().0.flush().await.unwrap();
            muxer
        };
        let accept = ends.listener.secure(Box::new(b), cx(Role::Listener, None, theirs));
        let (dialled, accepted) = tokio::join!(dial, accept);
        assert_eq!(dialled.as_deref(), expected);
        assert_eq!(accepted.unwrap().early_muxer(), expected);
    }
}

#[tokio::test]
async fn both_ends_learn_that_the_wrong_peer_was_dialled() {
    let ends = Ends::new();
    let (a, b) = duplex(1 << 16);
    let stranger = skep_api::PeerId::random();
    let (dialled, accepted) = tokio::join!(
        ends.dialer.secure(Box::new(a), cx(Role::Dialer, Some(stranger), &[])),
        ends.listener.secure(Box::new(b), cx(Role::Listener, None, &[]))
    );
    assert_eq!(kind(dialled), SecurityErrorKind::WrongPeer);
    let error = accepted.unwrap_err();
    assert_eq!(error.kind(), SecurityErrorKind::Io);
    assert_eq!(error.detail(), "the peer ended the handshake with the alert AccessDenied");
}

#[tokio::test]
async fn debug_shows_no_secret() {
    assert_eq!(format!("{:?}", tls()), "Tls { identity: Identity { .. }, early_muxer: true }");
}
