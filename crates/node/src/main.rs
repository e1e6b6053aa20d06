//! The binary `skep`: runs a node from a profile, and shows what it is made of.

mod cli;

use clap::Parser;
use cli::{Failure, args::Cli};
use std::process::ExitCode;

fn main() -> ExitCode {
    skep::keep_freed_memory();
    let cli = Cli::parse();
    if let Err(error) = cli::log::start(cli.log.as_deref()) {
        return fail(&error);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Failure::Io("start the runtime".into(), error)),
    };
    match runtime.block_on(cli::execute(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &Failure) -> ExitCode {
    eprintln!("{} {}", cli::text::error_word(), cli::text::explain(error));
    ExitCode::FAILURE
}
