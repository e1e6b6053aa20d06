//! A bucket of bytes that is paid into after the bytes have passed.
//!
//! Its debt shrinks at the rate, and what a stream has just moved is added to it. The stream goes on when the debt
//! that it has left behind is paid down to what the burst allows; who comes later leaves a larger debt behind and waits
//! longer. So streams go in turns, each by a timer of its own: nobody waits for another one to act.
//!
//! The crate `governor` keeps such a bucket too, but lets through only amounts that are at most the burst, in units
//! of 32 bits, and only before they have passed. How much a read will give is known after it.

use crate::amount::Rate;
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Turns last as long as this at the rate, unless that is more than [`MAX_TURN`].
const TURNS_PER_SECOND: u64 = 200;

/// Most bytes of a turn.
const MAX_TURN: u64 = 16 * 1_024;

/// Debts are kept in these parts of a byte, so that no rounding adds up.
const PARTS: u128 = 1_000_000_000;

/// A rate that is shared.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: u128,
    turn: usize,
    /// The debt that nobody has to wait for.
    slack: u128,
    debt: Mutex<Debt>,
}

#[derive(Debug)]
struct Debt {
    parts: u128,
    /// When it was right.
    at: Instant,
}

impl Bucket {
    /// A bucket that is paid into at this rate, if it is a limit.
    pub(super) fn new(rate: Rate, burst: Duration) -> Option<Self> {
        let rate = rate.0.filter(|rate| *rate > 0)?;
        let turn = rate.div_euclid(TURNS_PER_SECOND).clamp(1, MAX_TURN);
        let (rate, paid) = (u128::from(rate), u128::from(turn).saturating_mul(PARTS));
        let burst = rate.saturating_mul(burst.as_nanos());
        // The turn under way is paid for later, so it is a part of the burst.
        let slack = burst.saturating_sub(paid);
        let debt = Mutex::new(Debt { parts: 0, at: Instant::now() });
        Some(Self { rate, turn: usize::try_from(turn).unwrap_or(usize::MAX), slack, debt })
    }

    /// How much passes in one turn.
    pub(super) fn turn(&self) -> usize {
        self.turn
    }

    /// Adds what has passed. The answer is when that is paid, if it is not yet.
    pub(super) fn charge(&self, bytes: usize) -> Option<Instant> {
        let now = Instant::now();
        let mut debt = self.debt.lock().unwrap_or_else(PoisonError::into_inner);
        let paid = now.saturating_duration_since(debt.at).as_nanos().saturating_mul(self.rate);
        debt.at = debt.at.max(now);
        debt.parts = debt.parts.saturating_sub(paid).saturating_add((bytes as u128).saturating_mul(PARTS));
        let over = debt.parts.saturating_sub(self.slack);
        drop(debt);
        let wait = over.checked_add(self.rate.saturating_sub(1))?.checked_div(self.rate)?;
        let wait = Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX));
        if wait.is_zero() { None } else { now.checked_add(wait) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_burst_is_free_and_then_bytes_take_their_time() {
        let bucket = Bucket::new(Rate(Some(1_000_000)), Duration::from_millis(100)).unwrap();
        let begun = Instant::now();
        let turn = bucket.turn();
        assert_eq!(turn, 5_000);
        for _ in 0..19 {
            assert_eq!(bucket.charge(turn), None);
        }
        // The twentieth turn ends the burst; what follows it waits for its own time.
        assert_eq!(bucket.charge(turn), Some(begun + Duration::from_millis(5)));
        assert_eq!(bucket.charge(turn), Some(begun + Duration::from_millis(10)));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(bucket.charge(19 * turn), None);
    }

    #[tokio::test(start_paused = true)]
    async fn odd_rates_lose_nothing_to_rounding() {
        let bucket = Bucket::new(Rate(Some(7)), Duration::from_millis(20)).unwrap();
        let begun = Instant::now();
        let mut paid = None;
        for _ in 0..7_000 {
            paid = bucket.charge(1);
        }
        assert_eq!(paid, Some(begun + Duration::from_secs(1_000)));
    }

    #[test]
    fn no_limit_is_no_bucket() {
        assert!(Bucket::new(Rate(None), Duration::from_secs(1)).is_none());
    }
}
