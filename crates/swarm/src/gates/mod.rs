//! Gates: the chain of them, what they have said so far, and the census that they count by.

mod census;
mod chain;
mod recheck;

pub(crate) use census::{Counted, Seat};
pub(crate) use chain::GateChain;
pub use chain::{GateInfo, GateTally};
pub use recheck::{Rechecked, RecheckedConnection};
