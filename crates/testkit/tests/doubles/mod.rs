//! Small correct implementations of the contracts, each of which can be told to break one obligation.

// The doubles are test code, which clippy sees only in functions marked as tests.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

pub(crate) mod bent;
pub(crate) mod muxer;
pub(crate) mod peerstore;
pub(crate) mod plain;
pub(crate) mod plugin;
pub(crate) mod policy;
pub(crate) mod protector;
pub(crate) mod ranker;
pub(crate) mod resources;
pub(crate) mod secured;
pub(crate) mod security;
pub(crate) mod selector;
pub(crate) mod service;
pub(crate) mod transport;
