//! How things look on a terminal. Colours only where somebody sees them.

use super::Failure;
use skep_api::error::chain;
use std::{io::IsTerminal, time::Duration};

fn paint(on: bool, code: &str, text: &str) -> String {
    if on && std::env::var_os("NO_COLOR").is_none() {
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    } else {
        text.to_string()
    }
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
    match error {
        Failure::Dial(error) => super::dial::tree(error),
        Failure::Listen(error) => format!("{}\n  {} {}", chain(error), faint("→"), error.cause.advice()),
        other => chain(other),
    }
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

/// `1 connection`, `2 connections`.
pub(crate) fn count(n: usize, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_or_so() {
        let shown = [340, 12_500, 1_204_000].map(|micros| time(Duration::from_micros(micros)));
        assert_eq!(shown, ["0.34 ms", "12.5 ms", "1.20 s"]);
    }
}
