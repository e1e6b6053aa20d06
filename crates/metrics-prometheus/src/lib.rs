#![doc = include_str!("../README.md")]

mod answer;
mod error;
mod exporter;
mod server;

pub use error::ServeError;
pub use exporter::{CONTENT_TYPE, Exporter};
pub use server::serve;
