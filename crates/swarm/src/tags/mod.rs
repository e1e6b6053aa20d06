//! Tags and protections: what peers are worth, as pruning and the keep-alive rule see it.
//!
//! Both belong to a peer, not to its connections. Protections stay over reconnects until they are taken; tags of a peer
//! that is not connected stay for `[swarm] tag_grace`, but for those that outlive connections.
//!
//! * `store.rs`, `read.rs`: the handle that everybody has;
//! * `table.rs`, `entry.rs`: what is known, and what of it goes next;
//! * `decaying.rs`, `decay.rs`: values that fall by themselves;
//! * `keeper.rs`, `unsaved.rs`, `saved.rs`: the task of a node, and the peer store.

mod decay;
mod decaying;
mod entry;
mod keeper;
mod node;
mod read;
mod saved;
mod store;
mod table;
mod unsaved;

pub use decaying::DecayingTag;
pub use skep_api::tags::{
    Bump, CommonTags, Decay, TagError, TagInfo, upsert_add, upsert_bounded, upsert_set,
};
pub use store::TagStore;
