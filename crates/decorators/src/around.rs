//! The one mechanism of all decorators: wrappers around the trait objects of the layers, which pass everything through
//! and ask the [`Hooks`] of a decorator at each operation, connection and byte.

mod hooks;
mod muxer;
mod operation;
mod resolver;
mod security;
mod tapped;
mod transport;

pub(crate) use hooks::{
    Conn, Ends, Event, Flow, Hooks, Operation, Outcome, PerFlow, Place, Stream, Tap, Verdict,
};

use std::sync::Arc;

/// A plugin with the hooks of a decorator around it. What the plugin says of itself is what this says.
#[derive(Debug)]
pub(crate) struct Around<H, I: ?Sized> {
    hooks: Arc<H>,
    inner: Arc<I>,
}

/// Puts hooks around a plugin.
pub(crate) fn around<H: Hooks, I: ?Sized>(hooks: H, inner: Arc<I>) -> Arc<Around<H, I>> {
    Arc::new(Around { hooks: Arc::new(hooks), inner })
}
