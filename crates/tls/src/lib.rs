//! TLS 1.3 for libp2p.

mod buffer;
mod config;
mod error;
mod identity;
mod judge;
mod provider;
mod signed_key;
mod verify;

pub use buffer::Buffers;
pub use config::{client_config, server_config};
pub use error::{BadCertificate, CertificateError, Timestamp, handshake_error};
pub use identity::{Identity, Options};
pub use judge::Outcome;
pub use provider::{KeyExchange, has_fast_aes};
pub use rustls;
pub use verify::MAX_CERTIFICATE_LEN;
