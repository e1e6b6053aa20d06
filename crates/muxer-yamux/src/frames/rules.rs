//! What is done with each frame that arrives, before the `yamux` crate sees it.
//!
//! A frame that breaks the rules is refused before it has changed anything. Flow control is left to the crate,
//! which keeps the windows.

use super::header::{FIN, Header, Kind, RST, SYN};
use crate::{config::INITIAL_WINDOW, shared::Shared, table::Record};
use skep_api::{Code, security::Role};
use std::sync::{Arc, atomic::Ordering};

/// Data frames of one stream that may wait for its reader. Each costs tens of bytes beside its data, so that a window of
/// frames of one byte would take sixty times the memory that the window stands for.
const MAX_UNREAD: u32 = 16 * 1024;

/// What is done with a frame.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) pass: Pass,
    /// The stream that the peer finishes with this frame.
    pub(crate) finishes: Option<Arc<Record>>,
    /// What is sent back.
    pub(crate) reply: Option<Header>,
}

/// How much of a frame goes on to the crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// All of it.
    Whole,
    /// The header with a length of zero; the body is thrown away.
    Empty,
    /// Nothing; the body is thrown away.
    Nothing,
}

impl Verdict {
    fn pass(pass: Pass) -> Self {
        Self { pass, finishes: None, reply: None }
    }

    fn reply(reply: Option<Header>) -> Self {
        Self { pass: Pass::Nothing, finishes: None, reply }
    }
}

/// Judges a frame. `Err` says how the peer broke the protocol.
pub(crate) fn judge(shared: &Shared, header: Header) -> Result<Verdict, String> {
    match header.kind {
        // Answered here: the crate stops reading until a pong is written, and two that wait for each other stop for good.
        Kind::Ping if header.stream == 0 && header.has(SYN) => {
            Ok(Verdict::reply(Some(Header::pong(header.len))))
        }
        Kind::Ping if shared.signs.answered(header.len) => Ok(Verdict::reply(None)),
        Kind::Ping => Ok(Verdict::pass(Pass::Whole)),
        Kind::GoAway => {
            let _ = shared.go_away.set(header.len);
            Ok(Verdict::pass(Pass::Whole))
        }
        Kind::Data | Kind::WindowUpdate if header.stream == 0 => {
            Err("a frame with data or credit for stream 0, which is the connection".into())
        }
        Kind::Data | Kind::WindowUpdate if header.has(SYN) => judge_opening(shared, header),
        Kind::Data | Kind::WindowUpdate => judge_stream(shared, header),
    }
}

/// A frame that opens a stream.
fn judge_opening(shared: &Shared, header: Header) -> Result<Verdict, String> {
    let id = header.stream;
    let opened_by_dialer = id % 2 == 1;
    if opened_by_dialer == (shared.role == Role::Dialer) {
        return Err(format!("it opened stream {id}, a number that is ours to give"));
    }
    if header.body() > INITIAL_WINDOW {
        return Err(format!(
            "it opened stream {id} with {} bytes, the first window is {INITIAL_WINDOW}",
            header.len
        ));
    }
    if shared.table.get(id).is_some() {
        return Err(format!("it opened stream {id} twice"));
    }
    if header.has(RST) {
        // Opened and reset in one: nobody would see it.
        return Ok(Verdict::reply(None));
    }
    let record = Record::default();
    record.announced.store(true, Ordering::Release);
    record.use_window(header.body());
    if shared.outcome().is_none()
        && let Some(record) = shared.table.insert(id, record)
    {
        let finishes = header.has(FIN).then_some(record);
        return Ok(Verdict { finishes, ..Verdict::pass(Pass::Whole) });
    }
    shared.opening_refused();
    shared.table.remember_reset(id);
    Ok(Verdict::reply(Some(Header::reset(id, Code::RESOURCE_LIMIT.0))))
}

/// A frame of a stream that should be open.
fn judge_stream(shared: &Shared, header: Header) -> Result<Verdict, String> {
    let Some(record) = shared.table.get(header.stream) else {
        return Ok(judge_unknown(shared, header));
    };
    if header.has(RST) {
        let code = match (header.kind, header.len) {
            (Kind::WindowUpdate, code) if code != 0 => Code(code),
            _ => Code::UNKNOWN,
        };
        record.reset_by_peer(code);
        return Ok(Verdict::pass(Pass::Empty));
    }
    record.use_window(header.body());
    let stopped = header.kind == Kind::Data && record.stopped.load(Ordering::Acquire);
    if !stopped && header.body() > 0 && record.unread.fetch_add(1, Ordering::Relaxed) >= MAX_UNREAD {
        return Err(format!(
            "it sent {MAX_UNREAD} frames to stream {} that nobody has read yet",
            header.stream
        ));
    }
    let reply = stopped.then(|| credit_back(&record, header)).flatten();
    let pass = match stopped {
        false => Pass::Whole,
        true if header.flags == 0 => Pass::Nothing,
        true => Pass::Empty,
    };
    Ok(Verdict { pass, finishes: header.has(FIN).then_some(record), reply })
}

/// A frame of a stream that is over, or never was.
///
/// The peer may have sent it before it learned of the end, so it is no violation. But a peer that goes on sending
/// would wait for ever once its window is used up: the first data it sends is answered with a reset. By then
/// everything that was written to the stream is on its way, for the stream has left the table.
fn judge_unknown(shared: &Shared, header: Header) -> Verdict {
    let wants_to_send = header.body() > 0 && !header.has(RST | FIN);
    let answer = wants_to_send && shared.table.remember_reset(header.stream);
    Verdict::reply(answer.then(|| Header::reset(header.stream, Code::DROPPED.0)))
}

/// Gives the peer the window back for data that is thrown away, half a window at a time.
pub(super) fn credit_back(record: &Record, header: Header) -> Option<Header> {
    let before = record.discarded.load(Ordering::Acquire);
    let owed = before.saturating_add(header.len);
    let due = owed >= INITIAL_WINDOW / 2 && !header.has(FIN);
    record.discarded.store(if due { 0 } else { owed }, Ordering::Release);
    if !due {
        return None;
    }
    record.widen_window(owed);
    Some(Header::credit(header.stream, owed))
}

/// Says what a frame did wrong that the crate refused.
pub(crate) fn explain(header: Header) -> String {
    let id = header.stream;
    match header.kind {
        Kind::Data => format!("it sent {} bytes to stream {id}, more than its window", header.len),
        Kind::WindowUpdate => {
            format!("it gave {} bytes of credit to stream {id}, which overflows the window", header.len)
        }
        Kind::Ping => format!("it answered a ping that was not sent ({})", header.len),
        Kind::GoAway => "it sent a malformed GoAway".into(),
    }
}
