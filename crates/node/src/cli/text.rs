//! How things look on a terminal. Colours only where somebody sees them.

use super::Failure;
use skep_api::{Multiaddr, error::chain, multiaddr::Protocol};
use skep_swarm::error::Cause;
use std::{
    fmt::Display,
    io::{IsTerminal, Write},
    time::Duration,
};

/// Writes a text and a line break to standard output, in one piece.
pub(crate) fn print(text: impl Display) -> Result<(), Failure> {
    let text = format!("{text}\n");
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Output)
}

/// Whether to colour what goes to a `terminal`: not where `NO_COLOR` is set to something (no-color.org).
pub(crate) fn colours(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn paint(terminal: bool, code: &str, text: &str) -> String {
    if colours(terminal) { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_string() }
}

/// A heading on standard output.
pub(crate) fn heading(text: &str) -> String {
    paint(std::io::stdout().is_terminal(), "1", text)
}

/// Something of less weight on standard output.
pub(crate) fn faint(text: &str) -> String {
    paint(std::io::stdout().is_terminal(), "2", text)
}

/// The word that an error begins with, on standard error.
pub(crate) fn error_word() -> String {
    paint(std::io::stderr().is_terminal(), "1;31", "error:")
}

/// An error with its causes, and what to do about it.
pub(crate) fn explain(error: &Failure) -> String {
    let text = match error {
        Failure::Dial(error) => super::dial_report::failure(error),
        Failure::Listen(error) => format!("{error}: {}", reason(&error.cause, &error.addr)),
        other => chain(other),
    };
    match error.advice() {
        Some(advice) => format!("{text}\n  → {advice}"),
        None => text,
    }
}

/// A cause in words. The address, which stands beside it, is not repeated.
pub(crate) fn reason(cause: &Cause, addr: &Multiaddr) -> String {
    if let Cause::TimedOut(after) = cause {
        return format!("no result within {}", time(*after));
    }
    let bare: Multiaddr = addr.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect();
    printable(&chain(cause).replacen(&format!(": {bare}: "), ": ", 1))
}

/// Without control characters: multiaddrs do not exclude them from names, and names may be a stranger's.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// A duration as a person reads it: `0.34 ms`, `12.5 ms`, `1.20 s`.
pub(crate) fn time(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1e3;
    match millis {
        m if m < 10.0 => format!("{m:.2} ms"),
        m if m < 1_000.0 => format!("{m:.1} ms"),
        m => format!("{:.2} s", m / 1e3),
    }
}

/// Bytes in the unit that leaves few digits: `96 B`, `48.0 KiB`, `2.9 GiB`.
pub(crate) fn bytes(n: u64) -> String {
    let (unit, name) = match n {
        0..1_024 => return format!("{n} B"),
        1_024..1_048_576 => (10, "KiB"),
        1_048_576..1_073_741_824 => (20, "MiB"),
        _ => (30, "GiB"),
    };
    // Tenths, without rounding up to a limit that is not there.
    let tenths = (u128::from(n) * 10) >> unit;
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// `1 address`, `2 addresses`, `2 connections`.
pub(crate) fn count(n: usize, word: &str) -> String {
    let plural = if word.ends_with('s') { "es" } else { "s" };
    format!("{n} {word}{}", if n == 1 { "" } else { plural })
}

/// Rows below a head, in columns as wide as they need, indented.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<_> = rows.collect();
    let wide = |text: &str| text.chars().count();
    let mut widths = head.map(wide);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = wide(cell).max(*width);
        }
    }
    let line = |cells: [&str; N]| {
        let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("  {}", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    let rows = rows.iter().map(|row| line(row.each_ref().map(String::as_str)));
    [faint(&line(head))].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_or_so() {
        let shown = [340, 12_500, 1_204_000].map(|micros| time(Duration::from_micros(micros)));
        assert_eq!(shown, ["0.34 ms", "12.5 ms", "1.20 s"]);
    }

    #[test]
    fn names_do_not_steer_the_terminal() {
        let addr = Multiaddr::empty().with(Protocol::Dns4("a\u{1b}[2J.test".into()));
        assert_eq!(printable(&addr.to_string()), "/dns4/a\u{fffd}[2J.test");
    }

    #[test]
    fn sizes_have_a_unit() {
        let shown = [0, 1023, 49_152, 1_048_575, 3_159_563_776].map(bytes);
        assert_eq!(shown, ["0 B", "1023 B", "48.0 KiB", "1023.9 KiB", "2.9 GiB"]);
    }

    #[test]
    fn nouns_agree_with_their_number() {
        let shown = [count(1, "address"), count(2, "address"), count(0, "plugin"), count(1, "plugin")];
        assert_eq!(shown, ["1 address", "2 addresses", "0 plugins", "1 plugin"]);
    }

    #[test]
    fn the_address_is_not_said_twice() {
        let addr: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let cause = Cause::Transport(skep_api::transport::TransportError::from_io(&addr, refused));
        assert_eq!(reason(&cause, &addr), "the address refused the connection: connection refused");
    }
}
