//! The server's side: reads a request, and answers it.

use super::head::{self, has_token};
use crate::error::UpgradeError;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tungstenite::{
    Error,
    error::ProtocolError,
    handshake::{
        machine::TryParse,
        server::{Request, create_response, write_response},
    },
    http::{HeaderMap, HeaderValue, StatusCode},
};

/// How much is read, and for how long, of a client that is told that its request is refused. Closing with its bytes
/// unread would reset the connection, and the answer could be lost.
const DRAIN: u64 = 128 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Answers one request: with the upgrade if it asks for `path` as a WebSocket, with an error of HTTP if not. What the
/// client sent after its request is returned.
///
/// `Forwarded` and `X-Forwarded-For` are not looked at: anyone can send them. Nor are `Origin`, since the security layer
/// checks who the peer is, and `Sec-WebSocket-Protocol`, for libp2p has none.
pub(crate) async fn answer<S>(io: &mut S, path: &str, limit: usize) -> Result<Vec<u8>, UpgradeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let head = match head::read(io, limit).await {
        Ok(head) => head,
        Err(error @ UpgradeError::TooLong { .. }) => {
            refuse(io, &HEADER_TOO_LONG).await;
            return Err(error);
        }
        Err(error) => return Err(error),
    };
    match judge(&head.bytes, path) {
        Ok(response) => {
            io.write_all(&response).await?;
            io.flush().await?;
            Ok(head.rest)
        }
        Err(refusal) => {
            refuse(io, &refusal).await;
            Err(UpgradeError::Rejected { status: refusal.status, why: refusal.why })
        }
    }
}

/// Why a request is refused.
struct Refusal {
    status: StatusCode,
    /// The body of the answer.
    why: &'static str,
    /// Headers that the status asks for.
    headers: &'static str,
}

const HEADER_TOO_LONG: Refusal = Refusal {
    status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    why: "the header is too long",
    headers: "",
};

/// The bytes of the answer to a request that is right.
fn judge(head: &[u8], path: &str) -> Result<Vec<u8>, Refusal> {
    let malformed = "the request is not HTTP";
    let mut request = match Request::try_parse(head) {
        Ok(Some((_, request))) => request,
        Ok(None) => return Err(refusal(StatusCode::BAD_REQUEST, malformed)),
        Err(error) => return Err(refusal_of(&error)),
    };
    if request.uri().path() != path {
        return Err(refusal(StatusCode::NOT_FOUND, "no WebSocket is served at this path"));
    }
    put_in_one_line(request.headers_mut());
    let response = create_response(&request).map_err(|error| refusal_of(&error))?;
    let mut bytes = Vec::with_capacity(256);
    write_response(&mut bytes, &response).map_err(|error| refusal_of(&error))?;
    Ok(bytes)
}

/// Puts what a request has to say into one line for each header. The library looks at the first line only, and takes no
/// list in `Upgrade`.
fn put_in_one_line(headers: &mut HeaderMap) {
    for (name, token) in [("connection", "upgrade"), ("upgrade", "websocket")] {
        if has_token(headers, name, token) {
            headers.insert(name, HeaderValue::from_static(token));
        }
    }
}

fn refusal(status: StatusCode, why: &'static str) -> Refusal {
    Refusal { status, why, headers: "" }
}

fn refusal_of(error: &Error) -> Refusal {
    use ProtocolError as P;
    let error = match error {
        Error::Protocol(error) => error,
        // Too many headers.
        Error::Capacity(_) => return HEADER_TOO_LONG,
        _ => return refusal(StatusCode::BAD_REQUEST, "the request is not HTTP"),
    };
    let (status, why, headers) = match error {
        P::WrongHttpMethod => {
            (StatusCode::METHOD_NOT_ALLOWED, "a WebSocket begins with GET", "Allow: GET\r\n")
        }
        P::WrongHttpVersion => (StatusCode::HTTP_VERSION_NOT_SUPPORTED, "a WebSocket takes HTTP/1.1", ""),
        P::MissingConnectionUpgradeHeader | P::MissingUpgradeWebSocketHeader => (
            StatusCode::UPGRADE_REQUIRED,
            "libp2p over WebSocket is served here, and the request asks for no upgrade",
            "Upgrade: websocket\r\n",
        ),
        P::MissingSecWebSocketVersionHeader => (
            StatusCode::UPGRADE_REQUIRED,
            "the version of WebSocket has to be 13",
            "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n",
        ),
        P::MissingSecWebSocketKey | P::InvalidSecWebSocketKey => {
            (StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is missing or malformed", "")
        }
        _ => (StatusCode::BAD_REQUEST, "the request is not HTTP", ""),
    };
    Refusal { status, why, headers }
}

/// Sends an error of HTTP, and ends the connection so that the client gets to read it. The connection is over, whatever
/// comes of it.
async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(io: &mut S, refusal: &Refusal) {
    let Refusal { status, why, headers } = refusal;
    let length = why.len().saturating_add(1);
    let answer = format!(
        "HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{why}\n"
    );
    let sent = async {
        io.write_all(answer.as_bytes()).await?;
        io.shutdown().await
    };
    if sent.await.is_ok() {
        let mut unread = io.take(DRAIN);
        let _ = tokio::time::timeout(DRAIN_TIME, tokio::io::copy(&mut unread, &mut tokio::io::sink())).await;
    }
}
