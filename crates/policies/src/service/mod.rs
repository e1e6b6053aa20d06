//! Services: what a node does by itself while it runs.

pub mod auto_connect;
pub mod backoff;
mod dials;
mod given;
mod keys;
pub mod reconnect;
