//! The end that asks.

use super::{
    error::ControlError,
    line::{self, Line},
    protocol::{Refusal, Request},
    socket,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{
    io::{self, ErrorKind},
    path::Path,
    time::Duration,
};
use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::UnixStream,
};

/// A node answers at once; this is for one that is stopped.
const LIMIT: Duration = Duration::from_secs(10);
/// Longer answers are refused. The default tables of a node give some megabytes, the largest some hundred.
const MAX_ANSWER: usize = 512 << 20;

/// Asks the node whose control socket is at `path`. `T` is what the request says that it gives.
///
/// # Errors
/// [`ControlError`]: nobody is there, the node refuses, or the answer makes no sense.
pub async fn ask<T: DeserializeOwned>(path: &Path, request: &Request) -> Result<T, ControlError> {
    let answer = tokio::time::timeout(LIMIT, exchange(path, request))
        .await
        .map_err(|_| ControlError::TimedOut(path.into(), LIMIT))??;
    let garbled = |e| ControlError::Garbled(path.into(), Some(e));
    let answer: Value = serde_json::from_slice(&answer).map_err(garbled)?;
    match answer.get("ok").and_then(Value::as_bool) {
        Some(true) => serde_json::from_value(answer).map_err(garbled),
        Some(false) => {
            Err(ControlError::Refused(serde_json::from_value::<Refusal>(answer).map_err(garbled)?))
        }
        None => Err(ControlError::Garbled(path.into(), None)),
    }
}

/// One line there, one line back.
async fn exchange(path: &Path, request: &Request) -> Result<Vec<u8>, ControlError> {
    let mut stream = UnixStream::connect(path).await.map_err(|e| unreachable(path, e))?;
    let mut line = serde_json::to_vec(request).map_err(|e| ControlError::Garbled(path.into(), Some(e)))?;
    line.push(b'\n');
    // A node that is too busy says so without reading: what it says is worth more than that it hung up.
    let sent = stream.write_all(&line).await;
    match (line::read(&mut BufReader::new(stream), MAX_ANSWER).await, sent) {
        (Ok(Line::Whole(answer)), _) => Ok(answer),
        (Ok(Line::TooLong), _) => Err(ControlError::Garbled(path.into(), None)),
        (Err(e), _) | (Ok(Line::End), Err(e)) => Err(ControlError::Closed(path.into(), Some(e))),
        (Ok(Line::End), Ok(())) => Err(ControlError::Closed(path.into(), None)),
    }
}

fn unreachable(path: &Path, error: io::Error) -> ControlError {
    match error.kind() {
        ErrorKind::NotFound => ControlError::Missing(path.into(), error),
        ErrorKind::PermissionDenied => ControlError::Denied(path.into(), error),
        // So it is for files of any kind.
        ErrorKind::ConnectionRefused if !socket::is_socket(path).unwrap_or(true) => {
            ControlError::NotASocket(path.into())
        }
        ErrorKind::ConnectionRefused => ControlError::Abandoned(path.into(), error),
        _ => ControlError::Io("open", path.into(), error),
    }
}
