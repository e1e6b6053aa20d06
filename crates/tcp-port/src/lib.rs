#![doc = include_str!("../README.md")]

mod accepted;
mod alarm;
mod dial;
mod error;
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
pub use error::{binding, closed, connection};
pub use kind::Kind;
pub use listener::PortListener;
pub use options::Options;
pub use ports::Ports;
pub use skep_ip_endpoint::{Carrier, Endpoint};
use std::net::SocketAddr;

/// The endpoint of a TCP socket.
#[must_use]
pub fn endpoint(socket: SocketAddr) -> Endpoint {
    Endpoint::new(Carrier::Tcp, socket)
}
