#![doc = include_str!("../README.md")]

mod accepted;
mod alarm;
mod dial;
mod endpoint;
mod error;
mod interfaces;
mod judge;
mod kind;
mod lanes;
mod listener;
mod options;
mod ports;
mod shared;
mod socket;
mod waiting;
mod wakers;

pub use accepted::Accepted;
pub use dial::{Dialed, dial};
pub use endpoint::Endpoint;
pub use error::{binding, closed, connection};
pub use kind::Kind;
pub use listener::PortListener;
pub use options::Options;
pub use ports::Ports;
