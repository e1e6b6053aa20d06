use super::{
    header::{FIN, HEADER, Header, Kind, RST, SYN},
    inbound::PIECE,
    *,
};
use crate::{config::INITIAL_WINDOW, table::Record};
use futures::{AsyncReadExt, AsyncWriteExt};
use proptest::prelude::*;
use skep_api::{Code, security::Role};
use std::{
    collections::VecDeque,
    sync::{Mutex, atomic::AtomicBool},
};
use tokio::io::ReadBuf;

const ACK: u16 = 2;

/// A layer below that gives and takes a few bytes at a time.
#[derive(Clone, Default)]
struct Below(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    input: VecDeque<u8>,
    output: Vec<u8>,
    /// The sizes of reads and writes, in turn; all at once if empty.
    sizes: Vec<usize>,
    turn: usize,
    /// Reading waits at the end of the input instead of ending.
    open: bool,
    /// Writing waits.
    blocked: bool,
}

impl Script {
    fn size(&mut self) -> usize {
        self.turn += 1;
        match self.sizes.len() {
            0 => usize::MAX,
            n => self.sizes[self.turn % n].max(1),
        }
    }
}

impl tokio::io::AsyncRead for Below {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut script = self.0.lock().unwrap();
        if script.input.is_empty() && script.open {
            return Poll::Pending;
        }
        let n = script.size().min(buf.remaining()).min(script.input.len());
        let bytes: Vec<u8> = script.input.drain(..n).collect();
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl tokio::io::AsyncWrite for Below {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut script = self.0.lock().unwrap();
        if script.blocked {
            return Poll::Pending;
        }
        let n = script.size().min(buf.len());
        script.output.extend(&buf[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A filter of the listening side over a script, and the two.
fn filter() -> (FrameFilter, Below, Arc<Shared>) {
    let below = Below::default();
    let shared = Arc::new(Shared::new(Role::Listener, 64));
    let filter = FrameFilter::new(Box::new(below.clone()), Arc::clone(&shared), Duration::from_secs(30));
    (filter, below, shared)
}

fn open(shared: &Shared, id: u32) -> Arc<Record> {
    let record = Record { announced: AtomicBool::new(true), ..Record::default() };
    shared.table.insert(id, record).unwrap()
}

fn frame(kind: Kind, flags: u16, stream: u32, len: u32) -> Vec<u8> {
    Header { kind, flags, stream, len }.encode().to_vec()
}

fn data(flags: u16, stream: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = frame(Kind::Data, flags, stream, u32::try_from(body.len()).unwrap());
    bytes.extend(body);
    bytes
}

/// Takes bytes apart into frames.
fn parse(mut bytes: &[u8]) -> Vec<(Header, Vec<u8>)> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let header = Header::decode(bytes[..HEADER].try_into().unwrap()).unwrap();
        let end = HEADER + header.body() as usize;
        frames.push((header, bytes[HEADER..end].to_vec()));
        bytes = &bytes[end..];
    }
    frames
}

fn block<T>(future: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap().block_on(future)
}

/// What the crate reads of `input`, up to its end.
fn read_all(filter: &mut FrameFilter, below: &Below, input: &[u8]) -> Vec<u8> {
    below.0.lock().unwrap().input.extend(input);
    let mut seen = Vec::new();
    block(filter.read_to_end(&mut seen)).unwrap();
    seen
}

/// Lets the filter find nothing to read, so that it flushes.
fn settle(filter: &mut FrameFilter, below: &Below) {
    below.0.lock().unwrap().open = true;
    block(async {
        let _ = futures::poll!(filter.flush());
        assert!(futures::poll!(filter.read(&mut [0; 64])).is_pending());
    });
}

fn sent(below: &Below) -> Vec<(Header, Vec<u8>)> {
    parse(&below.0.lock().unwrap().output)
}

#[test]
fn a_large_frame_comes_in_pieces() {
    let (mut filter, below, shared) = filter();
    let record = open(&shared, 1);
    let body: Vec<u8> = (0..3 * 1024 * 1024 + 5_u32).map(|i| (i % 251) as u8).collect();
    let seen = parse(&read_all(&mut filter, &below, &data(ACK | FIN, 1, &body)));

    assert_eq!(seen.len(), body.len().div_ceil(PIECE as usize));
    let last = seen.len() - 1;
    for (at, (header, piece)) in seen.iter().enumerate() {
        assert_eq!((header.kind, header.stream), (Kind::Data, 1));
        let expected = match at {
            0 => ACK,
            at if at == last => FIN,
            _ => 0,
        };
        assert_eq!(header.flags, expected, "piece {at}");
        assert!(piece.len() <= PIECE as usize);
    }
    let joined: Vec<u8> = seen.into_iter().flat_map(|(_, piece)| piece).collect();
    assert!(joined == body, "the body is changed");
    assert!(record.fin_seen.load(Ordering::Acquire));
}

#[test]
fn the_end_of_a_stream_is_noted_when_the_crate_has_taken_all_of_it() {
    let (mut filter, below, shared) = filter();
    let record = open(&shared, 1);
    below.0.lock().unwrap().open = true;
    below.0.lock().unwrap().input.extend(data(FIN, 1, b"end"));
    block(async {
        filter.read_exact(&mut [0; HEADER + 3]).await.unwrap();
        assert!(!record.fin_seen.load(Ordering::Acquire));
        assert!(futures::poll!(filter.read(&mut [0; HEADER])).is_pending());
        assert!(record.fin_seen.load(Ordering::Acquire));
    });
}

#[test]
fn a_cut_inside_of_a_frame_is_an_error() {
    for cut in [1, HEADER - 1, HEADER + 1] {
        let (mut filter, below, shared) = filter();
        let record = open(&shared, 1);
        below.0.lock().unwrap().input.extend(&data(FIN, 1, b"four")[..cut]);
        let mut seen = Vec::new();
        let read = block(filter.read_to_end(&mut seen));
        // Inside of a body the crate notices by itself.
        assert!(read.is_err() || seen.len() == cut, "cut at {cut}");
        assert!(!record.fin_seen.load(Ordering::Acquire));
    }
}

#[test]
fn resets_of_the_peer_are_noted_with_their_code() {
    let (mut filter, below, shared) = filter();
    let records = [open(&shared, 1), open(&shared, 3), open(&shared, 5)];
    let mut input = frame(Kind::WindowUpdate, RST, 1, 0x1005);
    input.extend(frame(Kind::WindowUpdate, RST, 3, 0));
    input.extend(data(RST, 5, b"ignored"));
    let seen = parse(&read_all(&mut filter, &below, &input));
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|(header, body)| header.flags == RST && body.is_empty()));
    let codes = records.map(|record| *record.reset_by_peer.get().unwrap());
    assert_eq!(codes, [Code::SUPPLANTED, Code::UNKNOWN, Code::UNKNOWN]);
}

#[test]
fn data_for_a_stream_that_is_over_is_answered_with_one_reset() {
    let (mut filter, below, shared) = filter();
    open(&shared, 1);
    let mut input = data(0, 9, b"late");
    input.extend(data(0, 9, b"later"));
    input.extend(frame(Kind::WindowUpdate, 0, 11, 1000));
    input.extend(data(FIN, 13, b"the last of it"));
    input.extend(data(0, 1, b"live"));
    let seen = parse(&read_all(&mut filter, &below, &input));
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].1, b"live");
    settle(&mut filter, &below);
    let sent = sent(&below);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].0, Header::reset(9, Code::DROPPED.0));
}

#[test]
fn frames_of_ours_go_between_frames() {
    let (mut filter, below, shared) = filter();
    open(&shared, 1);
    let mut input = data(0, 9, b"late");
    input.extend(data(0, 1, b"live"));
    let outgoing = data(0, 1, b"0123456789");
    block(async {
        filter.write_all(&outgoing[..HEADER + 4]).await.unwrap();
    });
    read_all(&mut filter, &below, &input);
    block(async {
        filter.write_all(&outgoing[HEADER + 4..]).await.unwrap();
    });
    settle(&mut filter, &below);
    let sent = sent(&below);
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].1, b"0123456789");
    assert_eq!(sent[1].0, Header::reset(9, Code::DROPPED.0));
}

#[test]
fn a_stopped_stream_gets_its_window_back() {
    let (mut filter, below, shared) = filter();
    let record = open(&shared, 1);
    record.stopped.store(true, Ordering::Release);
    let body = vec![7; (INITIAL_WINDOW / 4) as usize];
    let mut input = data(0, 1, &body);
    input.extend(data(ACK, 1, &body));
    input.extend(data(0, 1, &body));
    let seen = parse(&read_all(&mut filter, &below, &input));
    assert_eq!(seen.len(), 1, "only the flags of the second frame pass");
    assert_eq!(seen[0].0, Header { kind: Kind::Data, flags: ACK, stream: 1, len: 0 });
    settle(&mut filter, &below);
    let sent = sent(&below);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].0, Header::credit(1, INITIAL_WINDOW / 2));
}

/// What leaves when the crate writes `frame` for a stream in this state.
fn written(record: Record, frame: &[u8]) -> Vec<Header> {
    let (mut filter, below, shared) = filter();
    shared.table.insert(2, record).unwrap();
    block(filter.write_all(frame)).unwrap();
    settle(&mut filter, &below);
    sent(&below).into_iter().map(|(header, _)| header).collect()
}

#[test]
fn the_end_of_a_stream_says_what_it_is() {
    let announced = || Record { announced: AtomicBool::new(true), ..Record::default() };
    let aborted = |record: Record, code| {
        record.reset_by_us.set(code).unwrap();
        record
    };
    let (fin, rst) = (data(FIN, 2, b""), data(RST, 2, b""));
    let end = Header { kind: Kind::Data, flags: FIN, stream: 2, len: 0 };
    let dropped = Header::reset(2, Code::DROPPED.0);

    assert_eq!(written(announced(), &fin), [end]);
    assert_eq!(written(Record::default(), &fin), [Header { flags: FIN | SYN, ..end }]);
    assert_eq!(written(announced(), &rst), [dropped]);
    assert_eq!(written(aborted(announced(), Code::DROPPED), &fin), [dropped]);
    assert_eq!(written(aborted(announced(), Code(7)), &rst), [Header::reset(2, 7)]);
    assert_eq!(written(aborted(announced(), Code::UNKNOWN), &rst), [Header::reset(2, 0)]);
    assert_eq!(written(aborted(Record::default(), Code::DROPPED), &rst), []);
}

#[test]
fn a_refusal_of_the_crate_is_a_violation() {
    let (mut filter, below, shared) = filter();
    open(&shared, 1);
    read_all(&mut filter, &below, &frame(Kind::WindowUpdate, 0, 1, u32::MAX));
    block(filter.write_all(&frame(Kind::GoAway, 0, 0, 1))).unwrap();
    let what = "it gave 4294967295 bytes of credit to stream 1, which overflows the window";
    assert_eq!(shared.violation(), Some(what));
    settle(&mut filter, &below);
    assert_eq!(sent(&below), []);
}

#[test]
fn answers_wait_for_room_and_reading_waits_for_them() {
    let (mut filter, below, shared) = filter();
    open(&shared, 1);
    {
        let mut script = below.0.lock().unwrap();
        script.blocked = true;
        script.open = true;
        script.input.extend((0..10_000_u32).flat_map(|i| data(0, 3 + 2 * i, b"x")));
    }
    block(async {
        for _ in 0..1_000 {
            assert!(futures::poll!(filter.read(&mut [0; 64])).is_pending());
        }
    });
    let left = below.0.lock().unwrap().input.len();
    assert!(left > 9_000 * (HEADER + 1), "{left} bytes left to read");

    below.0.lock().unwrap().blocked = false;
    block(async {
        while !below.0.lock().unwrap().input.is_empty() {
            assert!(futures::poll!(filter.read(&mut [0; 64])).is_pending());
        }
        assert!(futures::poll!(filter.read(&mut [0; 64])).is_pending());
    });
    assert_eq!(sent(&below).len(), 10_000);
}

#[test]
fn a_peer_that_takes_nothing_is_given_up() {
    let (mut filter, below, shared) = filter();
    open(&shared, 1);
    block(async {
        below.0.lock().unwrap().open = true;
        let mut bytes = [0; 64];
        assert!(futures::poll!(filter.read(&mut bytes)).is_pending());
        tokio::time::advance(Duration::from_secs(100)).await;

        // Time counts from the first byte that has to wait, and goes on while more are added.
        below.0.lock().unwrap().blocked = true;
        for _ in 0..3 {
            filter.write_all(&frame(Kind::Ping, SYN, 0, 1)).await.unwrap();
            assert!(futures::poll!(filter.read(&mut bytes)).is_pending());
            tokio::time::advance(Duration::from_secs(9)).await;
        }
        let error = filter.read(&mut bytes).await.unwrap_err();
        assert_eq!(error.to_string(), "the peer has not read for 30s");
        assert!(filter.write(&[0; HEADER]).await.is_err());
        assert!(filter.flush().await.is_err());
    });
}

#[test]
fn what_breaks_the_rules_is_named() {
    let ours = frame(Kind::Data, SYN, 2, 0);
    let large = frame(Kind::Data, SYN, 1, INITIAL_WINDOW + 1);
    let twice = [frame(Kind::Data, SYN, 1, 0), frame(Kind::WindowUpdate, SYN, 1, 0)].concat();
    let cases: [(Vec<u8>, &str); 6] = [
        (vec![1; HEADER], "it sent a frame of yamux version 1, only 0 is known"),
        (vec![0; HEADER], "a frame with data or credit for stream 0, which is the connection"),
        (
            frame(Kind::WindowUpdate, SYN, 0, 0),
            "a frame with data or credit for stream 0, which is the connection",
        ),
        (ours, "it opened stream 2, a number that is ours to give"),
        (large, "it opened stream 1 with 262145 bytes, the first window is 262144"),
        (twice, "it opened stream 1 twice"),
    ];
    for (input, expected) in cases {
        let (mut filter, below, shared) = filter();
        below.0.lock().unwrap().input.extend(input);
        block(async {
            let mut bytes = [0; 64];
            while let Poll::Ready(n) = futures::poll!(filter.read(&mut bytes)) {
                assert_ne!(n.unwrap(), 0);
            }
        });
        assert_eq!(shared.violation(), Some(expected));
    }
}

/// A frame of a well-behaved peer.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let streams = prop_oneof![Just(1_u32), Just(3), Just(5)];
    prop_oneof![
        (streams.clone(), 0..3_usize, 0..200_000_usize).prop_map(|(id, flags, len)| {
            let body: Vec<u8> = (0..len).map(|i| (i % 255) as u8).collect();
            data([0, ACK, FIN][flags], id, &body)
        }),
        (streams, any::<u32>()).prop_map(|(id, credit)| frame(Kind::WindowUpdate, 0, id, credit)),
        // The question is answered by the filter, the answer is the crate's.
        any::<u32>().prop_map(|id| frame(Kind::Ping, ACK, 0, id)),
    ]
}

/// The same for frames that mean the same: the data of neighbours of one stream is joined.
fn meaning(bytes: &[u8]) -> Vec<(Header, Vec<u8>)> {
    let mut frames: Vec<(Header, Vec<u8>)> = Vec::new();
    for (mut header, body) in parse(bytes) {
        if header.kind == Kind::Data {
            header.len = 0;
            if let Some((last, joined)) = frames.last_mut()
                && last.kind == Kind::Data
                && last.stream == header.stream
                && !last.has(FIN)
                && header.flags & ACK == 0
            {
                last.flags |= header.flags;
                joined.extend(body);
                continue;
            }
        }
        frames.push((header, body));
    }
    frames
}

#[test]
fn a_ping_is_answered_and_goes_no_further() {
    let (mut filter, below, _shared) = filter();
    let seen = read_all(&mut filter, &below, &frame(Kind::Ping, SYN, 0, 7));
    assert!(seen.is_empty(), "{seen:?}");
    settle(&mut filter, &below);
    assert_eq!(below.0.lock().unwrap().output, frame(Kind::Ping, ACK, 0, 7));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn frames_mean_the_same_behind_the_filter(
        frames in prop::collection::vec(any_frame(), 0..8),
        sizes in prop::collection::vec(prop_oneof![Just(1_usize), 1..20_usize, 1..100_000_usize], 0..6),
    ) {
        let bytes = frames.concat();
        let (mut filter, below, shared) = filter();
        for id in [1, 3, 5] {
            open(&shared, id);
        }
        below.0.lock().unwrap().sizes.clone_from(&sizes);
        let seen = read_all(&mut filter, &below, &bytes);
        prop_assert!(meaning(&seen) == meaning(&bytes), "changed on the way in");

        block(filter.write_all(&bytes)).unwrap();
        settle(&mut filter, &below);
        let sent = below.0.lock().unwrap().output.clone();
        prop_assert!(sent == bytes, "changed on the way out");
    }

    #[test]
    fn junk_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let (mut filter, below, shared) = filter();
        open(&shared, 1);
        {
            let mut script = below.0.lock().unwrap();
            script.input.extend(&bytes);
            script.open = true;
        }
        block(async {
            let mut bytes = [0; 64];
            while let Poll::Ready(Ok(1..)) = futures::poll!(filter.read(&mut bytes)) {}
        });
    }
}
