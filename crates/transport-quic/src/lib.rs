#![doc = include_str!("../README.md")]

mod address;
mod codes;
mod config;
mod conn;
mod dial;
mod endpoints;
mod error;
mod finishing;
mod incoming;
mod kept;
mod leftovers;
mod listen;
mod runtime;
mod signs;
mod socket;
mod stream;
mod transport;
mod tuning;

pub use config::{Config, Congestion, QuicTransportConfig};
pub use transport::{QuicBuildError, QuicTransport};

use skep_api::{Problems, error::chain};
use std::sync::Arc;

skep_api::register_transport! {
    name: "quic",
    summary: "QUIC version 1 over UDP, secured by TLS 1.3, with streams of its own",
    example: include_str!("../testdata/valid.toml"),
    config: Config,
    build: |config, cx| {
        let transport = QuicTransport::new(config, cx).map_err(|e| {
            let mut problems = Problems::default();
            problems.add("", chain(&e), e.help());
            problems
        })?;
        Ok(Arc::new(transport))
    },
}
