//! The error of a fault that was wanted.

use crate::around::Operation;
use skep_api::{
    Code,
    error::Kind,
    muxer::{MuxerError, MuxerErrorKind},
    resolver::{ResolveError, ResolveErrorKind},
    security::{SecurityError, SecurityErrorKind},
    transport::{TransportError, TransportErrorKind},
};
use std::fmt::Display;

/// The code of streams that a decorator has reset: `0xca05`, which reads as chaos.
pub const INJECTED: Code = Code(0xca05);

/// A fault that a decorator has made on purpose. It is the source of the errors that the decorator returns, and inside of
/// the I/O errors of raw byte streams.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("injected by decorator {decorator} at {place} (seed {seed})")]
pub struct Injected {
    /// The decorator.
    pub decorator: &'static str,
    /// What it is around, such as `transport.tcp`.
    pub place: String,
    /// What repeats its faults.
    pub seed: u64,
}

/// Errors of layers: what the wrappers need of all of them.
pub(crate) trait LayerError: std::error::Error + Sized + Send + 'static {
    /// The error of an operation on `subject` that a decorator has made fail, of the kind that a user of the layer would
    /// see if the network had done it.
    fn injected(operation: Operation, subject: &dyn Display, why: Injected) -> Self;

    /// The stable word of the kind.
    fn code(&self) -> &'static str;
}

macro_rules! layer_errors {
    ($($error:ident, $operation:pat => $kind:expr $(, $others:pat => $other:expr)?;)+) => { $(
        impl LayerError for $error {
            fn injected(operation: Operation, subject: &dyn Display, why: Injected) -> Self {
                let kind = match operation {
                    $operation => $kind,
                    $($others => $other,)?
                };
                Self::new(kind, format!("{subject}: {why}")).with_source(why)
            }

            fn code(&self) -> &'static str {
                self.kind().code()
            }
        }
    )+ };
}

layer_errors! {
    TransportError, Operation::Listen => TransportErrorKind::Other, _ => TransportErrorKind::Reset;
    SecurityError, _ => SecurityErrorKind::Io;
    MuxerError, _ => MuxerErrorKind::TooManyStreams;
    ResolveError, _ => ResolveErrorKind::Unavailable;
}
