//! The states of a stream by the seed's names, over random lives of streams.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod stacks;

use proptest::{prelude::*, test_runner::RngSeed};
use skep::{
    NetStream, StreamState,
    api::{Code, protocol::NegotiatedStream, stream::StreamError},
};
use skep_testkit::suite::streams::StreamEnd;
use stacks::{Layers, PROTOCOL, pair};
use std::{io, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};

const LAYERS: Layers = Layers {
    transport: skep::transport_memory::PLUGIN,
    security: skep::security_noise::PLUGIN,
    muxer: skep::muxer_yamux::PLUGIN,
    listen: "/memory/0",
};

/// What this end does.
#[derive(Clone, Copy, Debug)]
enum Op {
    Read,
    Write,
    Finish,
    Reset,
    Stop,
    Peer(PeerOp),
    Close,
    PeerCloses,
    Cut,
}

/// What the peer does with its end.
#[derive(Clone, Copy, Debug)]
enum PeerOp {
    Write,
    Finish,
    Reset,
    Stop,
    Drop,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let peer = prop_oneof![
        4 => Just(PeerOp::Write),
        3 => Just(PeerOp::Finish),
        1 => Just(PeerOp::Reset),
        1 => Just(PeerOp::Stop),
        1 => Just(PeerOp::Drop),
    ];
    let op = prop_oneof![
        6 => Just(Op::Read),
        4 => Just(Op::Write),
        3 => Just(Op::Finish),
        1 => Just(Op::Reset),
        1 => Just(Op::Stop),
        8 => peer.prop_map(Op::Peer),
        1 => Just(Op::Close),
        1 => Just(Op::PeerCloses),
        1 => Just(Op::Cut),
    ];
    proptest::collection::vec(op, 1..16)
}

/// What this end knows of its stream.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    is_used: bool,
    /// The end of file was read, or no more is wanted.
    read_ended: bool,
    stopped: bool,
    /// It was finished, or the peer wants no more.
    write_ended: bool,
    end: Option<StreamState>,
}

impl Known {
    fn state(self) -> StreamState {
        match (self.end, self.read_ended, self.write_ended) {
            (Some(end), _, _) => end,
            (None, true, true) => StreamState::CloseBoth,
            (None, true, false) => StreamState::CloseRead,
            (None, false, true) => StreamState::CloseWrite,
            (None, false, false) if self.is_used => StreamState::Open,
            (None, false, false) => StreamState::Init,
        }
    }

    fn is_terminal(self) -> bool {
        matches!(self.state(), StreamState::CloseBoth | StreamState::Reset | StreamState::Error)
    }

    /// What ends the whole stream counts only while something of it goes on.
    fn end(&mut self, state: StreamState) {
        if !self.is_terminal() {
            self.end = Some(state);
        }
    }

    fn read(&mut self, result: &io::Result<usize>) {
        self.is_used = true;
        match result {
            Ok(0) => self.read_ended = true,
            Ok(_) => {}
            // It was this end that wanted no more; writing goes on.
            Err(_) if self.stopped => {}
            Err(e) => self.failed(e),
        }
    }

    fn failed(&mut self, error: &io::Error) {
        match StreamError::of(error) {
            Some(StreamError::Finished | StreamError::Stopped { .. }) => self.write_ended = true,
            Some(StreamError::Reset { .. }) => self.end(StreamState::Reset),
            _ => self.end(StreamState::Error),
        }
    }
}

/// One life of a stream: after each step the state is what this end knows.
async fn live(ops: &[Op], by_listener: bool) {
    let (dialer, listener, cut) = pair(LAYERS).await.unwrap();
    let (ours, theirs) = if by_listener { (listener, dialer) } else { (dialer, listener) };
    let mut stream = ours.conn.open_stream(&[PROTOCOL.into()]).await.unwrap();
    let mut known = Known::default();
    assert_eq!(stream.state(), known.state());
    let mut peer = None;
    for op in ops {
        step(*op, &mut stream, &mut known).await;
        match op {
            Op::Peer(op) => {
                if peer.is_none() {
                    // The peer learns of the stream with the first that this end does.
                    peer = timeout(Duration::from_secs(1), theirs.accept()).await.ok().and_then(Result::ok);
                }
                act(*op, &mut peer).await;
            }
            Op::Close => ours.close(Code(7)).await,
            Op::PeerCloses => theirs.close(Code(8)).await,
            Op::Cut => cut.cancel(),
            _ => {}
        }
        sleep(Duration::from_secs(1)).await;
        assert_eq!(stream.state(), known.state(), "after {op:?} of {ops:?}");
        assert_eq!(stream.is_operational(), !known.is_terminal());
    }
}

async fn step(op: Op, stream: &mut NetStream, known: &mut Known) {
    let limit = Duration::from_secs(1);
    match op {
        Op::Read => match timeout(limit, stream.read(&mut [0; 100])).await {
            Ok(result) => known.read(&result),
            Err(_) => known.is_used = true,
        },
        Op::Write => {
            known.is_used = true;
            if let Ok(Err(e)) = timeout(limit, stream.write(&[7; 50])).await {
                known.failed(&e);
            }
        }
        Op::Finish => match timeout(limit, stream.finish()).await {
            Ok(Ok(())) => known.write_ended = true,
            Ok(Err(e)) => known.failed(&e),
            Err(_) => panic!("`finish` waits for ever"),
        },
        Op::Reset => {
            stream.reset(Code(5));
            known.end(StreamState::Reset);
        }
        Op::Stop => {
            stream.stop_reading(Code(6));
            (known.read_ended, known.stopped) = (true, true);
        }
        Op::Peer(_) | Op::Close | Op::PeerCloses | Op::Cut => {}
    }
}

async fn act(op: PeerOp, peer: &mut Option<Box<dyn NegotiatedStream>>) {
    let Some(stream) = peer else { return };
    match op {
        PeerOp::Write => drop(timeout(Duration::from_secs(1), stream.write(&[8; 150])).await),
        PeerOp::Finish => drop(timeout(Duration::from_secs(1), stream.shutdown()).await),
        PeerOp::Reset => stream.reset(Code(9)),
        PeerOp::Stop => stream.stop_reading(Code(10)),
        PeerOp::Drop => *peer = None,
    }
}

fn check(ops: &[Op], by_listener: bool) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(live(ops, by_listener));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_state_is_what_this_end_knows_and_the_last_one_stays(ops in ops(), by_listener: bool) {
        check(&ops, by_listener);
    }
}

#[test]
fn a_stream_that_is_not_read_any_more_can_still_be_written() {
    check(&[Op::Write, Op::Stop, Op::Read, Op::Write, Op::Finish, Op::Read], false);
}

#[test]
fn a_reset_of_a_stream_that_has_ended_leaves_its_state() {
    check(&[Op::Finish, Op::Peer(PeerOp::Finish), Op::Read, Op::Reset, Op::Finish], false);
    check(&[Op::Write, Op::Cut, Op::Read, Op::Reset, Op::Finish], false);
}
