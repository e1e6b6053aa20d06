#![doc = include_str!("../README.md")]

pub mod gate;
mod host;
mod limiter;
pub mod peerstore;
pub mod pruner;
pub mod ranker;
pub mod resolver;
pub mod resources;
pub mod selector;
pub mod service;
