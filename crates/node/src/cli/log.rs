//! The log, to standard error.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// What is wrong, and no more.
const DEFAULT: &str = "warn";

/// Starts logging by a filter that [`checked`] has seen.
pub(crate) fn start(filter: Option<&str>) {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter.unwrap_or(DEFAULT)))
        .with_writer(std::io::stderr)
        .with_ansi(super::text::colours(std::io::stderr().is_terminal()))
        .init();
}

/// Reads the filter of the command line.
pub(crate) fn checked(filter: &str) -> Result<String, String> {
    EnvFilter::try_new(filter)
        .map(|_| filter.to_string())
        .map_err(|e| format!("{e}; an example is skep_swarm=debug"))
}
