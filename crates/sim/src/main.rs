//! Simulates a network and prints its figures; exits with 1 if something that was asked of it does not hold.

use clap::Parser;
use skep::api::error::chain;
use skep_sim::{Failure, Figures, Plan, run, table};
use std::{
    io::{IsTerminal, Write, stderr},
    process::ExitCode,
};

/// Simulates a network of nodes over hours, in one thread and in minutes: they start knowing the bootstrap nodes only, lose
/// a part of them, are parted into halves and meet again. The figures of two runs with the same options are equal.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Nodes, the five for bootstrapping included.
    #[arg(long, default_value_t = 2_000)]
    nodes: usize,
    /// Where all chance comes from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Minutes within which the nodes start.
    #[arg(long, default_value_t = 5)]
    start: u64,
    /// Minutes from the first start to the loss.
    #[arg(long, default_value_t = 20)]
    settle: u64,
    /// Percent of the nodes that are lost.
    #[arg(long, default_value_t = 30)]
    loss: u64,
    /// Minutes from the loss to the partition.
    #[arg(long, default_value_t = 25)]
    recover: u64,
    /// Minutes that the partition lasts.
    #[arg(long, default_value_t = 10)]
    partition: u64,
    /// Minutes from its end to the end.
    #[arg(long, default_value_t = 25)]
    heal: u64,
    /// Do not let the bootstrap nodes hold on to each other: shows that the halves do not meet again then.
    #[arg(long)]
    no_bridge: bool,
    /// The table has a line for every so many minutes, beside those around what happens.
    #[arg(long, default_value_t = 5)]
    every: u64,
    /// Print one JSON object, with all minutes.
    #[arg(long)]
    json: bool,
}

impl Cli {
    fn plan(&self) -> Plan {
        let mut plan = Plan::new(self.nodes, self.seed);
        plan.bridge = !self.no_bridge;
        plan.start = self.start;
        plan.settle = self.settle;
        plan.loss_percent = self.loss;
        plan.recover = self.recover;
        plan.partition = self.partition;
        plan.heal = self.heal;
        plan
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match simulate(&cli) {
        Ok(figures) if figures.hold() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("{}", chain(&failure));
            ExitCode::from(2)
        }
    }
}

#[expect(clippy::disallowed_types, reason = "how long it takes, where the clock of the simulation is paused")]
fn simulate(cli: &Cli) -> Result<Figures, Failure> {
    let begun = std::time::Instant::now();
    let shows = stderr().is_terminal();
    let figures = run(&cli.plan(), |minute, of| {
        if shows {
            // A terminal that is gone is no reason to stop.
            let _ = write!(stderr(), "\rminute {minute} of {of}");
        }
    })?;
    if shows {
        eprintln!();
    }
    if cli.json {
        println!("{}", serde_json::json!(figures));
    } else {
        print!("{}", table(&figures, cli.every));
    }
    // Apart from the figures, which do not depend on it.
    eprintln!("simulated in {:.0} s", begun.elapsed().as_secs_f64());
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent_and_its_defaults_are_the_usual_plan() {
        Cli::command().debug_assert();
        assert_eq!(Cli::parse_from(["skep-sim"]).plan(), Plan::new(2_000, 1));
    }
}
