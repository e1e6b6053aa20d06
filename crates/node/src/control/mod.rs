//! The control socket: asks a running node, and tells it, from outside of its process.
//!
//! A Unix domain socket that only the node's user may open. Each line is one JSON object: a [`Request`] there, an
//! answer back, with `"ok":true` or with `"ok":false`, an `error` and an `advice`. [`serve`] is the node's end, [`ask`]
//! the other. A new command is a variant of [`Request`], its line in `COMMANDS`, and its arm in `answer.rs`.
#![cfg_attr(not(unix), allow(dead_code, reason = "both ends are sockets of Unix"))]

mod answer;
pub mod backoff;
#[cfg(unix)]
mod client;
mod error;
#[cfg(unix)]
mod line;
mod protocol;
pub mod prune;
pub mod reload;
#[cfg(unix)]
mod server;
#[cfg(unix)]
mod socket;
pub mod status;
#[cfg(not(unix))]
mod unsupported;

#[cfg(unix)]
pub use client::ask;
pub use error::ControlError;
pub use protocol::{Accepted, Refusal, Request, SOME_ENTRIES, What};
#[cfg(unix)]
pub use server::serve;
#[cfg(not(unix))]
pub use unsupported::{ask, serve};
