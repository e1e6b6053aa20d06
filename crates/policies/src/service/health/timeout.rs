//! How long a ping is waited for: by what earlier ones took.

use super::{config::Config, score::blend};
use std::time::Duration;

/// The moving average of what pings took, one that failed counting twice. A ping is waited for 1.2 times as long, within
/// `min_timeout` and `max_timeout`: a peer that grows slow is given more time, and one that is gone costs no more than
/// it must.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdaptiveTimeout {
    average: Option<Duration>,
}

impl AdaptiveTimeout {
    /// How long the next ping is waited for; `min_timeout` before the first.
    #[must_use]
    pub fn next(&self, config: &Config) -> Duration {
        let wanted = self.average.map_or(Duration::ZERO, |average| average.saturating_mul(6) / 5);
        wanted.min(config.max_timeout.0).max(config.min_timeout.0)
    }

    /// A ping has come back.
    pub fn answered(&mut self, rtt: Duration) {
        self.take(rtt);
    }

    /// A ping has not come back for so long.
    pub fn timed_out(&mut self, waited: Duration) {
        self.take(waited.saturating_mul(2));
    }

    fn take(&mut self, took: Duration) {
        self.average = Some(self.average.map_or(took, |average| blend(average, took)));
    }
}
