#![doc = include_str!("../README.md")]

mod bound;
mod endpoint;
mod interfaces;
mod routes;

pub use bound::Bound;
pub use endpoint::{Carrier, Endpoint};
pub use routes::{can_dial_from, source_for, wildcard};
