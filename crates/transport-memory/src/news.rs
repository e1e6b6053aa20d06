//! A word that one end of a link has for the other: that it has finished, or that it is gone.

use crate::line::Arrival;
use std::time::Duration;
use tokio::time::Instant;

/// How a direction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The writer said all.
    Finished,
    /// The writer went away.
    Reset,
}

/// When it comes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum News {
    /// It comes at a time.
    Comes(Arrival),
    /// It was lost in a partition, and comes so long after the end of that.
    Held(Duration),
}

impl News {
    /// Whether it is there by now.
    pub(crate) fn has_come(self) -> bool {
        matches!(self, Self::Comes(arrival) if arrival.is_none_or(|at| at <= Instant::now()))
    }

    /// What becomes of it in a partition; it would take `delay` another time.
    pub(crate) fn hold(&mut self, delay: Duration) {
        if matches!(self, Self::Comes(_)) && !self.has_come() {
            *self = Self::Held(delay);
        }
    }

    /// The partition has ended.
    pub(crate) fn release(&mut self) {
        if let Self::Held(delay) = self {
            *self = Self::Comes(Some(Instant::now() + *delay));
        }
    }
}
