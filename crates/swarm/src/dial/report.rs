//! What one dial did: every address, with what became of it.

use crate::{
    SwarmConn,
    error::{AttemptError, Cause, Stage},
};
use skep_api::{Multiaddr, PeerId, error::Retry};
use std::{fmt, sync::Arc, time::Duration};

/// A connection, and how it came to be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Dialed {
    /// The connection.
    pub connection: SwarmConn,
    /// What was done for it; nothing, where it was there already.
    pub report: Arc<DialReport>,
}

/// What one dial did, successful or not.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DialReport {
    /// The peer that was wanted; `None` where an address without `/p2p/…` was dialled.
    pub peer: Option<PeerId>,
    /// The connection was there already, or came from the peer meanwhile.
    pub existing: bool,
    /// What became of each address: those that were tried in the order of their start, then the others.
    pub addrs: Vec<AddrReport>,
    /// Addresses beyond the 256 that one report holds; none of them was tried.
    pub omitted: usize,
    /// From the start of the dial to the moment of the report. A caller who joined a dial under way sees that dial's.
    pub elapsed: Duration,
}

/// What became of one address.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AddrReport {
    /// The address, resolved; with `/p2p/…` only where it was given so.
    pub addr: Multiaddr,
    /// The address with a name in it that this one came from.
    pub resolved_from: Option<Multiaddr>,
    /// When its first attempt started, from the start of the dial; `None` where it was not tried.
    pub started: Option<Duration>,
    /// From there to its end, retries and the waits between them included; of a name, how long it was looked up.
    pub elapsed: Duration,
    /// How often it was tried again.
    pub retries: u32,
    /// What became of it.
    pub outcome: AddrOutcome,
}

/// What became of one address of a dial.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AddrOutcome {
    /// It led to the connection with this id.
    Connected {
        /// The id of the connection.
        connection: u64,
    },
    /// It was tried and failed.
    Failed(Arc<AttemptError>),
    /// It was not tried.
    Skipped(Arc<AttemptError>),
    /// It was given up at this stage, as the dial had come to its end.
    Cancelled {
        /// How far it had come.
        stage: Stage,
    },
}

impl AddrReport {
    /// Whether it was passed over for a reason of this dial only: another one might try it.
    pub(super) fn is_spared(&self) -> bool {
        let AddrOutcome::Skipped(error) = &self.outcome else { return false };
        matches!(
            error.cause,
            Cause::Relayed
                | Cause::RelayedAlready
                | Cause::TooManyAddresses(_)
                | Cause::Overloaded(_)
                | Cause::Limit(_)
                | Cause::TimedOut(_)
        )
    }
}

impl AddrOutcome {
    /// The stable word, fit for a metric label: the code of a failure, `connected` or `cancelled`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Connected { .. } => "connected",
            Self::Failed(error) | Self::Skipped(error) => error.cause.code(),
            Self::Cancelled { .. } => "cancelled",
        }
    }

    /// Why there is no connection over this address.
    #[must_use]
    pub fn error(&self) -> Option<&AttemptError> {
        match self {
            Self::Failed(error) | Self::Skipped(error) => Some(error),
            Self::Connected { .. } | Self::Cancelled { .. } => None,
        }
    }
}

impl DialReport {
    /// How many addresses were tried.
    #[must_use]
    pub fn num_addrs_tried(&self) -> usize {
        self.addrs.iter().filter(|addr| addr.started.is_some()).count()
    }

    /// The failure that got furthest on the road: the one whose cure is the likeliest to help. What was tried
    /// counts before what was passed over.
    #[must_use]
    pub fn furthest(&self) -> Option<&AddrReport> {
        let failed = self.addrs.iter().filter(|addr| addr.outcome.error().is_some());
        failed.max_by_key(|addr| (addr.started.is_some(), addr.outcome.error().map(|error| error.stage)))
    }
}

/// A dial that gave no connection.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// No address led to a connection.
    #[error(transparent)]
    AllFailed(#[from] SwarmDialAllFailedError),
    /// No address was looked at.
    #[error("{}", no_connection(.peer_id.as_ref()))]
    Refused {
        /// The peer that was wanted, where it was known.
        peer_id: Option<PeerId>,
        /// Why.
        #[source]
        cause: Arc<Cause>,
    },
}

/// No address led to a connection: all of them failed, or were passed over.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SwarmDialAllFailedError {
    /// The peer that was wanted, where it was known.
    pub peer_id: Option<PeerId>,
    /// How many addresses were tried; the others were passed over.
    pub num_addrs_tried: usize,
    /// What became of each address.
    pub report: Arc<DialReport>,
}

impl DialError {
    pub(crate) fn refused(peer_id: Option<PeerId>, cause: Cause) -> Self {
        Self::Refused { peer_id, cause: Arc::new(cause) }
    }

    pub(super) fn all_failed(report: DialReport) -> Self {
        let (peer_id, num_addrs_tried) = (report.peer, report.num_addrs_tried());
        Self::AllFailed(SwarmDialAllFailedError { peer_id, num_addrs_tried, report: Arc::new(report) })
    }

    /// The peer that was wanted, where it was known.
    #[must_use]
    pub fn peer_id(&self) -> Option<PeerId> {
        match self {
            Self::AllFailed(error) => error.peer_id,
            Self::Refused { peer_id, .. } => *peer_id,
        }
    }

    /// What became of each address, where any was looked at.
    #[must_use]
    pub fn report(&self) -> Option<&DialReport> {
        match self {
            Self::AllFailed(error) => Some(&error.report),
            Self::Refused { .. } => None,
        }
    }

    /// The cause that matters most: of the address that got furthest, or of the refusal. `None` if no address failed, and
    /// a relayed connection was all that came of them for one who wants a direct one.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Self::AllFailed(error) => error.report.furthest()?.outcome.error().map(|error| &error.cause),
            Self::Refused { cause, .. } => Some(cause),
        }
    }

    /// The stable word of that cause, fit for a metric label.
    #[must_use]
    pub fn code(&self) -> &'static str {
        // Without a failure there was a connection, but a relayed one.
        self.cause().map_or("relayed", Cause::code)
    }

    /// Whether dialling again can help: what the most hopeful of the addresses says.
    #[must_use]
    pub fn retry(&self) -> Retry {
        let of = |report: &DialReport| {
            let all = report.addrs.iter().filter_map(|addr| addr.outcome.error());
            let all: Vec<_> = all.map(|error| error.cause.retry()).collect();
            let has = |retry| all.contains(&retry);
            if has(Retry::Soon) {
                Retry::Soon
            } else if has(Retry::Later) {
                Retry::Later
            } else {
                Retry::Permanent
            }
        };
        match self {
            Self::AllFailed(error) => of(&error.report),
            Self::Refused { cause, .. } => cause.retry(),
        }
    }
}

fn no_connection(peer: Option<&PeerId>) -> String {
    peer.map_or_else(|| "no connection".into(), |peer| format!("no connection to {peer}"))
}

impl fmt::Display for SwarmDialAllFailedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&no_connection(self.peer_id.as_ref()))?;
        match self.report.addrs.as_slice() {
            [] => f.write_str(": no address to dial"),
            [only] => match only.outcome.error() {
                Some(error) => write!(f, ": {}: {error}", only.addr),
                None => write!(f, ": {}: {}", only.addr, only.outcome.code()),
            },
            many => {
                write!(f, ": tried {} of {} addresses in vain", self.num_addrs_tried, many.len())
            }
        }
    }
}

impl std::error::Error for SwarmDialAllFailedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.report.furthest()?.outcome.error().map(|error| error as _)
    }
}
