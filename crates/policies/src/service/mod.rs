//! Services: what a node does by itself while it runs ([`skep_api::service`]).

pub mod auto_connect;
pub mod backoff;
mod dials;
mod given;
pub mod health;
mod keys;
pub mod reconnect;
