//! Answers that are kept for as long as they say, within bounds.
//!
//! The library has a cache of its own, which counts whole responses: four thousand small records in one take a
//! mebibyte there, and anyone can make a node look up their names. Here only what is looked at is kept, and an
//! answer that is large all the same is not.

use hickory_resolver::proto::rr::{Name, RecordType};
use lru::LruCache;
use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Largest answer that is kept, in bytes.
const MAX_ANSWER_LEN: usize = 16 * 1024;

/// A question: the name, whose case does not matter, and the type of the records.
pub(super) type Question = (Name, RecordType);

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Data {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    Txt(Vec<u8>),
}

/// Bounds of a cache.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    /// Answers at most.
    pub(super) size: usize,
    pub(super) max_ttl: Duration,
    /// The same for the answer that there are no records.
    pub(super) max_negative_ttl: Duration,
}

/// Forgets what was asked for longest ago.
pub(super) struct Cache {
    bounds: Bounds,
    answers: Mutex<LruCache<Question, Kept>>,
}

struct Kept {
    until: Instant,
    answer: Vec<Data>,
}

impl Cache {
    pub(super) fn new(bounds: Bounds) -> Self {
        // Without a bound of its own: with one, it takes the memory for all answers at once.
        Self { bounds, answers: Mutex::new(LruCache::unbounded()) }
    }

    /// The answer that is kept; an empty one says that there are no such records.
    pub(super) fn find(&self, question: &Question) -> Option<Vec<Data>> {
        let mut answers = self.answers();
        match answers.get(question) {
            Some(kept) if Instant::now() < kept.until => Some(kept.answer.clone()),
            Some(_) => {
                answers.pop(question);
                None
            }
            None => None,
        }
    }

    /// Keeps an answer that says to be good for `ttl`.
    pub(super) fn keep(&self, question: Question, answer: &[Data], ttl: Duration) {
        let bounds = &self.bounds;
        let ttl = ttl.min(if answer.is_empty() { bounds.max_negative_ttl } else { bounds.max_ttl });
        let Some(until) = Instant::now().checked_add(ttl) else { return };
        if ttl.is_zero() || bounds.size == 0 || len(answer) > MAX_ANSWER_LEN {
            return;
        }
        let mut answers = self.answers();
        answers.put(question, Kept { until, answer: answer.to_vec() });
        while answers.len() > bounds.size {
            answers.pop_lru();
        }
    }

    fn answers(&self) -> MutexGuard<'_, LruCache<Question, Kept>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The memory that an answer takes.
fn len(answer: &[Data]) -> usize {
    let text = |data: &Data| if let Data::Txt(text) = data { text.len() } else { 0 };
    let texts = answer.iter().map(text).fold(0, usize::saturating_add);
    size_of_val(answer).saturating_add(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);
    const SECOND: Duration = Duration::from_secs(1);

    fn cache(size: usize) -> Cache {
        Cache::new(Bounds { size, max_ttl: HOUR, max_negative_ttl: 60 * SECOND })
    }

    fn question(name: &str) -> Question {
        (Name::from_utf8(name).unwrap(), RecordType::A)
    }

    fn answer() -> Vec<Data> {
        vec![Data::V4(Ipv4Addr::LOCALHOST)]
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_kept_for_its_time_to_the_instant() {
        let cache = cache(2);
        cache.keep(question("a.test"), &answer(), 5 * SECOND);
        tokio::time::advance(5 * SECOND - Duration::from_millis(1)).await;
        assert_eq!(cache.find(&question("A.Test")), Some(answer()));
        assert_eq!(cache.find(&(Name::from_utf8("a.test").unwrap(), RecordType::TXT)), None);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(cache.find(&question("a.test")), None);
        assert_eq!(cache.answers().len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn no_answer_is_kept_longer_than_allowed() {
        let cache = cache(2);
        cache.keep(question("a.test"), &answer(), 1_000 * HOUR);
        cache.keep(question("b.test"), &[], HOUR);
        tokio::time::advance(59 * SECOND).await;
        assert_eq!(cache.find(&question("b.test")), Some(Vec::new()));
        tokio::time::advance(SECOND).await;
        assert_eq!(cache.find(&question("b.test")), None);
        tokio::time::advance(HOUR - 61 * SECOND).await;
        assert_eq!(cache.find(&question("a.test")), Some(answer()));
        tokio::time::advance(SECOND).await;
        assert_eq!(cache.find(&question("a.test")), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_asked_for_longest_ago_goes_first() {
        let cache = cache(2);
        cache.keep(question("a.test"), &answer(), HOUR);
        cache.keep(question("b.test"), &answer(), HOUR);
        assert!(cache.find(&question("a.test")).is_some());
        cache.keep(question("c.test"), &answer(), HOUR);
        let kept = ["a.test", "b.test", "c.test"].map(|name| cache.find(&question(name)).is_some());
        assert_eq!(kept, [true, false, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_kept_without_time_or_room_or_measure() {
        cache(2).keep(question("a.test"), &answer(), Duration::ZERO);
        let (none, large) = (cache(0), cache(2));
        none.keep(question("a.test"), &answer(), HOUR);
        assert_eq!(none.answers().len(), 0);
        large.keep(question("a.test"), &vec![Data::V4(Ipv4Addr::LOCALHOST); 4_000], HOUR);
        large.keep(question("b.test"), &[Data::Txt(vec![0; MAX_ANSWER_LEN])], HOUR);
        assert_eq!(large.answers().len(), 0);
    }
}
