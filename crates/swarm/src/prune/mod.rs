//! Pruning: when there are too many connections, the pruner ranks them, and the node closes some by its own rules.
//!
//! [`Round`] has the rules: for whoever writes a pruner, to see what comes of its ranking. `task.rs` decides when there is
//! a round, `close.rs` carries it out, `plan.rs` shows what it would do, `memory.rs` looks at the memory of the process.

mod close;
mod look;
mod memory;
mod plan;
mod rules;
mod task;
mod verdict;

pub(crate) use memory::watch;
pub use plan::PrunePlan;
pub use rules::{NEWCOMER, Round};
pub(crate) use task::Pruning;
pub use verdict::{JudgedPeer, PruneReason, PruneRule, PruneVerdict};
