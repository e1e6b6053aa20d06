//! A ranker.

use skep_api::ranker::{DialCandidate, DialRanker, RankedAddr};
use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    OneOfMoreThanEightIsLost,
    TheLastComesTwice,
    EveryOtherAnswerIsTurned,
    TheFirstWaitsLikeTheOthers,
    ManyAreWaitedFor,
}

/// Orders addresses by their text and starts one each second.
#[derive(Debug)]
pub(crate) struct Alphabet {
    pub(crate) fault: Fault,
    pub(crate) asked: AtomicUsize,
}

impl DialRanker for Alphabet {
    fn rank(&self, mut candidates: Vec<DialCandidate>) -> Vec<RankedAddr> {
        let odd = self.asked.fetch_add(1, Relaxed) % 2 == 1;
        candidates.sort_by_cached_key(|c| c.addr.to_string());
        match self.fault {
            Fault::OneOfMoreThanEightIsLost if candidates.len() > 8 => drop(candidates.pop()),
            Fault::TheLastComesTwice => candidates.extend(candidates.last().cloned()),
            Fault::EveryOtherAnswerIsTurned if odd => candidates.reverse(),
            Fault::ManyAreWaitedFor if candidates.len() > 1_000 => loop {
                std::thread::park();
            },
            _ => {}
        }
        let late = self.fault == Fault::TheFirstWaitsLikeTheOthers;
        let gap = |n| Duration::from_secs(u64::from(n > 0 || late));
        candidates.into_iter().enumerate().map(|(n, c)| RankedAddr::new(c.addr, gap(n))).collect()
    }
}
