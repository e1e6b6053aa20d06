//! Services: what a node does by itself while it runs ([`skep_api::service`]).

pub mod health;
