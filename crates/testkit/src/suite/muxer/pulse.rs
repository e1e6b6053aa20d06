//! Signs of life. A muxer that gives none has nothing to keep.

use super::{
    Fixture,
    pair::{End, Pair},
};
use crate::{
    duplex::{DuplexConfig, wiretap},
    harness::{Broken, Outcome, broken, ensure},
};
use skep_api::{muxer::Pulse, security::Role};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const ONE_WAY: Duration = Duration::from_millis(40);
/// Timers are good to a millisecond, each.
const SLACK: Duration = Duration::from_millis(10);
/// Long enough for the two ends to have said what they say by themselves.
const QUIET: Duration = Duration::from_secs(20);

/// C6. Silence grows while nothing comes, and a probe ends it after one round trip, without the peer's application.
pub async fn c6_a_probe_makes_the_peer_heard(fixture: Fixture) -> Outcome {
    let pair = Pair::over(&fixture, DuplexConfig::default().with_latency(ONE_WAY));
    for end in [&pair.dialer, &pair.listener] {
        if end.conn.pulse().is_none() {
            return Ok(());
        }
        sleep(QUIET).await;
        let before = pulse(end)?;
        ensure!(before.silent >= QUIET / 2, "nobody spoke for {QUIET:?}, and the pulse says {before:?}");
        end.conn.probe();
        sleep(ONE_WAY.saturating_mul(2).saturating_add(SLACK)).await;
        let after = pulse(end)?;
        ensure!(after.silent <= SLACK, "a round trip after a probe the pulse says {after:?}");
        let trip = after.latency.unwrap_or_default();
        let right = ONE_WAY.saturating_mul(2)..=ONE_WAY.saturating_mul(2).saturating_add(SLACK);
        ensure!(right.contains(&trip), "{ONE_WAY:?} away, and the latency is {trip:?}");
    }
    Ok(())
}

/// C6. A peer that does not answer is asked once.
pub async fn c6_one_probe_is_on_its_way_at_once(fixture: Fixture) -> Outcome {
    let (io, _frozen, wire) = wiretap(DuplexConfig::default());
    let end = End::new(&fixture, io, Role::Dialer);
    if end.conn.pulse().is_none() {
        return Ok(());
    }
    let begun = Instant::now();
    let sent = || wire.sent_by(Role::Dialer).len();
    sleep(QUIET).await;
    end.conn.probe();
    sleep(QUIET).await;
    let once = sent();
    ensure!(once > 0, "a probe sends nothing");
    for _ in 0..10 {
        end.conn.probe();
        sleep(QUIET).await;
    }
    ensure!(sent() == once, "{} bytes went to a peer that has answered no probe, after {once}", sent());
    let silent = pulse(&end)?.silent;
    ensure!(silent >= begun.elapsed() / 2, "the peer has never spoken, and was heard {silent:?} ago");
    Ok(())
}

fn pulse(end: &End) -> Result<Pulse, Broken> {
    match end.conn.pulse() {
        Some(pulse) => Ok(pulse),
        None => broken("a muxer that gave a pulse gives none any more"),
    }
}
