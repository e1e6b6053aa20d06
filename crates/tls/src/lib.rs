#![doc = include_str!("../README.md")]

mod buffer;
mod config;
mod error;
mod handshake;
mod hello;
mod identity;
mod incoming;
mod judge;
mod outgoing;
mod post_handshake;
mod provider;
mod record;
mod record_error;
mod secrets;
mod signed_key;
mod stream;
mod verify;
pub mod web;
mod web_error;
mod wire;

pub use buffer::Buffers;
pub use config::{client_config, server_config};
pub use error::{BadCertificate, CertificateError, Timestamp, handshake_error};
pub use handshake::HandshakeError;
pub use hello::Offer;
pub use identity::{Identity, Options};
pub use judge::Outcome;
pub use provider::{KeyExchange, has_fast_aes};
pub use record_error::RecordError;
pub use rustls;
pub use stream::TlsStream;
pub use verify::MAX_CERTIFICATE_LEN;
pub use web_error::WebError;
