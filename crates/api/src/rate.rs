//! Rates: what came too fast, and when it may be tried again.

use std::{error::Error, fmt, time::Duration};

/// A rate limit that was exceeded. A limit is a bucket of points: each use takes one, and they come back with time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimitError {
    /// What is limited, and for whom: `inbound connections of 192.0.2.7`.
    pub scope: String,
    /// The path of the configuration key, such as `gate.rate_limit.inbound_per_host`.
    pub key: String,
    /// Points that were in use when this was refused.
    pub consumed_points: u32,
    /// Points that are left.
    pub remaining_points: u32,
    /// After how long the next point is there.
    pub retry_after: Duration,
}

impl RateLimitError {
    /// A refusal with no points left.
    #[must_use]
    pub fn new(scope: impl Into<String>, key: impl Into<String>, points: u32, retry_after: Duration) -> Self {
        let (scope, key) = (scope.into(), key.into());
        Self { scope, key, consumed_points: points, remaining_points: 0, retry_after }
    }
}

impl fmt::Display for RateLimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scope, key, consumed_points, remaining_points, retry_after } = self;
        let most = consumed_points.saturating_add(*remaining_points);
        let millis = retry_after.as_millis().max(1);
        write!(f, "{scope}: {consumed_points} of {most} in use (`{key}`); again in {millis} ms")
    }
}

impl Error for RateLimitError {}
