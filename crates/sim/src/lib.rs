//! A whole network of nodes in one thread and in simulated time, with a seed: what thousands of nodes do together over
//! hours is seen in minutes, and again exactly.
//!
//! Every node is a real [`Swarm`](skep::Swarm) with real handshakes, over the in-process transport. [`Plan`] says what
//! happens when, [`run`] lets it happen, [`Figures`] say what came of it. `docs/simulation.md` tells the rest.

mod dials;
mod error;
mod graph;
mod muxer;
mod net;
mod network;
mod node;
mod peers;
mod plan;
mod run;
mod sample;
mod text;
mod transport;
mod verdict;

pub use error::Failure;
pub use plan::{Marks, Plan};
pub use run::run;
pub use sample::{Degrees, Dials, Sample};
pub use text::table;
pub use verdict::{Figures, Verdict};
