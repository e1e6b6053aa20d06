#![doc = include_str!("../README.md")]

mod address;
mod conditions;
mod config;
mod control;
mod hub;
mod line;
mod link;
mod listen;
mod news;
mod node;
mod pipe;
mod rng;
mod rules;
mod shape;
mod timer;
mod transport;
mod way;

pub use conditions::LinkConditions;
pub use config::Config;
pub use hub::MemoryHub;
pub use node::MemoryNode;
pub use transport::MemoryTransport;

use std::sync::Arc;

skep_api::register_transport! {
    name: "memory",
    summary: "links within one process, with settable latency and loss",
    example: include_str!("../testdata/valid.toml"),
    config: Config,
    build: |config, _cx| Ok(Arc::new(MemoryTransport::new(MemoryHub::named(&config.hub), config))),
}
