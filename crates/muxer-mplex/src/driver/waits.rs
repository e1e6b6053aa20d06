//! Waits that have an end: for a slow reader here, and for a slow peer.

use super::Running;
use crate::link::lock;
use skep_api::CloseReason;
use std::{future::Future, task::Context};
use tokio::time::sleep;

impl Running {
    /// Resets the stream that everything waits for, once that has taken too long. True if it was.
    pub(super) fn give_up_on_slow_reader(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((number, state)) = lock(&self.parts.link).held_by() else {
            self.slow = None;
            return false;
        };
        let patience = self.parts.patience.slow_reader;
        let (_, timer) = match self.slow.take().filter(|(known, _)| *known == number) {
            Some(slow) => self.slow.insert(slow),
            None => self.slow.insert((number, Box::pin(sleep(patience)))),
        };
        let too_long = timer.as_mut().poll(cx).is_ready();
        if too_long {
            self.slow = None;
            state.give_up();
        }
        too_long
    }

    /// The end of a connection whose peer has taken nothing for too long.
    pub(super) fn stalled(&mut self, cx: &mut Context<'_>, flushed: bool) -> Option<CloseReason> {
        let progress = lock(&self.parts.link).take_progress();
        if flushed || progress {
            self.stall = None;
        }
        if flushed {
            return None;
        }
        let patience = self.parts.patience.write;
        let timer = self.stall.get_or_insert_with(|| Box::pin(sleep(patience)));
        let over = timer.as_mut().poll(cx).is_ready();
        over.then(|| CloseReason::Lost { what: format!("the peer has not read for {}s", patience.as_secs()) })
    }
}
