//! The secrets of an established session: rustls keeps them, and derives the next keys from them.

use crate::{
    record::{Opener, Sealer},
    record_error::RecordError,
};
use rustls::{client::ClientConnectionData, kernel::KernelConnection, server::ServerConnectionData};
use std::fmt;

/// What is left of the handshake, for either side.
pub(crate) enum Secrets {
    Client(KernelConnection<ClientConnectionData>),
    Server(KernelConnection<ServerConnectionData>),
}

impl Secrets {
    /// The next key for what this node sends.
    pub(crate) fn next_sealer(&mut self) -> Result<Sealer, RecordError> {
        let secrets = match self {
            Self::Client(kernel) => kernel.update_tx_secret(),
            Self::Server(kernel) => kernel.update_tx_secret(),
        };
        Sealer::new(secrets.map_err(|_| RecordError::Seal)?).map_err(|_| RecordError::Seal)
    }

    /// The next key for what the peer sends.
    pub(crate) fn next_opener(&mut self) -> Result<Opener, RecordError> {
        let secrets = match self {
            Self::Client(kernel) => kernel.update_rx_secret(),
            Self::Server(kernel) => kernel.update_rx_secret(),
        };
        Opener::new(secrets.map_err(|_| RecordError::Seal)?).map_err(|_| RecordError::Seal)
    }

    /// Whether the peer is a server, which may send tickets.
    pub(crate) fn peer_is_server(&self) -> bool {
        matches!(self, Self::Client(_))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}
