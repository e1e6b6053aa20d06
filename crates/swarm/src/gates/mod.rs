//! Gates: the chain of them, what they have said so far, and the census that they count by.

mod census;
mod chain;
mod recheck;

pub(crate) use census::{Counted, Seat};
pub(crate) use chain::GateChain;
pub use chain::{GateInfo, GateTally};
pub use recheck::{Rechecked, RecheckedConnection};

use crate::swarm::Swarm;
use skep_api::gate::Gate;
use std::sync::Arc;

impl Swarm {
    /// The gates in their order, with what they have said.
    #[must_use]
    pub fn gates(&self) -> Vec<GateInfo> {
        self.0.live().gates.infos()
    }

    /// A gate of the node, for whoever knows its type: to change its rules, say. A reload may put another in its place.
    #[must_use]
    pub fn gate<T: Gate>(&self, name: &str) -> Option<Arc<T>> {
        self.0.live().gates.object(name)?.downcast().ok()
    }
}
