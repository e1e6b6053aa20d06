//! Peer stores: what is known about peers ([`skep_api::peerstore`]).
//!
//! Both plugins answer from the same index in memory; `redb` writes it behind to a file as well.

mod index;
mod limits;
pub mod memory;
pub mod redb;
mod store;
