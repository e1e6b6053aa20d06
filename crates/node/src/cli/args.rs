//! The command line.

use clap::{Args, Parser, Subcommand};
use skep_api::{Multiaddr, PeerId, address, config::DurationText};
use std::{net::SocketAddr, path::PathBuf};

/// A libp2p node assembled from plugins and a profile.
///
/// Configuration, later wins: built-in profile, file, variables SKEP_<TABLE>__<KEY>, --set. Without any, the
/// node listens on loopback only.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub sources: SourceArgs,
    /// Print JSON, for scripts.
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,
    /// What to log to standard error: error, warn, info, debug, trace, or a filter such as skep_swarm=debug.
    #[arg(long, global = true, help_heading = "Output", value_name = "FILTER", env = "SKEP_LOG", hide_env_values = true, value_parser = super::log::checked)]
    pub log: Option<String>,
    #[command(subcommand)]
    pub command: Command,
}

/// Where the configuration comes from.
#[derive(Clone, Debug, Args)]
pub(crate) struct SourceArgs {
    /// The built-in profile to start from: default, public, private_cluster, embedded_device.
    #[arg(
        long,
        global = true,
        help_heading = "Configuration",
        value_name = "NAME",
        env = "SKEP_PROFILE",
        hide_env_values = true
    )]
    pub profile: Option<String>,
    /// A TOML file over it.
    #[arg(
        long,
        global = true,
        help_heading = "Configuration",
        value_name = "FILE",
        env = "SKEP_CONFIG",
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,
    /// One value over all of it, such as transport.tcp.nodelay=true; can be given several times.
    #[arg(long = "set", global = true, help_heading = "Configuration", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a node until Ctrl-C or SIGTERM.
    Run(RunArgs),
    /// Connect to a peer and measure round trips.
    Ping(PingArgs),
    /// Connect to a peer and say how that went, or why it did not.
    Dial(DialArgs),
    /// Show what a running node is and does: connections, streams, dials, scopes, tags, listeners.
    Status(StatusArgs),
    /// Look at what a running node does not dial because it failed, or let it forget that.
    #[command(subcommand)]
    Backoff(BackoffCommand),
    /// Close connections of a running node down to its pruner's low mark, or show which would go, and why.
    Prune(PruneArgs),
    /// Have a running node read its configuration again; connections stay. So does SIGHUP.
    Reload(ReloadArgs),
    /// List the plugins that this program has.
    Plugins,
    /// Check the configuration the way `run` does, without opening a socket.
    Check,
    /// Show every key with its value, where that came from, and the file that reads it.
    Explain,
    /// Show the limits of the resource manager on this machine, each with its key and where it comes from.
    Limits,
    /// Print configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Make or show an identity key.
    #[command(subcommand)]
    Key(KeyCommand),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// How long streams that are in use may go on after the first signal, while nothing new is taken on.
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = duration)]
    pub drain_timeout: DurationText,
    /// How long connections may take to close after that.
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = duration)]
    pub shutdown_timeout: DurationText,
    /// Offer a control socket at this path, for commands such as `skep backoff`; without it there is none.
    #[arg(long, value_name = "PATH", env = "SKEP_CONTROL", hide_env_values = true)]
    pub control: Option<PathBuf>,
    /// Offer metrics for Prometheus at http://ADDR/metrics, such as 127.0.0.1:9100; port 0 takes a free one. Whoever can
    /// reach the address can read them. Without it nothing is counted.
    #[arg(long, value_name = "ADDR", env = "SKEP_METRICS", hide_env_values = true, value_parser = socket)]
    pub metrics: Option<SocketAddr>,
}

/// Which running node is meant.
#[derive(Debug, Args)]
pub(crate) struct ControlArgs {
    /// The control socket of the node, as given to `skep run --control`.
    #[arg(long, value_name = "PATH", env = "SKEP_CONTROL", hide_env_values = true)]
    pub control: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct PingArgs {
    /// The peer's address, such as /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo….
    #[arg(value_parser = multiaddr)]
    pub addr: Multiaddr,
    /// How many pings.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    pub count: u32,
    /// The time from the start of one ping to the start of the next.
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = duration)]
    pub interval: DurationText,
    /// How long to wait for the connection, and for each answer.
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = limit)]
    pub timeout: DurationText,
}

#[derive(Debug, Args)]
pub(crate) struct DialArgs {
    /// The peer's addresses, such as /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo…, which are raced; or its id alone, for the
    /// addresses that the peer store has.
    #[arg(value_parser = target, required = true, value_name = "ADDR|PEER_ID")]
    pub targets: Vec<DialTarget>,
    /// Show what became of each address also when one led to a connection.
    #[arg(long)]
    pub explain: bool,
    /// How long to try; no longer than `dial.timeout`.
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = limit)]
    pub timeout: DurationText,
}

/// What can be dialled.
#[derive(Clone, Debug)]
pub(crate) enum DialTarget {
    Addr(Multiaddr),
    Peer(PeerId),
}

impl DialTarget {
    pub(crate) fn peer(&self) -> Option<PeerId> {
        match self {
            Self::Addr(addr) => address::peer(addr),
            Self::Peer(peer) => Some(*peer),
        }
    }

    pub(crate) fn addr(&self) -> Option<&Multiaddr> {
        match self {
            Self::Addr(addr) => Some(addr),
            Self::Peer(_) => None,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub node: ControlArgs,
    /// List the streams, too.
    #[arg(long)]
    pub streams: bool,
    /// Print the effective configuration, too.
    #[arg(long)]
    pub effective_config: bool,
    /// Entries of each list, at most 10000. The totals count all.
    #[arg(long, value_name = "N", default_value_t = skep::control::SOME_ENTRIES)]
    pub max: u32,
}

#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    #[command(flatten)]
    pub node: ControlArgs,
    /// Close nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Peers to list, at most 10000.
    #[arg(long, value_name = "N", default_value_t = skep::control::SOME_ENTRIES)]
    pub max: u32,
}

#[derive(Debug, Args)]
pub(crate) struct ReloadArgs {
    #[command(flatten)]
    pub node: ControlArgs,
    /// Check all of it and show what would change, and leave the node as it is.
    #[arg(long)]
    pub dry_run: bool,
    /// Ask the gates again about the connections that there are, and close those that they deny now.
    #[arg(long, conflicts_with = "dry_run")]
    pub recheck: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BackoffCommand {
    /// Show the addresses, peers and paths that are left alone, and how busy the dialler is.
    List {
        #[command(flatten)]
        node: ControlArgs,
    },
    /// Let the node forget failures, so that it dials again at once.
    Clear {
        /// An address, or the id of a peer; without it, all that is remembered.
        #[arg(value_parser = target, value_name = "ADDR|PEER_ID")]
        target: Option<DialTarget>,
        #[command(flatten)]
        node: ControlArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// The JSON Schema of a profile, from the plugins that are linked.
    Schema,
    /// The effective configuration as TOML; it loads back to the same.
    Show,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make an Ed25519 key and write it to a file that only its owner can read.
    Generate {
        /// The file; it must not exist.
        file: PathBuf,
    },
    /// Show the peer id of a key file, or of the configuration's.
    Show {
        /// The file; without it, the one that `identity.key_file` names.
        file: Option<PathBuf>,
    },
}

fn multiaddr(text: &str) -> Result<Multiaddr, String> {
    text.parse().map_err(|e| format!("{e}; an address looks like /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo…"))
}

fn target(text: &str) -> Result<DialTarget, String> {
    if text.starts_with('/') {
        return multiaddr(text).map(DialTarget::Addr);
    }
    let help =
        "an address begins with /, as /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo…; a peer id is such as 12D3Koo…";
    text.parse().map(DialTarget::Peer).map_err(|e| format!("{e}; {help}"))
}

fn socket(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "an IP address and a port are needed, such as 127.0.0.1:9100 or [::1]:9100")
}

fn limit(text: &str) -> Result<DurationText, &'static str> {
    match duration(text)? {
        zero if zero.0.is_zero() => Err("no time at all; allowed: 1ms and more"),
        some => Ok(some),
    }
}

fn duration(text: &str) -> Result<DurationText, &'static str> {
    DurationText::parse(text).ok_or("a number with a unit is needed, such as 250ms, 5s or 2m")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
