#![doc = include_str!("../README.md")]

mod config;
mod conn;
mod driver;
mod frames;
mod mux;
mod queue;
mod reason;
mod shared;
mod signs;
mod stall;
mod stream;
mod table;

pub use config::Config;
pub use mux::PLUGIN;
