//! Assembles the layers of a libp2p node and runs the road of a connection.
//!
//! This crate names no plugin. A node comes together in one of two ways:
//!
//! * from a profile: [`registry`] knows the plugins that are linked, [`profile`] reads the configuration,
//!   [`assemble`] makes a [`Stack`] of both;
//! * by hand: [`SwarmBuilder`] takes the trait objects themselves.
//!
//! Either way the result is a [`Swarm`], a cheap handle with async methods. Every connection is one task, every
//! socket holds one permit from before it is accepted or dialled until it is gone, and [`Swarm::shutdown`] joins
//! whatever the node has started. The road itself is in `pipeline/`: two straight functions, one for each
//! direction, over types that stand for its stages.

pub mod assemble;
mod builder;
mod connection;
mod dial;
mod drain;
pub mod error;
pub mod events;
mod gates;
mod handlers;
mod listen;
mod live;
mod meters;
mod metrics;
mod muxed;
mod net_stream;
mod permits;
mod pipeline;
pub mod profile;
mod prune;
mod raw;
mod register;
pub mod registry;
mod reload;
mod remember;
mod services;
mod settings;
mod shutdown;
mod stack;
mod streams;
mod swarm;
mod table;
mod tags;
mod tasks;

pub use builder::{BuildError, SwarmBuilder};
pub use connection::{ConnectionType, Lease, StreamInfo, SwarmConn};
pub use dial::{
    AddrOutcome, AddrReport, DialError, DialInFlight, DialOptions, DialReport, DialSettings, DialState,
    Dialed, Forget, LeftAloneAddr, LeftAlonePeer, PathState, Priority, RetryConfig, SwarmDialAllFailedError,
};
pub use drain::DrainReport;
pub use gates::{GateInfo, GateTally, Rechecked, RecheckedConnection};
pub use handlers::HandlerError;
pub use listen::{ListenOutcome, ListenerInfo};
pub use metrics::Metrics;
pub use net_stream::{NetStream, StreamState};
pub use pipeline::upgrade::ConnectionInfo;
pub use reload::{KeyChange, ReloadError, ReloadOptions, ReloadReport};
pub use settings::Settings;
pub use shutdown::ShutdownReport;
pub use skep_api::{protocol::HandlerLimits, transport::RawLink as RawConnection};
pub use stack::{Named, Stack};
pub use streams::StreamOptions;
pub use swarm::Swarm;
pub use tags::{
    Bump, CommonTags, Decay, DecayingTag, TagError, TagInfo, TagStore, upsert_add, upsert_bounded, upsert_set,
};
pub use tasks::Tasks;
