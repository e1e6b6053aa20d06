//! Selectors: the obligations `E1` and `E3` of [`skep_api::selector`], over random connections.

use super::build;
use crate::{
    cx::build_cx,
    harness::{self, Outcome, ensure, suite},
};
use skep_api::{
    PeerId, Plugin,
    plugin::layer,
    security::Role,
    selector::{ConnectionSelector, ConnectionView},
};
use std::{fmt, sync::Arc, time::Duration};

suite! { $
    /// Tests of a selector: `selector_suite!(my_selector::PLUGIN, "");`
    selector_suite in selector, fixture: Fixture;
    e1_one_of_those_given_or_none_of_none,
    e3_a_limited_one_only_if_all_are,
}

/// Rounds for each property.
const ROUNDS: u64 = 500;

/// How to build the selector under test.
#[derive(Clone)]
pub struct Fixture(Arc<dyn Fn() -> Arc<dyn ConnectionSelector> + Send + Sync>);

impl Fixture {
    /// Tests this plugin with this table, in TOML.
    #[must_use]
    pub fn of(plugin: Plugin<layer::Selector>, table: &str) -> Self {
        let table = table.to_string();
        Self::new(move || build(&plugin, &table, &build_cx()))
    }

    /// Tests the selectors that a function makes.
    pub fn new(build: impl Fn() -> Arc<dyn ConnectionSelector> + Send + Sync + 'static) -> Self {
        Self(Arc::new(build))
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").finish_non_exhaustive()
    }
}

impl harness::Fixture for Fixture {}

/// E1. The answer is one of the connections given, and `None` only if there are none.
pub async fn e1_one_of_those_given_or_none_of_none(fixture: Fixture) -> Outcome {
    let selector = (fixture.0)();
    ensure!(selector.select(&[]).is_none(), "something was chosen of nothing");
    for seed in 0..ROUNDS {
        let views = connections(seed);
        let chosen = selector.select(&views);
        ensure!(chosen.is_some(), "nothing was chosen of {}", views.len());
        ensure!(views.iter().any(|view| Some(view.id) == chosen), "connection {chosen:?} is unknown");
    }
    Ok(())
}

/// E3. A limited connection is chosen only if all are limited.
pub async fn e3_a_limited_one_only_if_all_are(fixture: Fixture) -> Outcome {
    let selector = (fixture.0)();
    for seed in 0..ROUNDS {
        let views = connections(seed);
        if views.iter().all(|view| view.limited) {
            continue;
        }
        let chosen = selector.select(&views);
        let limited = views.iter().find(|view| Some(view.id) == chosen).is_some_and(|view| view.limited);
        ensure!(!limited, "a limited connection was chosen, and there is a direct one");
    }
    Ok(())
}

/// Up to eight connections to one of a few peers, the same on every run.
fn connections(seed: u64) -> Vec<ConnectionView> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33).checked_rem(below).unwrap_or(0)
    };
    let count = next(8) + 1;
    let peer = PeerId::random();
    (1..=count)
        .map(|id| {
            let role = if next(2) == 0 { Role::Dialer } else { Role::Listener };
            let mut view = ConnectionView::new(id * 3 + next(3), peer, role, skep_api::Multiaddr::empty());
            view.limited = next(3) == 0;
            view.streams = usize::try_from(next(5)).unwrap_or(0);
            view.latency = (next(2) == 0).then(|| Duration::from_millis(next(400)));
            view.age = Duration::from_secs(next(10_000));
            view.opened = next(20);
            view.failed = next(20);
            view
        })
        .collect()
}
