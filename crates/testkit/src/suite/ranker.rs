//! Rankers: the obligations `K1` to `K4` of [`skep_api::ranker`], over random lists of addresses.

use super::build;
use crate::{
    cx::build_cx,
    harness::{self, During, Outcome, broken, ensure, suite},
};
use skep_api::{
    Multiaddr, Plugin,
    plugin::layer,
    ranker::{DialCandidate, DialRanker, RankedAddr},
};
use std::{fmt, sync::Arc, sync::mpsc::sync_channel, thread, time::Duration};

suite! { $
    /// Tests of a ranker with its default table: `ranker_suite!(my_ranker::PLUGIN);`
    ranker_suite in ranker, fixture: Fixture;
    k1_every_address_comes_back_exactly_once,
    k2_equal_input_gives_equal_output,
    k3_the_first_address_is_not_held_back,
    k4_a_long_list_is_ranked_without_a_wait,
}

/// Lists for each property.
const ROUNDS: u64 = 300;

/// Addresses of the longest list; sorting them takes some milliseconds.
const MANY: u64 = 2_000;

/// How long the longest list may take. It tells a ranker that waits, or that compares all with all several times,
/// from one that sorts, and not a fast machine from a slow one.
const PATIENCE: Duration = Duration::from_secs(5);

/// How to build the ranker under test.
#[derive(Clone)]
pub struct Fixture {
    build: Arc<dyn Fn() -> Arc<dyn DialRanker> + Send + Sync>,
}

impl Fixture {
    /// Tests this plugin with its default table.
    #[must_use]
    pub fn of(plugin: Plugin<layer::Ranker>) -> Self {
        Self::new(move || build(&plugin, "", &build_cx()))
    }

    /// Tests the rankers that a function makes.
    pub fn new(build: impl Fn() -> Arc<dyn DialRanker> + Send + Sync + 'static) -> Self {
        Self { build: Arc::new(build) }
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").finish_non_exhaustive()
    }
}

impl harness::Fixture for Fixture {}

/// K1. What comes back are the addresses that were given, each once.
pub async fn k1_every_address_comes_back_exactly_once(fixture: Fixture) -> Outcome {
    let ranker = (fixture.build)();
    for list in lists() {
        let ranked = ranker.rank(list.clone());
        let (mut given, mut found): (Vec<_>, Vec<_>) =
            (list.iter().map(|c| text(&c.addr)).collect(), ranked.iter().map(|r| text(&r.addr)).collect());
        given.sort_unstable();
        found.sort_unstable();
        ensure!(given == found, "{given:?} became {found:?}");
    }
    Ok(())
}

/// K2. The same list gives the same answer, of one ranker and of two with one configuration.
pub async fn k2_equal_input_gives_equal_output(fixture: Fixture) -> Outcome {
    let (ranker, twin) = ((fixture.build)(), (fixture.build)());
    for list in lists() {
        let first = ranker.rank(list.clone());
        for other in [ranker.rank(list.clone()), twin.rank(list)] {
            ensure!(other == first, "{}, then {} for the same list", shown(&first), shown(&other));
        }
    }
    Ok(())
}

/// K3. The gap of the first address is zero.
pub async fn k3_the_first_address_is_not_held_back(fixture: Fixture) -> Outcome {
    let ranker = (fixture.build)();
    for list in lists() {
        let ranked = ranker.rank(list);
        ensure!(ranked.first().is_none_or(|first| first.gap.is_zero()), "{} begins late", shown(&ranked));
    }
    Ok(())
}

/// K4. `rank` of two thousand addresses comes back; what it does not do is wait.
pub async fn k4_a_long_list_is_ranked_without_a_wait(fixture: Fixture) -> Outcome {
    let ranker = (fixture.build)();
    let list = Random(1).list(MANY);
    // On a thread of its own, which is left behind if it never comes back.
    let (sender, receiver) = sync_channel(1);
    thread::Builder::new()
        .name("rank".into())
        .spawn(move || sender.send(ranker.rank(list)))
        .during("start a thread")?;
    match receiver.recv_timeout(PATIENCE) {
        Ok(_) => Ok(()),
        Err(e) => broken(format!("{MANY} addresses are not ranked after {PATIENCE:?}: {e}")),
    }
}

/// Lists of no address, of one, and of up to thirty.
fn lists() -> impl Iterator<Item = Vec<DialCandidate>> {
    (0..ROUNDS).map(|seed| Random(seed).list(seed % 31))
}

fn text(addr: &Multiaddr) -> String {
    addr.to_string()
}

fn shown(ranked: &[RankedAddr]) -> String {
    let places = ranked.iter().map(|r| format!("{} {:?} behind", r.addr, r.gap));
    format!("[{}]", places.collect::<Vec<_>>().join(", "))
}

/// A generator that gives the same lists on every run (a linear congruence after Knuth).
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33).checked_rem(below).unwrap_or(0)
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        let at = self.next(words.len() as u64);
        usize::try_from(at).ok().and_then(|at| words.get(at)).copied().unwrap_or_default()
    }

    /// Addresses of every scope, carrier and family, no two the same; some of them have worked.
    fn list(&mut self, count: u64) -> Vec<DialCandidate> {
        (0..count).filter_map(|n| self.candidate(n)).collect()
    }

    fn candidate(&mut self, n: u64) -> Option<DialCandidate> {
        const HOSTS: &[&str] = &[
            "/ip4/203.0.113.1",
            "/ip6/2001:db8::1",
            "/ip4/10.0.0.1",
            "/ip6/fd00::1",
            "/ip4/127.0.0.1",
            "/ip4/169.254.0.1",
            "/dns4/node.test",
        ];
        const CARRIERS: &[&str] =
            &["/tcp/PORT", "/udp/PORT/quic-v1", "/tcp/PORT/ws", "/udp/PORT/webrtc-direct", "/sctp/PORT"];
        const RELAYS: &[&str] = &["", "", "", "/p2p-circuit"];
        let carrier = self.pick(CARRIERS).replace("PORT", &n.checked_add(1)?.to_string());
        let text = format!("{}{carrier}{}", self.pick(HOSTS), self.pick(RELAYS));
        let candidate = DialCandidate::new(text.parse().ok()?);
        Some(if self.next(8) == 0 { candidate.worked() } else { candidate })
    }
}
