//! The binary `skep`: runs a node from a profile, and shows what it is made of.

mod cli;

use clap::Parser;
use cli::{Failure, args::Cli};
use std::{
    io::{ErrorKind, Write, stderr},
    process::ExitCode,
};

fn main() -> ExitCode {
    skep::keep_freed_memory();
    let cli = Cli::parse();
    let json = cli.json;
    cli::log::start(cli.log.as_deref());
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::Io("start the runtime".into(), e))
        .and_then(|runtime| runtime.block_on(cli::execute(cli)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has seen enough, as `head` does.
        Err(Failure::Output(e)) if e.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(&error, json),
    }
}

/// For people on standard error; with `--json` for the script, too, on standard output.
fn fail(error: &Failure, json: bool) -> ExitCode {
    if json {
        let _ = cli::text::print(cli::report(error));
    }
    let _ = writeln!(stderr(), "{} {}", cli::text::error_word(), cli::text::explain(error));
    ExitCode::FAILURE
}
