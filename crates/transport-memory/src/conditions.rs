//! The conditions under which bytes travel from one node to another.

use crate::{
    Config,
    config::{MAX_BANDWIDTH, MAX_DELAY},
};
use std::time::Duration;

/// The conditions of one direction between two nodes, set on a [`MemoryHub`](crate::MemoryHub) at run time.
///
/// Values out of range count as the nearest one allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkConditions {
    /// How long a byte is on its way, once it is sent: up to an hour.
    pub latency: Duration,
    /// The most that a segment takes beyond `latency`, evenly distributed: up to an hour. Order is kept, so a late
    /// segment holds up what follows it.
    pub jitter: Duration,
    /// Bytes per second that leave on one link, up to 2^40; `None` for no limit. Further ones wait.
    pub bandwidth: Option<u64>,
    /// Share of the segments that are lost and sent again, in percent: 0 to 100.
    pub loss_percent: f64,
    /// How much later a lost segment arrives, and how long after the end of a partition all is sent again that had not
    /// arrived: up to an hour.
    pub retransmit: Duration,
}

impl Default for LinkConditions {
    /// Those of a node without configuration: no delay, no limit, no loss, and retransmission after 200 ms.
    fn default() -> Self {
        Self::of(&Config::default())
    }
}

impl LinkConditions {
    /// Those of what a node with this configuration sends.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            latency: config.latency.0,
            jitter: config.jitter.0,
            bandwidth: Some(config.bandwidth).filter(|bandwidth| *bandwidth > 0),
            loss_percent: config.loss_percent,
            retransmit: config.retransmit.0,
        }
        .within_range()
    }

    /// The same with each value in its range.
    pub(crate) fn within_range(self) -> Self {
        let loss_percent = if self.loss_percent.is_nan() { 0.0 } else { self.loss_percent.clamp(0.0, 100.0) };
        Self {
            latency: self.latency.min(MAX_DELAY),
            jitter: self.jitter.min(MAX_DELAY),
            bandwidth: self.bandwidth.map(|bandwidth| bandwidth.clamp(1, MAX_BANDWIDTH)),
            loss_percent,
            retransmit: self.retransmit.min(MAX_DELAY),
        }
    }

    /// Whether all arrives the moment that it is sent.
    pub(crate) fn are_instant(&self) -> bool {
        self.latency.is_zero() && self.bandwidth.is_none() && !self.tell_segments_apart()
    }

    /// Whether single segments can be late.
    pub(crate) fn tell_segments_apart(&self) -> bool {
        self.lose() || !self.jitter.is_zero()
    }

    /// Whether segments are lost.
    pub(crate) fn lose(&self) -> bool {
        self.loss_percent > 0.0 && !self.retransmit.is_zero()
    }
}
