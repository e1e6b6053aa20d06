//! Text from a peer, made safe to show.

/// Longest text that [`remote`] returns, in bytes before escaping.
pub const MAX_SHOWN: usize = 256;

/// Escapes control characters, quotes and everything outside of printable characters, and cuts long text.
///
/// Agent names, protocol ids and close messages come from strangers: printed as they are, they could steer the
/// operator's terminal (CVE-2020-26283).
#[must_use]
pub fn remote(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(MAX_SHOWN));
    for (at, c) in text.char_indices() {
        if at >= MAX_SHOWN {
            shown.push('…');
            break;
        }
        if c.is_control() || is_steering(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Characters that are not control characters but reorder or hide the text around them.
fn is_steering(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_steering_characters_are_escaped() {
        assert_eq!(remote("kubo/0.30 ünï"), "kubo/0.30 ünï");
        assert_eq!(remote("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(remote("x\u{202e}y"), "x\\u{202e}y");
    }

    #[test]
    fn long_text_is_cut() {
        let shown = remote(&"a".repeat(10_000));
        assert_eq!(shown.chars().count(), MAX_SHOWN + 1);
        assert!(shown.ends_with('…'));
    }
}
