//! One line of a transcript.

use crate::around::Flow;
use std::{fmt::Write, sync::Arc, time::Duration};

/// Something that has happened.
#[derive(Debug)]
pub(super) struct Entry {
    /// Events before it that found no room in the queue.
    pub(super) lost_before: u64,
    /// How long after the transcript began.
    pub(super) at: Duration,
    pub(super) place: Arc<str>,
    /// The number of the connection in the transcript; `None` of what belongs to none.
    pub(super) connection: Option<u64>,
    pub(super) stream: Option<u64>,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// Bytes have passed: how many there were, and the first of them.
    Bytes { flow: Flow, count: usize, shown: Box<[u8]> },
    /// Something else, in words. What a peer has said is escaped.
    Words(String),
}

impl Entry {
    /// The line, with its end.
    pub(super) fn line(&self) -> String {
        let shown = if let What::Bytes { shown, .. } = &self.what { shown.len() } else { 0 };
        let mut line = String::with_capacity(shown.saturating_mul(3).saturating_add(96));
        // Writing into a text cannot fail.
        let _ = write!(line, "{}.{:06} {} ", self.at.as_secs(), self.at.subsec_micros(), self.place);
        for number in [self.connection, self.stream] {
            match number {
                Some(number) => drop(write!(line, "{number} ")),
                None => line.push_str("- "),
            }
        }
        match &self.what {
            What::Words(words) => line.push_str(words),
            What::Bytes { flow, count, shown } => {
                let _ = write!(line, "{} {count} ", flow.name());
                push_bytes(&mut line, shown);
                let more = count.saturating_sub(shown.len());
                if more > 0 {
                    let _ = write!(line, " +{more}");
                }
            }
        }
        line.push('\n');
        line
    }
}

/// In hexadecimal, and as text with a dot for what is not printable ASCII.
fn push_bytes(line: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(line, "{byte:02x}");
    }
    line.push_str(" |");
    line.extend(bytes.iter().map(|byte| match byte {
        b' '..=b'~' => char::from(*byte),
        _ => '.',
    }));
    line.push('|');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(connection: Option<u64>, stream: Option<u64>, what: What) -> String {
        let at = Duration::from_micros(1_000_042);
        Entry { lost_before: 0, at, place: "muxer.yamux".into(), connection, stream, what }.line()
    }

    #[test]
    fn bytes_are_in_hexadecimal_and_text() {
        let shown: Box<[u8]> = Box::from(&b"\x13/m s\n\xff"[..]);
        let what = What::Bytes { flow: Flow::Sent, count: 7, shown: shown.clone() };
        let line = "1.000042 muxer.yamux 3 5 sent 7 132f6d20730aff |./m s..|\n";
        assert_eq!(entry(Some(3), Some(5), what), line);
        let what = What::Bytes { flow: Flow::Received, count: 20, shown };
        let line = "1.000042 muxer.yamux 3 - received 20 132f6d20730aff |./m s..| +13\n";
        assert_eq!(entry(Some(3), None, what), line);
    }

    #[test]
    fn words_follow_the_same_columns() {
        assert_eq!(entry(None, None, What::Words("dial".into())), "1.000042 muxer.yamux - - dial\n");
    }
}
