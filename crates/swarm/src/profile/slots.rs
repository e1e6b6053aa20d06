//! The layers that a profile can fill.

use skep_api::{Layer, plugin::layer, reload::Reload};

/// A key of `[stack]` and the layer it references.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    /// The layer's word, which is also the table of its definitions.
    pub(crate) layer: &'static str,
    /// The key of `[stack]`.
    pub(crate) key: &'static str,
    /// How many plugins it takes.
    pub(crate) arity: Arity,
    /// What it takes for another reference to have effect in a running node.
    pub(crate) reload: Reload,
}

/// How many plugins a layer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arity {
    /// A list of names, in order.
    Many,
    /// One name or `"none"`.
    AtMostOne,
    /// A table: for each plugin of another layer, a list of names.
    Around,
}

/// The layers of [`crate::Stack`], in the order in which errors and listings have them.
pub(crate) const SLOTS: [Slot; 14] = [
    slot::<layer::Transport>(Arity::Many),
    slot::<layer::Protector>(Arity::AtMostOne),
    slot::<layer::Security>(Arity::Many),
    slot::<layer::Muxer>(Arity::Many),
    slot::<layer::Gate>(Arity::Many),
    slot::<layer::Pruner>(Arity::AtMostOne),
    slot::<layer::Resolver>(Arity::AtMostOne),
    slot::<layer::Ranker>(Arity::AtMostOne),
    slot::<layer::Peerstore>(Arity::AtMostOne),
    slot::<layer::Selector>(Arity::AtMostOne),
    slot::<layer::Resources>(Arity::AtMostOne),
    slot::<layer::Protocol>(Arity::Many),
    slot::<layer::Service>(Arity::Many),
    // Last: it names plugins of the layers before.
    slot::<layer::Decorator>(Arity::Around),
];

const fn slot<L: Layer>(arity: Arity) -> Slot {
    Slot { layer: L::NAME, key: L::STACK_KEY, arity, reload: L::RELOAD }
}
