//! Dialling: one way for all who dial.
//!
//! ```text
//! request   self check → live connection → dial in flight to the peer: join it → peer left alone?
//!   │                                                                  (backoff.rs)
//! flight    one task per dial: resolve → plan → race → attempts; the first success ends it
//!   │         plan.rs     names.rs, filter.rs → back-off, black holes → gate `dial` → ranker
//!   │         race.rs     when the next address starts
//!   │         outcome.rs  what the end of a try means;  answer.rs  who is answered what, and when
//!   ▼
//! attempt   budget.rs: waits for room → pipeline/outbound.rs → registered connection
//! ```
//!
//! Whoever wants a peer that is being dialled joins that dial; who stops waiting leaves it to the others. Whatever
//! the outcome, a [`DialReport`] says what became of each address.

mod answer;
mod attempt;
mod backoff;
mod black_hole;
pub(crate) mod budget;
mod filter;
mod flight;
mod flights;
mod interfaces;
mod lines;
mod names;
mod options;
mod outcome;
mod pace;
mod plan;
mod race;
mod report;
mod request;
mod retry;
mod settings;
mod state;

pub use black_hole::PathState;
pub use flights::DialInFlight;
pub use options::{DialOptions, Priority};
pub use report::{AddrOutcome, AddrReport, DialError, DialReport, Dialed, SwarmDialAllFailedError};
pub use retry::RetryConfig;
pub use settings::DialSettings;
pub use state::{DialState, Forget, LeftAloneAddr, LeftAlonePeer};

pub(crate) use request::Target;
pub(crate) use state::Dialer;

use std::time::Duration;
use tokio::time::Instant;

/// A moment after another, as far away as a clock can say.
pub(crate) fn later(moment: Instant, by: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(86_400 * 365);
    moment.checked_add(by.min(FAR)).unwrap_or(moment)
}
