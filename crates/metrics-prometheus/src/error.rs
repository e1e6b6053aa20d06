//! Why metrics cannot be offered at an address.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
};

/// An address at which metrics cannot be offered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Something else is bound there.
    #[error("metrics cannot be offered at {0}: another program uses the address")]
    InUse(SocketAddr, #[source] io::Error),
    /// Not an address of this host.
    #[error("metrics cannot be offered at {0}: it is not an address of this host")]
    Unavailable(SocketAddr, #[source] io::Error),
    /// The system forbids it.
    #[error("metrics cannot be offered at {0}: the system does not permit it")]
    Denied(SocketAddr, #[source] io::Error),
    /// Anything else.
    #[error("metrics cannot be offered at {0}")]
    Io(SocketAddr, #[source] io::Error),
}

impl ServeError {
    pub(crate) fn new(addr: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::AddrInUse => Self::InUse(addr, error),
            ErrorKind::AddrNotAvailable => Self::Unavailable(addr, error),
            ErrorKind::PermissionDenied => Self::Denied(addr, error),
            _ => Self::Io(addr, error),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::InUse(..) => "stop the other program or give another port; port 0 takes a free one",
            Self::Unavailable(..) => "give 127.0.0.1, or an address that `ip address` lists",
            Self::Denied(..) => "ports below 1024 need a privilege; give a higher one",
            Self::Io(..) => "give another address, such as 127.0.0.1:9100",
        }
    }
}
