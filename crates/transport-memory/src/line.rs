//! When bytes of one direction arrive.
//!
//! A sender has a wire, on which one segment follows the other at the bandwidth, and a segment that has left the wire is
//! on its way for the latency. What has not left yet is sent under new conditions when they change; what has left
//! arrives as it would have, unless a partition loses it.

use crate::{
    LinkConditions,
    shape::{SEGMENT, Shape},
};
use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// A time of arrival; `None` is at once.
pub(crate) type Arrival = Option<Instant>;

/// The wire of a sender and what is on its way.
#[derive(Debug)]
pub(crate) struct Line {
    shape: Shape,
    /// In order. Each has at least one byte.
    batches: VecDeque<Batch>,
    /// The part of a nanosecond that the last segment took too little of the wire, in units of 1 / bandwidth.
    owed: u128,
    /// Bytes that a partition keeps from being sent; while there is one it is all that had not arrived.
    held: Option<usize>,
}

/// Bytes that arrive together.
#[derive(Debug)]
struct Batch {
    len: usize,
    /// When they may go onto the wire, if that is free.
    ready: Instant,
    /// When the first of them goes onto the wire.
    starts: Instant,
    /// When the last of them is off it.
    leaves: Instant,
    /// How long they are on their way after that.
    delay: Duration,
    arrives: Instant,
}

impl Line {
    pub(crate) fn new(shape: Shape) -> Self {
        Self { shape, batches: VecDeque::new(), owed: 0, held: None }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.shape.capacity()
    }

    /// Whether there is a partition.
    pub(crate) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Whether bytes wait for the end of a partition.
    pub(crate) fn holds_bytes(&self) -> bool {
        self.held.is_some_and(|held| held > 0)
    }

    /// Sends so many bytes. How many of them have arrived already: all or none.
    pub(crate) fn send(&mut self, len: usize) -> usize {
        if let Some(held) = &mut self.held {
            *held = held.saturating_add(len);
            return 0;
        }
        if self.shape.conditions.are_instant() && self.batches.is_empty() {
            return len;
        }
        let now = Instant::now();
        let whole = self.shape.conditions.bandwidth.is_none() && !self.shape.conditions.tell_segments_apart();
        let segment = if whole { len.max(1) } else { SEGMENT };
        let mut left = len;
        while left > 0 {
            let len = left.min(segment);
            self.put(len, len, now, now);
            left = left.saturating_sub(len);
        }
        0
    }

    /// Counts what has arrived by now.
    pub(crate) fn land(&mut self) -> usize {
        let mut landed = 0_usize;
        if self.batches.is_empty() {
            return landed;
        }
        let now = Instant::now();
        while let Some(batch) = self.batches.front().filter(|batch| batch.arrives <= now) {
            landed = landed.saturating_add(batch.len);
            self.batches.pop_front();
        }
        landed
    }

    /// When the next bytes arrive, if any are on their way.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.batches.front().map(|batch| batch.arrives)
    }

    /// When an end that is sent now arrives, unless it is held up by what was sent before.
    pub(crate) fn arrival_of_end(&self) -> Arrival {
        let instant = self.shape.conditions.are_instant() && self.batches.is_empty();
        (!instant).then(|| Instant::now() + self.shape.conditions.latency)
    }

    /// When news that is sent now arrives, behind all that is on its way.
    pub(crate) fn arrival_of_news(&self) -> Arrival {
        self.arrival_of_end().max(self.batches.back().map(|last| last.arrives))
    }

    /// Forgets all that is on its way.
    pub(crate) fn clear(&mut self) {
        self.batches = VecDeque::new();
        self.held = self.held.map(|_| 0);
    }

    /// How long news takes that has to be sent again.
    pub(crate) fn delay_of_news(&self) -> Duration {
        self.shape.conditions.latency.saturating_add(self.shape.conditions.retransmit)
    }

    /// Changes the conditions. What has not left the wire is sent under the new ones.
    pub(crate) fn change(&mut self, conditions: LinkConditions) {
        let before = std::mem::replace(&mut self.shape.conditions, conditions);
        if self.held.is_some() || before == conditions {
            return;
        }
        let now = Instant::now();
        let staying = self.batches.iter().take_while(|batch| batch.leaves <= now).count();
        for batch in self.batches.split_off(staying) {
            // Of the one that is on the wire, a part is off it.
            let gone = now.saturating_duration_since(batch.starts);
            let gone = before.bandwidth.map_or(0, |bandwidth| bytes_in(gone, bandwidth)).min(batch.len);
            self.put(batch.len, batch.len.saturating_sub(gone), batch.ready.max(now), now);
        }
    }

    /// Begins a partition: what has not arrived will not, for now. What is counted as landed before is not touched.
    pub(crate) fn hold(&mut self) {
        let lost = self.batches.drain(..).fold(0_usize, |sum, batch| sum.saturating_add(batch.len));
        self.held.get_or_insert(lost);
    }

    /// Ends a partition: after the time of a retransmission all is sent that was held.
    pub(crate) fn release(&mut self) {
        let Some(mut left) = self.held.take() else { return };
        let now = Instant::now();
        let ready = now + self.shape.conditions.retransmit;
        while left > 0 {
            let len = left.min(SEGMENT);
            self.put(len, len, ready, now);
            left = left.saturating_sub(len);
        }
    }

    /// Puts a segment behind the others; `on_wire` of its bytes are still to go over the wire, not before `ready`.
    fn put(&mut self, len: usize, on_wire: usize, ready: Instant, now: Instant) {
        let last = self.batches.back();
        let starts = last.map_or(ready, |last| last.leaves.max(ready));
        if last.is_none_or(|last| last.leaves < starts) {
            self.owed = 0;
        }
        let leaves = starts + self.time_on_wire(on_wire);
        if let Some(last) = self.batches.back_mut()
            && last.starts > now
            && last.len.saturating_add(len) <= SEGMENT
        {
            // It waits for the wire, so that small writes can join it.
            last.len = last.len.saturating_add(len);
            last.leaves = leaves;
            last.arrives = last.arrives.max(leaves + last.delay);
            return;
        }
        let delay = self.shape.delay_of_segment();
        let arrives = leaves + delay;
        match self.batches.back_mut() {
            Some(last) if last.arrives >= arrives && leaves <= now => {
                last.len = last.len.saturating_add(len);
            }
            last => {
                let arrives = last.map_or(arrives, |last| last.arrives.max(arrives));
                self.batches.push_back(Batch { len, ready, starts, leaves, delay, arrives });
            }
        }
    }

    /// How long so many bytes are on the wire, exact over many segments.
    fn time_on_wire(&mut self, len: usize) -> Duration {
        let Some(bandwidth) = self.shape.conditions.bandwidth else { return Duration::ZERO };
        let bandwidth = u128::from(bandwidth.max(1));
        let total = (len as u128).saturating_mul(NANOS).saturating_add(self.owed);
        self.owed = total.checked_rem(bandwidth).unwrap_or_default();
        let nanos = total.checked_div(bandwidth).unwrap_or_default();
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

const NANOS: u128 = 1_000_000_000;

/// How many bytes go over a wire in this time.
fn bytes_in(time: Duration, bandwidth: u64) -> usize {
    let bytes = time.as_nanos().saturating_mul(u128::from(bandwidth)).checked_div(NANOS).unwrap_or_default();
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
