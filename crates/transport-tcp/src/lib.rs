#![doc = include_str!("../README.md")]

mod config;
mod error;
mod listen;
mod transport;

pub use config::Config;
pub use transport::TcpTransport;

use std::sync::Arc;

skep_api::register_transport! {
    name: "tcp",
    summary: "TCP over IPv4 and IPv6",
    example: include_str!("../testdata/valid.toml"),
    config: Config,
    build: |config, cx| Ok(Arc::new(TcpTransport::with_ports(config, cx.shared()))),
}
