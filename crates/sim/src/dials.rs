//! How often nodes have dialled, minute by minute over the last hour.

use std::collections::VecDeque;

/// Minutes that are kept.
const HOUR: usize = 60;

/// The dials of one node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// One count for each minute, the current one last.
    minutes: VecDeque<u32>,
    /// Dials of all time.
    pub(crate) made: u64,
    /// Of these, those that have ended without a link.
    pub(crate) failed: u64,
}

impl Tally {
    pub(crate) fn dialled(&mut self) {
        self.made = self.made.saturating_add(1);
        match self.minutes.back_mut() {
            Some(now) => *now = now.saturating_add(1),
            None => self.minutes.push_back(1),
        }
    }

    pub(crate) fn failed(&mut self) {
        self.failed = self.failed.saturating_add(1);
    }

    /// Dials within the last hour.
    pub(crate) fn in_hour(&self) -> u32 {
        self.minutes.iter().fold(0, |sum, minute| sum.saturating_add(*minute))
    }

    /// Begins the next minute.
    pub(crate) fn next_minute(&mut self) {
        self.minutes.push_back(0);
        while self.minutes.len() > HOUR {
            self.minutes.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_sixty_minutes() {
        let mut tally = Tally::default();
        tally.dialled();
        tally.failed();
        for _ in 0..59 {
            tally.next_minute();
            tally.dialled();
        }
        assert_eq!((tally.in_hour(), tally.made, tally.failed), (60, 60, 1));
        tally.next_minute();
        assert_eq!(tally.in_hour(), 59);
        (0..59).for_each(|_| tally.next_minute());
        assert_eq!((tally.in_hour(), tally.made), (0, 60));
    }
}
