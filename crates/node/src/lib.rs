//! A libp2p node assembled from plugins and a profile.
//!
//! This crate is the facade: the swarm, the contracts and the plugins that ship with skep under one name. Library
//! users who want less depend on `skep-swarm` and the plugin crates of their choice.

pub mod control;
mod memory;
pub mod plugins;

pub use memory::keep_freed_memory;
pub use skep_api as api;
pub use skep_decorators as decorators;
pub use skep_metrics_prometheus as metrics_prometheus;
pub use skep_muxer_mplex as muxer_mplex;
pub use skep_muxer_yamux as muxer_yamux;
pub use skep_policies as policies;
pub use skep_protector_psk as protector_psk;
pub use skep_protocols as protocols;
pub use skep_security_noise as security_noise;
pub use skep_security_plaintext as security_plaintext;
pub use skep_security_tls as security_tls;
pub use skep_swarm as swarm;
pub use skep_swarm::{
    AddrOutcome, DialError, DialOptions, DialReport, DialSettings, Dialed, Forget, NetStream, RetryConfig,
    Stack, StreamState, Swarm, SwarmBuilder, SwarmConn,
};
pub use skep_transport_memory as transport_memory;
pub use skep_transport_quic as transport_quic;
pub use skep_transport_tcp as transport_tcp;
pub use skep_transport_websocket as transport_websocket;
