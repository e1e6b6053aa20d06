#![doc = include_str!("../README.md")]

mod dial;
mod environment;
mod error;
mod listen;
mod plan;
mod rendezvous;
mod report;
mod statistics;

pub(crate) use error::Failure;

use plan::{Plan, Role, Suite};
use skep::{
    Swarm,
    api::{error::chain, metrics::Sink},
    protocols::perf::{self, Perf},
};
use skep_stacks::Recipe;
use std::{
    io::{Write, stderr, stdout},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, timeout_at};
use tracing_subscriber::filter::LevelFilter;

/// What a node serves, whichever suite runs it; the protocol that the perf suite measures by comes on top.
const OPTIONS: &str = "[stack]\nprotocols = [\"ping\", \"identify\"]";

/// How long the node may take to close its connections.
const SHUTDOWN: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    skep::keep_freed_memory();
    match begin() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", chain(&failure));
            failure.status()
        }
    }
}

fn begin() -> Result<(), Failure> {
    let suite = suite(std::env::args().skip(1))?;
    let variables = std::env::vars_os().map(|(name, value)| (lossy(&name), lossy(&value)));
    let plan = Plan::read(suite, variables)?;
    log(plan.debug);
    for variable in &plan.unused {
        eprintln!("{variable} is not used: an iteration is so many bytes");
    }
    let recipe = Recipe::new(plan.stack.clone(), OPTIONS)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::Runtime)?;
    runtime.block_on(async { tokio::spawn(run(plan, recipe)).await })?
}

/// The suite that the arguments name.
fn suite(mut args: impl Iterator<Item = String>) -> Result<Suite, Failure> {
    let named = args.next();
    match (named.as_deref(), args.next()) {
        (None | Some("transport"), None) => Ok(Suite::Transport),
        (Some("perf"), None) => Ok(Suite::Perf),
        (_, Some(asked)) => Err(Failure::Suite { asked }),
        (asked, None) => Err(Failure::Suite { asked: asked.unwrap_or_default().into() }),
    }
}

/// A value that is not UTF-8 is shown, and refused like any other wrong one.
fn lossy(text: &std::ffi::OsStr) -> String {
    text.to_string_lossy().into_owned()
}

fn log(debug: bool) {
    let level = if debug { LevelFilter::DEBUG } else { LevelFilter::WARN };
    tracing_subscriber::fmt().with_writer(stderr).with_max_level(level).init();
}

async fn run(plan: Plan, recipe: Recipe) -> Result<(), Failure> {
    let swarm = node(&plan, &recipe)?;
    eprintln!("{} over {} as {}", role(&plan.role), plan.stack, swarm.peer_id());
    // The step that is under way at this moment says what it waited for, if it knows better than that it was too long.
    let deadline = Instant::now() + plan.timeout;
    let work = async {
        match &plan.role {
            Role::Listener(host) => listen::run(&plan, &swarm, *host, deadline).await.map(|()| String::new()),
            Role::Dialer(load) => dial::run(&plan, &swarm, load, deadline).await,
        }
    };
    let result = timeout_at(deadline, work).await;
    swarm.shutdown(SHUTDOWN).await;
    let result = result.map_err(|_| Failure::TooLong(plan.timeout))??;
    stdout().write_all(result.as_bytes()).map_err(Failure::Output)
}

fn role(role: &Role) -> &'static str {
    match role {
        Role::Listener(_) => "listener",
        Role::Dialer(_) => "dialer",
    }
}

fn node(plan: &Plan, recipe: &Recipe) -> Result<Swarm, Failure> {
    let builder = recipe.builder(Sink::default())?;
    let builder = match plan.suite {
        Suite::Transport => builder,
        // As much as the suite may ask for.
        Suite::Perf => {
            let config = perf::Config { max_bytes: i64::MAX.unsigned_abs(), ..perf::Config::default() };
            builder.protocol("perf", Arc::new(Perf::new(config)))
        }
    };
    Ok(builder.build()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suite_is_the_only_argument() {
        let suite = |args: &[&str]| suite(args.iter().map(ToString::to_string)).ok();
        assert_eq!(suite(&[]), Some(Suite::Transport));
        assert_eq!(suite(&["transport"]), Some(Suite::Transport));
        assert_eq!(suite(&["perf"]), Some(Suite::Perf));
        assert_eq!(suite(&["relay"]), None);
        assert_eq!(suite(&["perf", "perf"]), None);
    }
}
