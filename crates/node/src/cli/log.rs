//! The log, to standard error.

use super::Failure;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging by a filter; by default what is wrong, and no more.
pub(crate) fn start(filter: Option<&str>) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter.unwrap_or("warn")).map_err(Failure::Log)?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    Ok(())
}
