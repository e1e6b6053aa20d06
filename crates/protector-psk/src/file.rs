//! Key files, such as `swarm.key`: two lines that say what follows, and 32 bytes.
//!
//! ```text
//! /key/swarm/psk/1.0.0/
//! /base16/
//! 64 digits
//! ```
//!
//! No error says what is in a file, not even in a line that should be something else: it may be the key.

use crate::key::{KEY_LEN, Key};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};
use zeroize::Zeroizing;

const CODEC: &[u8] = b"/key/swarm/psk/1.0.0/";

/// Longest file that is looked at, in bytes; the longest right one has less than a hundred.
const MAX_LEN: u64 = 1024;

/// Length of a key in base64, with its padding.
const BASE64_LEN: usize = KEY_LEN.div_ceil(3) * 4;

/// Why a file gives no key.
#[derive(Debug)]
pub(crate) enum FileError {
    Io(io::Error),
    /// A folder, a device, a pipe.
    NoFile,
    /// What is wrong, and in which line.
    Line(u8, Wrong),
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    Codec,
    Encoding,
    Missing,
    /// It has so many characters, not so many.
    Length(&'static str, usize, usize),
    Digits(&'static str),
    TooLong,
}

impl FileError {
    /// What is wrong with the file at this path.
    pub(crate) fn problem(&self, path: &Path) -> String {
        let path = path.display();
        match self {
            Self::Io(error) => format!("{path} cannot be read: {error}"),
            Self::NoFile => format!("{path} is no regular file"),
            Self::Line(line, wrong) => format!("{path}, line {line}: {}", wrong.text()),
        }
    }

    /// What would be right.
    pub(crate) fn help(&self) -> &'static str {
        match self {
            Self::Io(_) | Self::NoFile => {
                "give the path of the network's `swarm.key`; a relative one starts at the working directory"
            }
            Self::Line(1, _) => "allowed: `/key/swarm/psk/1.0.0/`",
            Self::Line(2, _) => "allowed: `/base16/`, `/base64/` or `/bin/`",
            Self::Line(..) => {
                "allowed: 32 bytes and the end of the file, as 64 digits after `/base16/`, as 44 characters after \
                 `/base64/`, as they are after `/bin/`"
            }
        }
    }
}

impl Wrong {
    fn text(self) -> String {
        match self {
            Self::Codec => "this is no `swarm.key`".into(),
            Self::Encoding => "the encoding is not known".into(),
            Self::Missing => "the line is missing".into(),
            Self::Length(unit, has, needs) => format!("the key has {has} {unit} instead of {needs}"),
            Self::Digits(encoding) => format!("the key is not in {encoding}"),
            Self::TooLong => "the file goes on behind a key".into(),
        }
    }
}

/// Reads a key file. One that others can read is taken, with a warning in the log.
pub(crate) fn read(path: &Path) -> Result<Key, FileError> {
    // A pipe would keep the node waiting as long as nobody writes into it, already when it is opened.
    let metadata = path.metadata().map_err(FileError::Io)?;
    if !metadata.is_file() {
        return Err(FileError::NoFile);
    }
    warn_if_exposed(path, &metadata);
    // With its capacity from the start it never moves, which would leave a copy behind.
    let mut text = Zeroizing::new(Vec::with_capacity(2 * usize::try_from(MAX_LEN).unwrap_or_default()));
    let file = File::open(path).map_err(FileError::Io)?;
    file.take(MAX_LEN).read_to_end(&mut text).map_err(FileError::Io)?;
    parse(&text)
}

#[cfg(unix)]
fn warn_if_exposed(path: &Path, metadata: &std::fs::Metadata) {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o044 != 0 {
        let mode = format!("{mode:03o}");
        tracing::warn!(
            path = %path.display(), mode,
            "Others can read the key of the private network: take their permission (chmod 600)."
        );
    }
}

#[cfg(not(unix))]
fn warn_if_exposed(_: &Path, _: &std::fs::Metadata) {}

fn parse(text: &[u8]) -> Result<Key, FileError> {
    let (codec, rest) = line(text);
    if codec != CODEC {
        return Err(FileError::Line(1, Wrong::Codec));
    }
    let (encoding, rest) = rest.map_or((None, None), |rest| {
        let (encoding, rest) = line(rest);
        (Some(encoding), rest)
    });
    let decode = match encoding {
        Some(b"/base16/") => base16,
        Some(b"/base64/") => base64,
        Some(b"/bin/") => bin,
        Some(b"") | None => return Err(FileError::Line(2, Wrong::Missing)),
        Some(_) => return Err(FileError::Line(2, Wrong::Encoding)),
    };
    match rest {
        Some(rest) if !rest.is_empty() => decode(rest).map_err(|wrong| FileError::Line(3, wrong)),
        _ => Err(FileError::Line(3, Wrong::Missing)),
    }
}

/// The first line without its end, and what follows that.
fn line(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|byte| *byte == b'\n') {
        None => (text, None),
        Some(end) => {
            let line = text.get(..end).unwrap_or_default();
            (line.strip_suffix(b"\r").unwrap_or(line), text.get(end.saturating_add(1)..))
        }
    }
}

/// The last line of a file of text, which may have an end or none.
fn last_line(text: &[u8]) -> Result<&[u8], Wrong> {
    let (line, rest) = line(text);
    match rest {
        None | Some(b"") => Ok(line.strip_suffix(b"\r").unwrap_or(line)),
        Some(_) => Err(Wrong::TooLong),
    }
}

fn base16(text: &[u8]) -> Result<Key, Wrong> {
    let digits = last_line(text)?;
    if digits.len() != 2 * KEY_LEN {
        return Err(Wrong::Length("characters", digits.len(), 2 * KEY_LEN));
    }
    Key::made(|bytes| hex::decode_to_slice(digits, bytes).map_err(|_| Wrong::Digits("base16")))
}

fn base64(text: &[u8]) -> Result<Key, Wrong> {
    let digits = last_line(text)?;
    if digits.len() != BASE64_LEN {
        return Err(Wrong::Length("characters", digits.len(), BASE64_LEN));
    }
    // The decoder wants room for as many bytes as there could be without padding.
    let mut decoded = Zeroizing::new([0; BASE64_LEN]);
    let len = STANDARD.decode_slice(digits, &mut *decoded).map_err(|_| Wrong::Digits("base64"))?;
    bin(decoded.get(..len).unwrap_or_default())
}

fn bin(bytes: &[u8]) -> Result<Key, Wrong> {
    let (key, end) = bytes.split_at_checked(KEY_LEN).ok_or(Wrong::Length("bytes", bytes.len(), KEY_LEN))?;
    match end {
        b"" | b"\n" | b"\r\n" => Key::made(|place| {
            place.copy_from_slice(key);
            Ok(())
        }),
        _ => Err(Wrong::Length("bytes", bytes.len(), KEY_LEN)),
    }
}

#[cfg(test)]
mod tests;
