//! One stream against a reference model: random scripts of both ends, and whether all that was seen is allowed.
//!
//! [`Script`]s are made by `proptest` and run on a fresh connection of a
//! [`Fixture`]. A step does one thing at each end at once; it ends when both are done or
//! nothing moves any more. The model knows at each moment what each end has done for certain, and what may have reached
//! the other: a read or a write must be explained by one of these.

mod run;
mod script;
mod state;

pub use script::{Op, Script, Step};

use super::Fixture;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

/// Runs so many random scripts as the body of a test.
///
/// # Panics
/// If what is seen cannot be explained.
#[track_caller]
pub fn check(fixture: &Fixture, cases: u32) {
    if let Some(failure) = find(fixture, cases) {
        panic!("{failure}");
    }
}

/// Runs so many random scripts, the same on every run, on a fixture with a paused clock. Gives the first failure, made
/// smaller.
#[must_use]
pub fn find(fixture: &Fixture, cases: u32) -> Option<String> {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 2_048,
        rng_seed: RngSeed::Fixed(1),
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&script::scripts(), |script| {
        run::run(fixture, &script).map_err(|broken| TestCaseError::fail(broken.0))
    });
    result.err().map(|e| e.to_string())
}
