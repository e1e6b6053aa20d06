//! Protocol negotiation by multistream-select (libp2p specs, connections/README.md).
//!
//! The dialler is lazy: its last proposal is sent together with the data that follows, so agreeing costs no
//! round trip of its own. A refusal is then seen by the first read, inside of its I/O error; [`refused`] finds it.

use multistream_select::{Negotiated, NegotiationError, Version, dialer_select_proto, listener_select_proto};
use skep_api::security::Role;
use std::{error::Error, io};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt};

/// A byte stream on which a protocol was agreed, or is about to be.
pub(crate) type Agreed<T> = Compat<Negotiated<Compat<T>>>;

/// Agrees on one of `protocols`, which are in order of preference.
pub(crate) async fn negotiate<T, P>(
    io: T,
    role: Role,
    protocols: impl IntoIterator<Item = P>,
) -> Result<(P, Agreed<T>), NegotiationError>
where
    T: AsyncRead + AsyncWrite + Unpin,
    P: AsRef<str> + Clone,
{
    let protocols: Vec<P> = protocols.into_iter().collect();
    let (protocol, io) = match role {
        Role::Dialer => dialer_select_proto(io.compat(), protocols, Version::V1Lazy).await?,
        Role::Listener => listener_select_proto(io.compat(), protocols).await?,
    };
    Ok((protocol, io.compat()))
}

/// Whether an error means that the other side took none of the protocols proposed.
pub(crate) fn refused(error: &(dyn Error + 'static)) -> bool {
    find(error, |e| matches!(e.downcast_ref(), Some(NegotiationError::Failed)).then_some(())).is_some()
}

/// The first of an error and its causes in which `look` finds what it looks for.
pub(crate) fn find<'a, T>(
    error: &'a (dyn Error + 'static),
    look: impl Fn(&'a (dyn Error + 'static)) -> Option<T>,
) -> Option<T> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = look(error) {
            return Some(found);
        }
        // An I/O error's `source()` skips the error it carries.
        if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref)
            && let Some(found) = look(inner)
        {
            return Some(found);
        }
        cause = error.source();
    }
    None
}
