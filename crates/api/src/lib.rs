//! Contracts of the skep network layer.
//!
//! This crate holds what every other crate of a skep node agrees on, and nothing that runs: one trait
//! object contract per layer ([`transport`], [`protector`], [`security`], [`muxer`], [`gate`], [`pruner`], [`resolver`],
//! [`ranker`], [`selector`], [`resources`], [`peerstore`], [`protocol`], [`service`], [`decorator`]), the descriptor by which a plugin
//! registers ([`plugin`]), how it reads its configuration table ([`config`]), and the error types.
//!
//! One word names a layer everywhere: the configuration table, the module here and the prefix of the crates
//! that implement it. The obligations of a contract are numbered sentences in its documentation (`T1`, `S3`,
//! …); the conformance suites of `skep-testkit` hold one test per number.
//!
//! # Rules for contracts
//!
//! * Set-up steps (`dial`, `secure`, `mux`) are `#[async_trait]`: dropping the future cancels the step and
//!   releases what it holds. Bytes move through [`tokio::io::AsyncRead`] and [`tokio::io::AsyncWrite`]
//!   objects.
//! * Nothing is process-global. What a plugin needs from its node comes in [`BuildCx`].
//! * Time is `tokio::time`, so that tests can pause it.

pub mod address;
pub mod codes;
pub mod config;
pub mod context;
pub mod decorator;
pub mod error;
pub mod escape;
pub mod gate;
pub mod io;
pub mod metrics;
pub mod muxer;
pub mod peerstore;
pub mod plugin;
pub mod protector;
pub mod protocol;
pub mod pruner;
pub mod random;
pub mod ranker;
pub mod rate;
pub mod record;
pub mod reload;
pub mod resolver;
pub mod resources;
pub mod security;
pub mod selector;
pub mod service;
pub mod stream;
pub mod tags;
pub mod transport;

pub use codes::{CloseReason, Code, Side};
pub use config::{ConfigError, ConfigErrors, ConfigSection, PluginConfig, Problems};
pub use context::{BuildCx, NodeView, TaskScope};
pub use io::BoxIo;
pub use libp2p_identity::{Keypair, PeerId, PublicKey};
pub use multiaddr::{self, Multiaddr};
pub use plugin::{Layer, Origin, Plugin, PluginInfo};

// The register macros expand in other crates, which then need no dependency on these by themselves.
#[doc(hidden)]
pub use {inventory, schemars};
