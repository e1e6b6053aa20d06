//! Lines of bounded length.

use std::io;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line without its end, which may be the end of the stream.
    Whole(Vec<u8>),
    /// More bytes than a line may have.
    TooLong,
    /// The stream has ended.
    End,
}

/// Reads up to the end of a line, which has `max` bytes at most. Memory grows with what has come, no further.
pub(super) async fn read(reader: &mut (impl AsyncBufRead + Unpin), max: usize) -> io::Result<Line> {
    let mut line = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(limit).read_until(b'\n', &mut line).await?;
    Ok(if line.pop_if(|last| *last == b'\n').is_some() {
        Line::Whole(line)
    } else if line.is_empty() {
        Line::End
    } else if line.len() > max {
        Line::TooLong
    } else {
        Line::Whole(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(mut bytes: &[u8], max: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        loop {
            lines.push(read(&mut bytes, max).await.unwrap());
            if matches!(lines.last(), Some(Line::TooLong | Line::End)) {
                return lines;
            }
        }
    }

    #[tokio::test]
    async fn lines_end_with_a_break_or_with_the_stream() {
        let whole = |text: &str| Line::Whole(text.into());
        assert_eq!(lines(b"a\n\nbc", 2).await, [whole("a"), whole(""), whole("bc"), Line::End]);
        assert_eq!(lines(b"", 2).await, [Line::End]);
    }

    #[tokio::test]
    async fn a_line_may_be_as_long_as_the_limit() {
        assert_eq!(lines(b"ab\nabc\n", 2).await, [Line::Whole(b"ab".into()), Line::TooLong]);
        assert_eq!(lines(b"abc", 2).await, [Line::TooLong]);
    }
}
