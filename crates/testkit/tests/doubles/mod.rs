//! Small correct implementations of the contracts, each of which can be told to break one obligation.

pub(crate) mod muxer;
pub(crate) mod plugin;
pub(crate) mod policy;
pub(crate) mod security;
pub(crate) mod transport;
