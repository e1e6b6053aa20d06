//! Which faults there are: drawn from chance, before anything happens.

use super::Config;
use crate::around::{Flow, PerFlow};
use skep_api::random::Random;
use std::time::Duration;

/// What happens to a byte stream at one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It breaks.
    Reset,
    /// This byte and all after it are lost.
    Drop,
    /// These bits of the byte are turned over.
    Corrupt(u8),
}

/// The faults of one direction by the number of the byte, the last one first.
pub(super) type Schedule = Vec<(u64, Fault)>;

/// 64 random bits.
pub(super) fn draw(random: &Random) -> u64 {
    // Sixteen at a time: that fits into a `usize` everywhere.
    (0..4).fold(0, |bits, _| (bits << 16) | u64::try_from(random.below(1 << 16)).unwrap_or_default())
}

/// Whether one of those that happen so often happens now.
pub(super) fn happens(random: &Random, percent: f64) -> bool {
    random.unit() * 100.0 < percent
}

/// A part of a duration.
pub(super) fn some_of(random: &Random, most: Duration) -> Duration {
    most.mul_f64(random.unit())
}

/// The faults of a byte stream. All that may be needed is drawn in any case, so that a percentage that is changed moves
/// no other fault.
pub(super) fn schedule(random: &Random, config: &Config) -> PerFlow<Schedule> {
    let mut faults = PerFlow::<Schedule>::default();
    for (percent, name) in
        [(config.reset_percent, "reset"), (config.drop_percent, "drop"), (config.corrupt_percent, "corrupt")]
    {
        let happens = happens(random, percent);
        let flow = if random.below(2) == 0 { Flow::Received } else { Flow::Sent };
        let at = draw(random).checked_rem(config.within.0).unwrap_or_default();
        let bits = u8::try_from(random.below(255)).unwrap_or_default().saturating_add(1);
        let fault = match name {
            "reset" => Fault::Reset,
            "drop" => Fault::Drop,
            _ => Fault::Corrupt(bits),
        };
        if happens {
            faults.of_mut(flow).push((at, fault));
        }
    }
    for flow in Flow::ALL {
        faults.of_mut(flow).sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::Bytes;

    fn faults_of(config: &Config, seed: u64) -> PerFlow<Schedule> {
        schedule(&Random::seeded(seed), config)
    }

    #[test]
    fn as_many_streams_have_a_fault_as_the_percentage_says() {
        let config = Config { reset_percent: 25.0, within: Bytes(100), ..Config::default() };
        let all: Vec<_> = (0..4_000).map(|seed| faults_of(&config, seed)).collect();
        let faults: Vec<_> = all.iter().flat_map(|f| f.received.iter().chain(&f.sent)).collect();
        assert!((900..1_100).contains(&faults.len()), "{} of 4000", faults.len());
        assert!(faults.iter().all(|(at, fault)| *at < 100 && *fault == Fault::Reset));
        let sent = all.iter().filter(|faults| !faults.sent.is_empty()).count();
        assert!((400..600).contains(&sent), "{sent} of about 1000");
    }

    #[test]
    fn another_percentage_moves_no_other_fault() {
        let corrupt = Config { corrupt_percent: 100.0, ..Config::default() };
        let both = Config { reset_percent: 100.0, ..corrupt.clone() };
        for seed in 0..100 {
            let (one, two) = (faults_of(&corrupt, seed), faults_of(&both, seed));
            for flow in Flow::ALL {
                let rest = two.of(flow).iter().filter(|(_, fault)| *fault != Fault::Reset);
                assert!(rest.eq(one.of(flow)));
            }
        }
    }

    #[test]
    fn a_change_changes_something() {
        let config = Config { corrupt_percent: 100.0, ..Config::default() };
        for seed in 0..1_000 {
            let faults = faults_of(&config, seed);
            let mut both = faults.received.iter().chain(&faults.sent);
            assert!(matches!(both.next(), Some((_, Fault::Corrupt(1..)))));
        }
    }
}
