//! Chaos at one place: operations that come late or fail.

use super::{
    Config,
    faults::{draw, happens, schedule, some_of},
    tap::Disturbing,
};
use crate::{
    around::{Conn, Ends, Hooks, Operation, Place, Stream},
    injected::Injected,
};
use skep_api::random::Random;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// What is around one plugin.
#[derive(Debug)]
pub(super) struct Chaotic {
    config: Arc<Config>,
    error: Injected,
    /// Of operations, and of connections: how many operations there were moves no connection.
    operations: Random,
    connections: Random,
    dials: AtomicU64,
}

/// What is kept for one connection.
#[derive(Clone, Debug)]
pub(super) struct Disturbed {
    config: Arc<Config>,
    error: Injected,
    random: Random,
}

impl Chaotic {
    pub(super) fn new(config: Arc<Config>, seed: u64, place: &Place) -> Self {
        let place = place.to_string();
        let own = Random::seeded(seed ^ fingerprint(&place));
        let (operations, connections) = (Random::seeded(draw(&own)), Random::seeded(draw(&own)));
        let error = Injected { decorator: super::PLUGIN.name, place, seed };
        Self { config, error, operations, connections, dials: AtomicU64::new(0) }
    }

    fn percent(&self, operation: Operation) -> f64 {
        match operation {
            Operation::Dial => self.config.fail_dial_percent,
            Operation::Listen => self.config.fail_listen_percent,
            Operation::Take => self.config.fail_accept_percent,
            Operation::Secure => self.config.fail_secure_percent,
            Operation::Open => self.config.fail_open_percent,
            Operation::Resolve => self.config.fail_resolve_percent,
            // A close that fails would leave the connection; the others are not asked about.
            Operation::Close | Operation::Accept | Operation::Refuse => 0.0,
        }
    }

    /// Whether this dial is one of those in the list.
    fn is_listed(&self, operation: Operation) -> bool {
        operation == Operation::Dial && {
            let number = self.dials.fetch_add(1, Relaxed).saturating_add(1);
            self.config.fail_dials.contains(&number)
        }
    }
}

/// A number of a text, the same on every machine (FNV-1a).
fn fingerprint(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

impl Hooks for Chaotic {
    type Conn = Disturbed;

    async fn before(&self, operation: Operation) -> Result<(), Injected> {
        // All at once and in any case, so that a wait or another percentage moves nothing.
        let listed = self.is_listed(operation);
        let chance = Random::seeded(draw(&self.operations));
        let (late, delay) =
            (happens(&chance, self.config.delay_percent), some_of(&chance, self.config.delay.0));
        let fails = happens(&chance, self.percent(operation));
        if late {
            tokio::time::sleep(delay).await;
        }
        if listed || fails {
            tracing::debug!(operation = operation.name(), "{}", self.error);
            return Err(self.error.clone());
        }
        Ok(())
    }

    fn connection(&self, _: &Ends<'_>) -> Disturbed {
        let random = Random::seeded(draw(&self.connections));
        Disturbed { config: Arc::clone(&self.config), error: self.error.clone(), random }
    }
}

impl Conn for Disturbed {
    type Tap = Disturbing;

    fn tap(&self, _: Option<Stream>) -> Disturbing {
        let random = Random::seeded(draw(&self.random));
        let faults = schedule(&random, &self.config);
        Disturbing::new(&self.config, faults, random, self.error.clone())
    }
}
