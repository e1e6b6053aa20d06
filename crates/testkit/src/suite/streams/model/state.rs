//! What each end has done, and what the other may or must have seen of it.

use crate::{
    harness::{Outcome, broken, ensure},
    suite::streams::{Carries, voice::End},
};
use skep_api::{CloseReason, Code, Side as By, stream::StreamError};

/// A writer that is held up has at least so much unread on the other side.
const LEAST_WINDOW: u64 = 64 * 1024;

/// What happened to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// So many bytes moved, and all that was asked for is done.
    Moved(u64),
    /// So many bytes moved, and then nothing more although everything had settled.
    Waits(u64),
    /// So many bytes moved, and then this end came.
    Ended(u64, End),
}

/// One end, by what it has done itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Side {
    pub(super) wrote: u64,
    pub(super) read: u64,
    pub(super) finished: bool,
    /// A reset, with its code; dropping the stream unfinished is one.
    pub(super) reset: Option<Code>,
    pub(super) stopped: Option<Code>,
    pub(super) dropped: bool,
    /// It wrote after the other end had let go of the stream: by the next time it has been told.
    wrote_in_vain: bool,
    /// How reading was seen to end. It stays so.
    read_end: Option<End>,
}

/// One way in which the connection may have ended.
#[derive(Clone, Debug)]
struct Ending {
    /// Who closed it, and with which code; `None` is the cut.
    closed: Option<(usize, Code)>,
    /// Bytes that each end must read before it shows.
    owed: [u64; 2],
    /// Whether reading had ended for each end in another way before.
    beaten: [bool; 2],
}

/// Both ends, and the connection.
#[derive(Clone, Debug)]
pub(super) struct Model {
    carries: Carries,
    pub(super) sides: [Side; 2],
    /// The same at the last time when everything had settled.
    settled: [Side; 2],
    endings: Vec<Ending>,
    pub(super) is_over: bool,
}

impl Model {
    /// A stream on which one byte went from the opener, end 0, to the acceptor, end 1.
    pub(super) fn new(carries: Carries) -> Self {
        let opener = Side { wrote: 1, ..Side::default() };
        let acceptor = Side { read: 1, ..Side::default() };
        let sides = [opener, acceptor];
        Self { carries, settled: sides.clone(), sides, endings: Vec::new(), is_over: false }
    }

    /// Nothing is on its way any more.
    pub(super) fn settle(&mut self) {
        self.settled = self.sides.clone();
        self.is_over = !self.endings.is_empty();
    }

    pub(super) fn has_ended(&self) -> bool {
        !self.endings.is_empty()
    }

    pub(super) fn side(&self, end: usize) -> &Side {
        side(&self.sides, end)
    }

    pub(super) fn side_mut(&mut self, end: usize) -> &mut Side {
        let [opener, acceptor] = &mut self.sides;
        if end == 0 { opener } else { acceptor }
    }

    /// Whether the stream is over for this end without doubt, so that a reset is none.
    fn is_over_for(&self, end: usize) -> bool {
        let (own, peer) = (self.side(end), side(&self.settled, 1 - end));
        own.reset.is_some() || (own.finished && peer.finished) || peer.reset.is_some() || self.is_over
    }

    pub(super) fn reset(&mut self, end: usize, code: Code) {
        if !self.is_over_for(end) {
            self.side_mut(end).reset = Some(code);
        }
    }

    pub(super) fn drop(&mut self, end: usize) {
        if !self.side(end).finished {
            self.reset(end, Code::DROPPED);
        }
        self.side_mut(end).dropped = true;
    }

    pub(super) fn stop(&mut self, end: usize, code: Code) {
        self.side_mut(end).stopped.get_or_insert(code);
    }

    pub(super) fn end(&mut self, closed: Option<(usize, Code)>) {
        if self.is_over {
            return;
        }
        let owed = [0, 1].map(|end| {
            // What the end that closes had finished goes before the close.
            let peer = side(&self.sides, 1 - end);
            let is_closer = closed.is_some_and(|(by, _)| by == 1 - end);
            if is_closer && peer.finished { peer.wrote } else { side(&self.settled, 1 - end).wrote }
        });
        let beaten = [0, 1].map(|end| {
            let (own, peer) = (side(&self.sides, end), side(&self.sides, 1 - end));
            let is_closer = closed.is_some_and(|(by, _)| by == 1 - end);
            let finished = side(&self.settled, 1 - end).finished || (is_closer && peer.finished);
            own.reset.is_some()
                || own.stopped.is_some()
                || side(&self.settled, 1 - end).reset.is_some()
                || finished
        });
        self.endings.push(Ending { closed, owed, beaten });
    }

    /// Whether the connection may have ended so, as this end sees it.
    pub(super) fn may_end(&self, end: usize, reason: &CloseReason) -> bool {
        self.endings.iter().any(|ending| ending.shows_as(self.carries, end, reason))
    }

    /// A read of this end, judged by all that both have done.
    pub(super) fn judge_read(&mut self, end: usize, seen: &Seen) -> Outcome {
        let before = self.side(end).read_end.clone();
        let (Seen::Moved(n) | Seen::Waits(n) | Seen::Ended(n, _)) = seen;
        self.side_mut(end).read = self.side(end).read.saturating_add(*n);
        let (own, peer) = (self.side(end).clone(), self.side(1 - end));
        ensure!(own.read <= peer.wrote, "end {end} read {} bytes of {}", own.read, peer.wrote);
        if *n > 0 {
            // A reset is none if the stream had ended before, which the peer's doing may have caused.
            let uncertain = peer.finished || peer.reset.is_some() || self.has_ended();
            let over = own.reset.is_some() && own.reset == side(&self.settled, end).reset && !uncertain;
            ensure!(before.is_none(), "end {end} read {n} bytes after {before:?}");
            ensure!(own.stopped.is_none() && !over, "end {end} read {n} bytes that it does not want");
        }
        match seen {
            Seen::Moved(_) => Ok(()),
            Seen::Waits(_) => self.judge_waiting_read(end),
            Seen::Ended(_, how) => {
                let known = before.is_none_or(|before| before == *how);
                ensure!(known, "reading at end {end} ended with {how:?} after it had ended otherwise");
                self.side_mut(end).read_end = Some(how.clone());
                ensure!(self.may_read_end(end, how), "reading at end {end} ended with {how:?}: {self:#?}");
                Ok(())
            }
        }
    }

    fn judge_waiting_read(&self, end: usize) -> Outcome {
        let (own, peer) = (self.side(end), self.side(1 - end));
        let ends = own.reset.or(own.stopped).or(peer.reset).is_some() || peer.finished || self.has_ended();
        let waits = own.read == peer.wrote && own.read_end.is_none() && !ends;
        ensure!(waits, "a read at end {end} waits for ever: {self:#?}");
        Ok(())
    }

    fn may_read_end(&self, end: usize, how: &End) -> bool {
        let (own, peer) = (self.side(end), self.side(1 - end));
        match how {
            Ok(()) => peer.finished && own.read == peer.wrote,
            Err(StreamError::Reset { by: By::Local, code }) => {
                own.reset == Some(*code) || own.stopped == Some(*code)
            }
            Err(StreamError::Reset { by: By::Remote, code }) => {
                peer.reset.is_some_and(|told| self.carries.reset(told) == *code)
            }
            Err(StreamError::ConnectionLost(reason)) => self.endings.iter().any(|ending| {
                let due = own.read >= *pick(&ending.owed, end) && !*pick(&ending.beaten, end);
                due && ending.shows_as(self.carries, end, reason)
            }),
            Err(_) => false,
        }
    }

    /// A write of this end.
    pub(super) fn judge_write(&mut self, end: usize, seen: &Seen) -> Outcome {
        let (Seen::Moved(n) | Seen::Waits(n) | Seen::Ended(n, _)) = seen;
        let torn = side(&self.settled, 1 - end).reset.is_some() || self.is_over;
        let is_closed = self.side(end).finished || side(&self.settled, end).reset.is_some() || torn;
        ensure!(*n == 0 || !is_closed, "end {end} wrote {n} bytes after its end: {self:#?}");
        let in_vain = *n > 0 && side(&self.settled, end).wrote_in_vain;
        ensure!(!in_vain, "end {end} is not told that nobody reads what it writes: {self:#?}");
        self.side_mut(end).wrote = self.side(end).wrote.saturating_add(*n);
        self.side_mut(end).wrote_in_vain |= *n > 0 && side(&self.settled, 1 - end).dropped;
        match seen {
            Seen::Moved(_) => Ok(()),
            Seen::Waits(_) => self.judge_waiting_write(end),
            Seen::Ended(_, how) => self.judge_write_end(end, how),
        }
    }

    fn judge_waiting_write(&self, end: usize) -> Outcome {
        let (own, peer) = (self.side(end), self.side(1 - end));
        let told = own.finished || own.reset.or(peer.reset).or(peer.stopped).is_some() || peer.dropped;
        let unread = own.wrote.saturating_sub(peer.read);
        let waits = unread >= LEAST_WINDOW && !told && !self.has_ended();
        ensure!(waits, "a write at end {end} waits for ever, with {unread} bytes unread: {self:#?}");
        Ok(())
    }

    pub(super) fn judge_write_end(&self, end: usize, how: &End) -> Outcome {
        let (own, peer) = (self.side(end), self.side(1 - end));
        let Err(error) = how else { return broken(format!("a write at end {end} gave nothing")) };
        let may = match error {
            StreamError::Finished => own.finished,
            StreamError::Stopped { code } => self.carries.stops && peer.stopped == Some(*code),
            StreamError::Reset { by: By::Local, code } => own.reset == Some(*code),
            StreamError::Reset { by: By::Remote, code } => {
                let gone = peer.dropped.then_some(Code::DROPPED);
                [peer.reset, gone].into_iter().flatten().any(|told| self.carries.reset(told) == *code)
            }
            StreamError::ConnectionLost(reason) => self.may_end(end, reason),
            _ => false,
        };
        ensure!(may, "a write at end {end} ended with {error:?}: {self:#?}");
        Ok(())
    }

    /// A call of `finish` by this end.
    pub(super) fn judge_finish(&mut self, end: usize, seen: &Seen) -> Outcome {
        match seen {
            Seen::Ended(_, how) => self.judge_write_end(end, how),
            Seen::Waits(_) => broken(format!("`finish` waits for ever at end {end}")),
            Seen::Moved(_) => {
                let own = self.side(end);
                let torn =
                    own.reset.is_some() || side(&self.settled, 1 - end).reset.is_some() || self.is_over;
                ensure!(own.finished || !torn, "a stream that is over was finished by end {end}: {self:#?}");
                Ok(())
            }
        }
    }
}

impl Ending {
    fn shows_as(&self, carries: Carries, end: usize, reason: &CloseReason) -> bool {
        match (self.closed, reason) {
            (None, CloseReason::Lost { .. }) => true,
            (Some((by, code)), CloseReason::Closed { by: By::Local, code: told, .. }) => {
                by == end && code == *told
            }
            (Some((by, code)), CloseReason::Closed { by: By::Remote, code: told, .. }) => {
                by != end && carries.close(code) == *told
            }
            (Some((by, _)), CloseReason::Lost { .. }) => by != end && !carries.closes,
            _ => false,
        }
    }
}

fn side(sides: &[Side; 2], end: usize) -> &Side {
    pick(sides, end)
}

fn pick<T>([opener, acceptor]: &[T; 2], end: usize) -> &T {
    if end == 0 { opener } else { acceptor }
}
