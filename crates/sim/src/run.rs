//! Lets a plan happen.

use crate::{Failure, Figures, Plan, Sample, network::Network, plan::minutes};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Simulates a plan, on this thread and in paused time. `progress` is told each minute of the simulation, and how many
/// there are.
///
/// # Errors
/// [`Failure`] if the plan makes no sense, or a node could not be made of it.
pub fn run(plan: &Plan, mut progress: impl FnMut(u64, u64)) -> Result<Figures, Failure> {
    plan.check()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.map_err(Failure::Runtime)?.block_on(simulate(plan, &mut progress))
}

async fn simulate(plan: &Plan, progress: &mut impl FnMut(u64, u64)) -> Result<Figures, Failure> {
    let begun = Instant::now();
    let mut network = Network::new(plan)?;
    let mut samples = Vec::new();
    for minute in 0..=plan.ends_at() {
        start_until(&mut network, begun, minutes(minute)).await?;
        sleep_until(at(begun, minutes(minute))).await;
        samples.push(Sample::take(minute, &mut network));
        network.world().net.next_minute();
        happen(&mut network, plan, minute);
        progress(minute, plan.ends_at());
    }
    Ok(Figures::new(plan, samples, network.panics()))
}

/// Starts the nodes whose time comes before a moment.
async fn start_until(network: &mut Network, begun: Instant, end: Duration) -> Result<(), Failure> {
    while let Some(start) = network.next_start().filter(|start| *start < end) {
        sleep_until(at(begun, start)).await;
        network.start_next().await?;
    }
    Ok(())
}

fn happen(network: &mut Network, plan: &Plan, minute: u64) {
    if minute == plan.lost_at() {
        network.lose_some();
    }
    if minute == plan.parted_at() {
        network.part();
    }
    if minute == plan.healed_at() {
        network.heal();
    }
}

fn at(begun: Instant, after: Duration) -> Instant {
    begun.checked_add(after).unwrap_or(begun)
}
