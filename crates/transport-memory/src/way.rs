//! How a dial and its answer cross from one node to the other.

use crate::{LinkConditions, MemoryHub, node::Node, rules::Rules};
use std::{pin::pin, time::Duration};
use tokio::time;

/// What is between two nodes now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    parted: bool,
    /// What was set, if anything was.
    conditions: Option<LinkConditions>,
}

impl Way {
    pub(crate) fn new(rules: &Rules, from: &Node, to: &Node) -> Self {
        Self { parted: rules.are_parted(from, to), conditions: rules.between(from, to) }
    }
}

impl MemoryHub {
    /// Lets a message cross; `base` is what the sender's configuration says. What meets a partition is lost and sent
    /// again after that has ended, so that this waits as long as it lasts.
    pub(crate) async fn cross(&self, way: impl Fn(&Rules) -> Option<Way>, base: LinkConditions) {
        loop {
            let now = self.look(&way);
            let conditions = now.and_then(|way| way.conditions).unwrap_or(base);
            if now.is_none_or(|way| !way.parted) {
                pass(conditions.latency).await;
                if self.look(&way).is_none_or(|way| !way.parted) {
                    return;
                }
            }
            self.until(|rules| way(rules).is_none_or(|way| !way.parted)).await;
            pass(conditions.retransmit).await;
        }
    }

    /// Waits until something holds, and looks at each change.
    async fn until(&self, holds: impl Fn(&Rules) -> bool) {
        loop {
            let mut changed = pin!(self.changed());
            // Before the look, so that no change is missed in between.
            changed.as_mut().enable();
            if self.look(&holds) {
                return;
            }
            changed.await;
        }
    }
}

/// Lets time pass. Without any to pass no timer is needed.
async fn pass(delay: Duration) {
    if !delay.is_zero() {
        time::sleep(delay).await;
    }
}
