//! Peers that the configuration names, with their addresses.

use skep_api::{Multiaddr, PeerId, Problems, address, peerstore::Ttl, service::NodeControl};

/// Addresses in one list at most.
const MOST: usize = 256;

/// The peers of one key, each with one address; a peer may come several times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Given(Vec<(PeerId, Multiaddr)>);

impl Given {
    /// Reads a list of addresses that end with `/p2p/…`; what is wrong is noted under its place.
    pub(super) fn read(key: &str, entries: &[String], problems: &mut Problems) -> Self {
        if entries.len() > MOST {
            problems.add(
                key,
                format!("{} addresses are too many", entries.len()),
                format!("allowed: {MOST}"),
            );
        }
        let mut read = Vec::new();
        for (at, entry) in entries.iter().enumerate().take(MOST) {
            match parse(entry) {
                Ok(peer) => read.push(peer),
                Err((problem, help)) => problems.add(&format!("{key}[{at}]"), problem, help),
            }
        }
        Self(read)
    }

    /// These without those, and without this node itself.
    pub(super) fn without(&self, others: &Self, own: &PeerId) -> Self {
        let left = self.0.iter().filter(|given| given.0 != *own && !others.0.contains(given));
        Self(left.cloned().collect())
    }

    /// Keeps the addresses for good, and tags the peers.
    pub(super) fn put(&self, node: &dyn NodeControl, tag: &str, value: i64) {
        let (store, tags) = (node.peerstore(), node.tags());
        if store.is_none() && !self.0.is_empty() {
            tracing::warn!(
                tag,
                "there is no peer store to keep the addresses given; set `[stack] peerstore`"
            );
        }
        for (peer, addr) in self.0.iter().filter(|(peer, _)| *peer != node.local_peer()) {
            if let Some(store) = &store {
                store.add_addrs(peer, std::slice::from_ref(addr), Ttl::Permanent);
            }
            if let Err(e) = tags.tag(peer, tag, value) {
                tracing::warn!(%peer, tag, "the peer cannot be tagged: {e}");
            }
        }
    }

    /// Takes back what [`Given::put`] did for these, where `kept` does not have the peer or the address.
    pub(super) fn take_back(&self, kept: &Self, node: &dyn NodeControl, tag: &str) {
        for (peer, addr) in &self.without(kept, &node.local_peer()).0 {
            if let Some(store) = node.peerstore() {
                store.remove_addrs(peer, std::slice::from_ref(addr));
            }
            if kept.0.iter().all(|(other, _)| other != peer) {
                node.tags().untag(peer, tag);
            }
        }
    }
}

fn parse(text: &str) -> Result<(PeerId, Multiaddr), (String, &'static str)> {
    const HELP: &str = "an address with its peer, such as \"/ip4/192.0.2.1/tcp/4001/p2p/12D3KooW…\"";
    let addr: Multiaddr = text.parse().map_err(|_| (format!("\"{text}\" is no multiaddr"), HELP))?;
    let Some(peer) = address::peer(&addr) else {
        return Err((format!("\"{text}\" does not end with a peer"), HELP));
    };
    let bare = address::without_peer(&addr);
    if bare.is_empty() {
        return Err((format!("\"{text}\" has a peer and no address"), HELP));
    }
    Ok((peer, bare))
}
