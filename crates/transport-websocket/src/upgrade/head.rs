//! The header of a request or response, read within bounds.

use crate::error::UpgradeError;
use tokio::io::{AsyncRead, AsyncReadExt};
use tungstenite::http::HeaderMap;

const END: &[u8] = b"\r\n\r\n";
/// Bytes that are asked for at a time.
const PIECE: usize = 1024;

/// What was read: the header with the empty line at its end, and what came after it.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) bytes: Vec<u8>,
    pub(super) rest: Vec<u8>,
}

/// Reads up to the empty line. Each byte is looked at a bounded number of times however few come at once.
pub(super) async fn read<S: AsyncRead + Unpin>(io: &mut S, limit: usize) -> Result<Head, UpgradeError> {
    let mut bytes: Vec<u8> = Vec::with_capacity(PIECE);
    let mut searched = 0_usize;
    loop {
        let unseen = bytes.get(searched..).unwrap_or_default();
        if let Some(at) = unseen.windows(END.len()).position(|window| window == END) {
            let end = searched.saturating_add(at).saturating_add(END.len());
            if end > limit {
                return Err(UpgradeError::TooLong { limit });
            }
            let rest = bytes.split_off(end);
            return Ok(Head { bytes, rest });
        }
        if bytes.len() >= limit {
            return Err(UpgradeError::TooLong { limit });
        }
        // The end may have begun.
        searched = bytes.len().saturating_sub(END.len());
        if bytes.len() == bytes.capacity() {
            bytes.reserve(PIECE);
        }
        if io.read_buf(&mut bytes).await? == 0 {
            return Err(UpgradeError::Incomplete);
        }
    }
}

/// Whether a header lists a word, in any case and in any of its lines (RFC 9110, section 5.3).
pub(super) fn has_token(headers: &HeaderMap, name: &str, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(token))
}
