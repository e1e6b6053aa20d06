#![doc = include_str!("../README.md")]

mod address;
mod config;
mod hub;
mod link;
mod listen;
mod pipe;
mod rng;
mod shape;
mod transport;

pub use config::Config;
pub use hub::MemoryHub;
pub use transport::MemoryTransport;

use std::sync::Arc;

skep_api::register_transport! {
    name: "memory",
    summary: "links within one process, with settable latency and loss",
    example: include_str!("../testdata/valid.toml"),
    config: Config,
    build: |config, _cx| Ok(Arc::new(MemoryTransport::new(MemoryHub::named(&config.hub), config))),
}
