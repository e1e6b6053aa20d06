#![doc = include_str!("../README.md")]

mod accept;
mod config;
mod dial;
mod endpoint;
mod error;
mod interfaces;
mod listen;
mod reuse;
mod socket;
mod transport;

pub use config::Config;
pub use transport::TcpTransport;

use std::sync::Arc;

skep_api::register_transport! {
    name: "tcp",
    summary: "TCP over IPv4 and IPv6",
    example: include_str!("../testdata/valid.toml"),
    config: Config,
    build: |config, _cx| Ok(Arc::new(TcpTransport::new(config))),
}
