//! The client's side: sends a request, and checks the answer.

use super::head::{self, has_token};
use crate::{address::Address, error::UpgradeError};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tungstenite::{
    Error,
    error::ProtocolError,
    handshake::{
        client::{Response, generate_key},
        derive_accept_key,
        machine::TryParse,
    },
    http::StatusCode,
};

/// Asks for the upgrade. What the server sent after its answer is returned.
pub(crate) async fn request<S>(io: &mut S, address: &Address, limit: usize) -> Result<Vec<u8>, UpgradeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let key = generate_key();
    // Neither path nor host has a character that ends a line: see `Address::parse`.
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n",
        path = address.path,
        host = address.host(),
    );
    io.write_all(request.as_bytes()).await?;
    io.flush().await?;
    let head = head::read(io, limit).await?;
    check(&head.bytes, &key)?;
    Ok(head.rest)
}

/// Checks an answer as section 4.1 says.
fn check(head: &[u8], key: &str) -> Result<(), UpgradeError> {
    let bad = |error| UpgradeError::BadResponse(Box::new(error));
    let parsed = Response::try_parse(head).map_err(bad)?;
    let (_, response) = parsed.ok_or_else(|| bad(ProtocolError::HandshakeIncomplete.into()))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(UpgradeError::Refused(response.status()));
    }
    let headers = response.headers();
    let wrong = |error: ProtocolError| Err(bad(Error::Protocol(error)));
    if !has_token(headers, "upgrade", "websocket") {
        return wrong(ProtocolError::MissingUpgradeWebSocketHeader);
    }
    if !has_token(headers, "connection", "upgrade") {
        return wrong(ProtocolError::MissingConnectionUpgradeHeader);
    }
    let expected = derive_accept_key(key.as_bytes());
    if headers.get("sec-websocket-accept").is_none_or(|accept| accept.as_bytes() != expected.as_bytes()) {
        return wrong(ProtocolError::SecWebSocketAcceptKeyMismatch);
    }
    for name in ["Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"] {
        if headers.contains_key(name) {
            return Err(UpgradeError::NotAskedFor(name));
        }
    }
    Ok(())
}
