//! The byte path: one trait object per layer.

use std::fmt;
use tokio::io::{AsyncRead, AsyncWrite};

/// A duplex byte stream. Implemented by everything that reads and writes.
///
/// What a wrapper owes its user is what tokio's traits say, and: (I1) after `poll_flush` returned `Ready(Ok)`
/// all bytes written before are with the operating system or the layer below; (I2) `poll_shutdown` flushes,
/// then closes the writing side only.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// A boxed duplex byte stream, as the stages of a connection pass it on by value.
pub type BoxIo = Box<dyn Io>;

impl fmt::Debug for dyn Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Io")
    }
}
