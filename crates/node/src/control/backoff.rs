//! `backoff.list` and `backoff.clear`: what the dialler leaves alone because it failed.

use super::protocol::{Refusal, What};
use serde::{Deserialize, Serialize};
use skep_api::{Multiaddr, escape};
use skep_swarm::{DialState, Forget, LeftAloneAddr, LeftAlonePeer, PathState, Swarm};
use std::time::Duration;

/// The answer to `backoff.list`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct List {
    /// Addresses that are left alone because they failed.
    pub addresses: Vec<Address>,
    /// Peers that are left alone because all of their addresses failed.
    pub peers: Vec<Peer>,
    /// The paths that are watched for swallowing packets.
    pub paths: Vec<Path>,
    /// How busy the dialler is.
    pub load: Load,
}

/// An address that is left alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Address {
    /// The address.
    pub address: String,
    /// The peer that was wanted there; none where the address was dialled without one.
    pub peer_id: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    /// The code of the last failure.
    pub code: String,
    /// How long it is still left alone.
    pub seconds_left: f64,
}

/// A peer that is left alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Peer {
    /// The peer.
    pub peer_id: String,
    /// The code of the failure that got furthest.
    pub code: String,
    /// How long it is still left alone.
    pub seconds_left: f64,
}

/// How a path has done lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Path {
    /// `UDP` or `IPv6`.
    pub path: String,
    /// Whether it is closed, but for probes.
    pub closed: bool,
    /// How many of the last dials over it succeeded.
    pub successes: usize,
    /// How many dials are remembered.
    pub dials: usize,
    /// How many dials it is judged by.
    pub window: usize,
}

/// How busy the dialler is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Load {
    /// Dials under way.
    pub in_flight: usize,
    /// Addresses that are being tried.
    pub outstanding: usize,
    /// Tries that wait for room.
    pub queued: usize,
}

/// The answer to `backoff.clear`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Cleared {
    /// How many addresses and peers were left alone and no longer are.
    pub forgotten: usize,
}

impl List {
    /// Whether anything is kept from being dialled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.peers.is_empty() && !self.paths.iter().any(|path| path.closed)
    }
}

impl From<DialState> for List {
    fn from(state: DialState) -> Self {
        Self {
            addresses: state.addrs.into_iter().map(Address::from).collect(),
            peers: state.peers.into_iter().map(Peer::from).collect(),
            paths: state.paths.into_iter().map(Path::from).collect(),
            load: Load { in_flight: state.in_flight, outstanding: state.outstanding, queued: state.queued },
        }
    }
}

impl From<LeftAloneAddr> for Address {
    fn from(entry: LeftAloneAddr) -> Self {
        Self {
            address: entry.addr.to_string(),
            peer_id: entry.peer.map(|peer| peer.to_string()),
            failures: entry.failures,
            code: entry.last.into(),
            seconds_left: seconds(entry.left),
        }
    }
}

impl From<LeftAlonePeer> for Peer {
    fn from(entry: LeftAlonePeer) -> Self {
        Self { peer_id: entry.peer.to_string(), code: entry.last.into(), seconds_left: seconds(entry.left) }
    }
}

impl From<PathState> for Path {
    fn from(state: PathState) -> Self {
        let PathState { path, closed, successes, dials, window, .. } = state;
        Self { path: path.into(), closed, successes, dials, window }
    }
}

/// To the millisecond; what is below is over before anybody reads it.
fn seconds(left: Duration) -> f64 {
    (left.as_secs_f64() * 1e3).round() / 1e3
}

pub(super) fn list(node: &Swarm) -> List {
    node.dial_state().into()
}

pub(super) fn clear(node: &Swarm, what: What, value: Option<&str>) -> Result<Cleared, Refusal> {
    Ok(Cleared { forgotten: node.forget_failures(&forget(what, value)?) })
}

fn forget(what: What, value: Option<&str>) -> Result<Forget, Refusal> {
    let wrong = |error: String, advice: &str| Refusal::new(format!("backoff.clear: {error}"), advice);
    match (what, value) {
        (What::All, None) => Ok(Forget::All),
        (What::All, Some(_)) => {
            Err(wrong("\"all\" takes no value".into(), "leave `value` out, or say which peer or addr"))
        }
        (What::Peer, Some(value)) => value.parse().map(Forget::Peer).map_err(|e| {
            let error = format!("\"{}\" is no peer id: {e}", escape::remote(value));
            wrong(error, "a peer id is such as 12D3Koo…")
        }),
        (What::Addr, Some(value)) => value.parse::<Multiaddr>().map(Forget::Addr).map_err(|e| {
            let error = format!("\"{}\" is no address: {e}", escape::remote(value));
            wrong(error, "an address looks like /ip4/127.0.0.1/tcp/4001")
        }),
        (What::Peer, None) => Err(wrong("no value".into(), "give the peer id as `value`")),
        (What::Addr, None) => Err(wrong("no value".into(), "give the address as `value`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_to_fit() {
        let peer = "12D3KooWKrPdsxeu99y6GBr13Xz3EC7hrg62RN2FAgRQdRHcPiVV";
        assert_eq!(forget(What::All, None).unwrap(), Forget::All);
        assert_eq!(forget(What::Peer, Some(peer)).unwrap(), Forget::Peer(peer.parse().unwrap()));
        let addr = "/ip4/127.0.0.1/tcp/1";
        assert_eq!(forget(What::Addr, Some(addr)).unwrap(), Forget::Addr(addr.parse().unwrap()));
        for (what, value, error) in [
            (What::All, Some(peer), "backoff.clear: \"all\" takes no value"),
            (What::Peer, None, "backoff.clear: no value"),
            (What::Peer, Some(addr), "backoff.clear: \"/ip4/127.0.0.1/tcp/1\" is no peer id: "),
            (What::Addr, None, "backoff.clear: no value"),
            (What::Addr, Some("a\u{1b}b"), "backoff.clear: \"a\\u{1b}b\" is no address: "),
        ] {
            let refusal = forget(what, value).unwrap_err();
            assert!(refusal.error.starts_with(error), "{}", refusal.error);
        }
    }
}
