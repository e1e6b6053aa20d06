#![doc = include_str!("../README.md")]

mod address;
mod config;
mod dial;
mod error;
mod frame;
mod listen;
mod mask;
mod stream;
mod tls;
mod transport;
mod upgrade;

pub use config::{Certificate, Config, Trust};
pub use error::{ClosedByPeer, UpgradeError, Violation};
pub use transport::WebSocketTransport;

use std::sync::Arc;

skep_api::register_transport! {
    name: "websocket",
    summary: "WebSocket over TCP, with and without TLS",
    example: include_str!("../testdata/valid.toml"),
    config: Config,
    build: |config, cx| Ok(Arc::new(WebSocketTransport::with_ports(&config, cx.shared())?)),
}
