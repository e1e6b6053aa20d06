#![doc = include_str!("../README.md")]

mod accepted;
mod config;
mod conn;
mod driver;
mod farewell;
mod link;
mod mux;
mod shared;
mod state;
mod stream;
mod streams;

pub use config::Config;
pub use mux::PLUGIN;
