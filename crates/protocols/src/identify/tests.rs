use super::*;
use crate::fake::{FakeSession, TestStream, build_cx};
use prost::Message as _;
use skep_api::{Code, Keypair};
use tokio::io::AsyncReadExt;

/// Two nodes and the sessions that each has with the other.
struct Pair {
    us: Keypair,
    them: Keypair,
    handler: Identify,
}

impl Pair {
    fn new() -> Self {
        let (us, them) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        let handler = Identify::new(Config::default(), build_cx(us.clone()).identity);
        Self { us, them, handler }
    }
    fn our_session(&self) -> FakeSession {
        FakeSession::new(&self.us, &self.them)
    }
    fn their_session(&self) -> FakeSession {
        FakeSession::new(&self.them, &self.us)
    }
    /// What a peer says that is as it should be.
    fn their_message(&self) -> Message {
        let handler = Identify::new(Config::default(), build_cx(self.them.clone()).identity);
        handler.about_us(&self.their_session())
    }
}

/// The addresses that the peer vouched for.
fn certified(info: &PeerInfo) -> Option<&[Multiaddr]> {
    info.record.as_ref().map(SignedRecord::addrs)
}

/// The result of asking a peer that writes `bytes` and then ends the stream, with the code of our reset.
async fn ask_for(session: FakeSession, bytes: &[u8]) -> (Result<PeerInfo, ProtocolErrorKind>, Option<Code>) {
    let (ours, mut theirs) = TestStream::pair(256);
    let reset = ours.reset.clone();
    let session = session.with_stream(ours);
    let (answer, ()) = tokio::join!(ask(&session), async {
        let _ = theirs.write_all(bytes).await;
        let _ = theirs.shutdown().await;
    });
    let code = *reset.lock().unwrap();
    (answer.map_err(|e| e.kind()), code)
}

fn framed(messages: &[Message]) -> Vec<u8> {
    let mut out = Vec::new();
    messages.iter().for_each(|message| frame::put(&mut out, &message.encode_to_vec()));
    out
}

#[tokio::test]
async fn both_ends_learn_of_each_other() {
    let pair = Pair::new();
    let (ours, theirs) = TestStream::pair(64);
    let inbound = InboundStream::new(Box::new(ours), PROTOCOL.into(), Arc::new(pair.our_session()));
    let asking = pair.their_session().with_stream(theirs);
    let (served, info) = tokio::join!(pair.handler.serve(inbound), ask(&asking));
    served.unwrap();
    let info = info.unwrap();
    let node = pair.our_session().node;
    assert_eq!(info.agent_version, concat!("skep/", env!("CARGO_PKG_VERSION")));
    assert_eq!(info.protocol_version, "ipfs/0.1.0");
    assert_eq!(info.protocols, node.protocols);
    assert_eq!(info.listen_addrs, node.addrs);
    assert_eq!(certified(&info), Some(&node.addrs[..]));
    assert_eq!(info.observed_addr, Some(pair.our_session().remote));
    assert_eq!(*asking.opened.lock().unwrap(), [PROTOCOL]);
}

#[tokio::test]
async fn a_new_connection_is_asked_unless_told_not_to() {
    let pair = Pair::new();
    let (ours, mut theirs) = TestStream::pair(4096);
    theirs.write_all(&framed(&[pair.their_message()])).await.unwrap();
    theirs.shutdown().await.unwrap();
    let session = Arc::new(pair.our_session().with_stream(ours));
    pair.handler.connected(session.clone()).await;
    assert!(session.info.lock().unwrap().is_some());
    assert_eq!(theirs.read(&mut [0; 1]).await.unwrap(), 0);

    let silent =
        Identify::new(Config { ask: false, ..Config::default() }, build_cx(pair.us.clone()).identity);
    let session = Arc::new(pair.our_session());
    silent.connected(session.clone()).await;
    assert!(session.opened.lock().unwrap().is_empty());
    // A peer without identify is no trouble.
    pair.handler.connected(session.clone()).await;
    assert!(session.info.lock().unwrap().is_none());
}

#[tokio::test]
async fn a_push_is_taken_and_sent() {
    let pair = Pair::new();
    let (ours, theirs) = TestStream::pair(64);
    let ours = pair.our_session().with_stream(ours);
    let session = Arc::new(pair.their_session());
    let inbound = InboundStream::new(Box::new(theirs), PUSH_PROTOCOL.into(), session.clone());
    let them = Identify::new(Config::default(), build_cx(pair.them.clone()).identity);
    let (pushed, served) = tokio::join!(pair.handler.push(&ours), them.serve(inbound));
    pushed.unwrap();
    served.unwrap();
    assert_eq!(*ours.opened.lock().unwrap(), [PUSH_PROTOCOL]);
    let info = session.info.lock().unwrap().clone().unwrap();
    assert_eq!(info.listen_addrs, ours.node.addrs);
    assert_eq!(certified(&info), Some(&info.listen_addrs[..]));
}

#[tokio::test]
async fn a_message_in_pieces_is_merged() {
    let pair = Pair::new();
    let mut first = pair.their_message();
    let record = first.signed_peer_record.take();
    let second = Message { signed_peer_record: record, ..Message::default() };
    let (info, _) = ask_for(pair.our_session(), &framed(&[first, second])).await;
    let info = info.unwrap();
    assert_eq!(certified(&info), Some(&info.listen_addrs[..]));
}

#[tokio::test]
async fn a_large_message_goes_out_in_two_pieces() {
    let pair = Pair::new();
    let mut node = pair.our_session();
    let protocols = (0..200).map(|n| format!("/example/protocol/{n}")).collect();
    let addrs = node.node.addrs.clone();
    node.node = Arc::new(crate::fake::FakeNode { key: pair.us.public(), addrs, protocols });
    let (ours, mut theirs) = TestStream::pair(64 * 1024);
    let inbound = InboundStream::new(Box::new(ours), PROTOCOL.into(), Arc::new(node));
    theirs.shutdown().await.unwrap();
    pair.handler.serve(inbound).await.unwrap();
    let mut bytes = Vec::new();
    theirs.read_to_end(&mut bytes).await.unwrap();
    let mut rest = bytes.as_slice();
    let mut next = || Message::decode_length_delimited(&mut rest).unwrap();
    assert_eq!(next().signed_peer_record, None);
    assert!(next().signed_peer_record.is_some());
    assert!(rest.is_empty());
    let (info, _) = ask_for(pair.their_session(), &bytes).await;
    assert!(info.unwrap().record.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_answered_stream_is_kept_until_its_peer_ends_it() {
    use std::time::Duration;
    use tokio::time::{Instant, sleep};

    let pair = Pair::new();
    let serve = |said: &'static [u8], ends_after: Duration| {
        let (ours, mut theirs) = TestStream::pair(64 * 1024);
        let inbound = InboundStream::new(Box::new(ours), PROTOCOL.into(), Arc::new(pair.our_session()));
        let handler = &pair.handler;
        async move {
            let begun = Instant::now();
            let peer = async {
                theirs.read_to_end(&mut Vec::new()).await.unwrap();
                theirs.write_all(said).await.unwrap();
                sleep(ends_after).await;
                theirs.shutdown().await.unwrap();
            };
            let served = async {
                handler.serve(inbound).await.unwrap();
                begun.elapsed()
            };
            tokio::join!(served, peer).0
        }
    };
    let (soon, never) = (Duration::from_millis(300), Duration::from_secs(3600));
    assert_eq!(serve(b"", Duration::ZERO).await.as_millis(), 0);
    assert_eq!(serve(b"", soon).await.as_millis(), 300);
    // A few bytes change nothing; a peer that never ends, or says much, is not waited for.
    assert_eq!(serve(&[7; 100], soon).await.as_millis(), 300);
    assert_eq!(serve(b"", never).await.as_millis(), 2000);
    assert_eq!(serve(&[7; 2048], never).await.as_millis(), 0);
}

#[tokio::test]
async fn the_key_of_another_peer_is_refused() {
    let pair = Pair::new();
    for key in [Keypair::generate_ed25519().public().encode_protobuf(), vec![0xff; 40], vec![8; 4096]] {
        let message = Message { public_key: Some(key), ..pair.their_message() };
        let (info, reset) = ask_for(pair.our_session(), &framed(&[message])).await;
        assert_eq!(info, Err(ProtocolErrorKind::Malformed));
        assert_eq!(reset, Some(Code::PROTOCOL_VIOLATION));
    }
    let keyless = Message { public_key: None, ..pair.their_message() };
    assert!(ask_for(pair.our_session(), &framed(&[keyless])).await.0.is_ok());
}

#[tokio::test]
async fn a_record_of_another_peer_is_dropped_and_the_rest_kept() {
    let pair = Pair::new();
    let foreign = SignedRecord::sign(&Keypair::generate_ed25519(), 1, &pair.our_session().node.addrs);
    let foreign = foreign.map(|record| record.envelope().to_vec());
    for signed_peer_record in [foreign, Some(vec![0xff; 100]), Some(vec![])] {
        let message = Message { signed_peer_record, ..pair.their_message() };
        let info = ask_for(pair.our_session(), &framed(&[message])).await.0.unwrap();
        assert_eq!(info.record, None);
        assert_eq!(info.listen_addrs.len(), 2);
    }
}

#[tokio::test]
async fn what_a_peer_says_is_bounded() {
    let pair = Pair::new();
    let good = |n: u16| format!("/ip4/192.0.2.1/tcp/{n}").parse::<Multiaddr>().unwrap().to_vec();
    let anothers = format!("/ip4/192.0.2.1/tcp/1/p2p/{}", skep_api::PeerId::random());
    let junk = [vec![0xff, 0xff, 0xff], anothers.parse::<Multiaddr>().unwrap().to_vec()];
    let message = Message {
        protocols: std::iter::once("x".repeat(257)).chain((0..300).map(|n| format!("/p/{n}"))).collect(),
        listen_addrs: junk.into_iter().chain((0..200).map(good)).collect(),
        observed_addr: Some(vec![0xff; 9]),
        agent_version: Some("ü".repeat(300)),
        ..pair.their_message()
    };
    let info = ask_for(pair.our_session(), &framed(&[message])).await.0.unwrap();
    assert_eq!((info.protocols.len(), info.protocols[0].as_str()), (message::MAX_PROTOCOLS, "/p/0"));
    assert_eq!(info.listen_addrs.len(), message::MAX_ADDRS);
    assert_eq!(info.listen_addrs[0].to_vec(), good(0));
    assert_eq!(info.observed_addr, None);
    assert_eq!(info.agent_version, "ü".repeat(128));
}

#[tokio::test]
async fn malformed_and_oversized_answers_are_refused() {
    let pair = Pair::new();
    let large = Message { agent_version: Some("x".repeat(40_000)), ..Message::default() };
    let cases = [
        (vec![], ProtocolErrorKind::Malformed),
        (vec![3, 0xff, 0xff, 0xff], ProtocolErrorKind::Malformed),
        (vec![200, 1, 0], ProtocolErrorKind::Malformed),
        (vec![0x80; 11], ProtocolErrorKind::Malformed),
        ([[0x80; 9].as_slice(), &[1]].concat(), ProtocolErrorKind::TooLarge),
        (framed(&[large.clone(), large]), ProtocolErrorKind::TooLarge),
    ];
    for (bytes, expected) in cases {
        let (info, reset) = ask_for(pair.our_session(), &bytes).await;
        assert_eq!(info, Err(expected), "{:?}", &bytes[..bytes.len().min(12)]);
        assert_eq!(reset, Some(Code::PROTOCOL_VIOLATION));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_an_end_is_taken_and_silence_is_not() {
    let pair = Pair::new();
    let (ours, mut theirs) = TestStream::pair(4096);
    let session = pair.our_session().with_stream(ours);
    theirs.write_all(&framed(&[pair.their_message()])).await.unwrap();
    assert_eq!(ask(&session).await.unwrap().listen_addrs.len(), 2);

    let (ours, theirs) = TestStream::pair(64);
    let session = pair.our_session().with_stream(ours);
    assert_eq!(ask(&session).await.unwrap_err().kind(), ProtocolErrorKind::TimedOut);
    drop(theirs);
}

#[tokio::test(start_paused = true)]
async fn messages_without_end_do_not_keep_the_reader() {
    let pair = Pair::new();
    let (ours, mut theirs) = TestStream::pair(64);
    let session = pair.our_session().with_stream(ours);
    // Empty messages, for as long as anybody reads.
    let flood = async {
        while theirs.write_all(&[0]).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        answer = ask(&session) => drop(answer.unwrap()),
        () = flood => panic!("the flood ended first"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_given_up() {
    let pair = Pair::new();
    let (ours, theirs) = TestStream::pair(16);
    let inbound = InboundStream::new(Box::new(ours), PROTOCOL.into(), Arc::new(pair.our_session()));
    let error = pair.handler.serve(inbound).await.unwrap_err();
    assert_eq!(error.kind(), ProtocolErrorKind::TimedOut);
    drop(theirs);
}

#[test]
fn the_record_is_signed_once_for_the_same_addresses() {
    let pair = Pair::new();
    let addrs = pair.our_session().node.addrs.clone();
    let first = pair.handler.record_of(&addrs);
    assert_eq!(first, pair.handler.record_of(&addrs));
    assert_ne!(first, pair.handler.record_of(&addrs[..1]));
    assert!(pair.handler.record.lock().unwrap().seq > 0);
}

/// Sets bytes of a good exchange, cuts it, and has it read.
fn read_damaged(hits: &[(usize, u8)], cut: usize) {
    let pair = Pair::new();
    let mut bytes = framed(&[pair.their_message()]);
    for (at, byte) in hits {
        let at = at % bytes.len();
        bytes[at] = *byte;
    }
    bytes.truncate(cut);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    if let (Ok(info), _) = runtime.block_on(ask_for(pair.our_session(), &bytes)) {
        assert!(
            info.protocols.len() <= message::MAX_PROTOCOLS && info.listen_addrs.len() <= message::MAX_ADDRS
        );
        // Whatever was changed, what is certified is what was signed.
        assert!(certified(&info).is_none_or(|addrs| addrs == pair.our_session().node.addrs));
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic_and_damage_certifies_nothing(
        hits in proptest::collection::vec(proptest::prelude::any::<(usize, u8)>(), 0..6),
        cut in 0..600usize,
    ) {
        read_damaged(&hits, cut);
    }

    #[test]
    fn records_of_any_bytes_are_refused(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        assert!(SignedRecord::verify(bytes).is_err());
    }
}
