//! Decorators: what is put around the trait objects of other layers, so that no plugin has to know of it.

use crate::{muxer::Muxer, resolver::Resolver, security::Upgrader, transport::Transport};
use std::{fmt::Debug, sync::Arc};

/// Goes around plugins that `[stack.decorators]` names, to measure, slow, disturb or record what passes.
///
/// One method for each contract that can be decorated. `name` is what the profile calls the plugin, such as `tcp` or
/// `tcp/lan`. What comes back is used instead of the plugin; `None` means that this decorator has nothing to do with
/// plugins of the layer, which is a mistake in the profile.
///
/// # Obligations
///
/// * D1. What it gives back fulfils the contract of the layer as the plugin inside does, but for what the decorator is
///   there for; it serves the same addresses and protocols.
/// * D2. Decorating opens no socket, reads or writes no file and starts no task; using what was decorated may.
pub trait Decorator: Debug + Send + Sync + 'static {
    /// The words of the layers whose plugins it goes around, those whose methods are not left at `None`. They are named
    /// to whoever puts it around plugins of another one.
    fn layers(&self) -> &'static [&'static str];

    /// Around a transport.
    fn transport(&self, name: &str, inner: Arc<dyn Transport>) -> Option<Arc<dyn Transport>> {
        let _ = (name, inner);
        None
    }

    /// Around a security upgrade.
    fn security(&self, name: &str, inner: Arc<dyn Upgrader>) -> Option<Arc<dyn Upgrader>> {
        let _ = (name, inner);
        None
    }

    /// Around a muxer.
    fn muxer(&self, name: &str, inner: Arc<dyn Muxer>) -> Option<Arc<dyn Muxer>> {
        let _ = (name, inner);
        None
    }

    /// Around a resolver.
    fn resolver(&self, name: &str, inner: Arc<dyn Resolver>) -> Option<Arc<dyn Resolver>> {
        let _ = (name, inner);
        None
    }

    /// What an operator has to be told at every start of the node, such as that it records secrets.
    fn warning(&self) -> Option<String> {
        None
    }
}
