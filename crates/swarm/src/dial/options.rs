//! What a caller may ask of one dial.

pub use skep_api::service::DialPriority as Priority;

use skep_api::Multiaddr;
use std::time::Duration;
use tokio::time::Instant;

/// What a caller may ask of one dial. The default is what [`crate::Swarm::dial_peer`] does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DialOptions {
    /// Give a connection that exists, or say that there is none.
    pub no_dial: bool,
    /// Connect even if there is a connection to the peer. Such a dial is not shared with others, and a peer of which all
    /// addresses failed is not left alone.
    pub always: bool,
    /// Neither take nor make a connection through a relay.
    pub force_direct: bool,
    /// Be content with an existing connection through a relay; otherwise a direct one is dialled for beside it.
    pub allow_limited: bool,
    /// Dial these addresses and none from the peer store.
    pub addresses: Option<Vec<Multiaddr>>,
    /// End the dial then, if that is before `[dial] timeout` is over.
    pub deadline: Option<Instant>,
    /// End the dial after so long, if that is less than `[dial] timeout`.
    pub timeout: Option<Duration>,
    /// Who goes first where dials have to wait.
    pub priority: Priority,
    /// Dial addresses and peers that failed a short while ago, and paths that swallowed dials.
    pub ignore_backoff: bool,
}

macro_rules! flags {
    ($($(#[$doc:meta])* $flag:ident)+) => { $(
        $(#[$doc])*
        #[must_use]
        pub fn $flag(mut self) -> Self {
            self.$flag = true;
            self
        }
    )+ };
}

impl DialOptions {
    flags! {
        /// Gives a connection that exists, or says that there is none.
        no_dial
        /// Connects even if there is a connection to the peer.
        always
        /// Neither takes nor makes a connection through a relay.
        force_direct
        /// Is content with an existing connection through a relay.
        allow_limited
        /// Dials what failed a short while ago, too.
        ignore_backoff
    }

    /// Dials these addresses and none from the peer store.
    #[must_use]
    pub fn addresses(mut self, addresses: impl IntoIterator<Item = Multiaddr>) -> Self {
        self.addresses = Some(addresses.into_iter().collect());
        self
    }

    /// Ends the dial at `deadline`, if that is before `[dial] timeout` is over.
    #[must_use]
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Ends the dial after `timeout`, if that is less than `[dial] timeout`.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets who goes first where dials have to wait.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }
}
