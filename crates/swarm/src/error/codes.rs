//! The stable words of all causes, for whoever has to know them before they come up.

use skep_api::{
    error::Kind, muxer::MuxerErrorKind, protector::ProtectorErrorKind, resolver::ResolveErrorKind,
    security::SecurityErrorKind, transport::TransportErrorKind,
};

/// The words of the causes that are the swarm's own.
const OWN: [&str; 21] = [
    "local_limit",
    "overloaded",
    "denied",
    "deadline",
    "own_address",
    "shutting_down",
    "panicked",
    "not_connected",
    "no_addresses",
    "peer_backoff",
    "backoff",
    "black_hole",
    "no_transport",
    "undialable",
    "foreign_loopback",
    "private_address",
    "duplicate",
    "relayed",
    "relayed_already",
    "other_peer",
    "too_many_addresses",
];

/// Every word that [`Cause::code`](super::Cause::code) gives.
pub(crate) fn all() -> Vec<&'static str> {
    fn of<K: Kind>(kinds: &[K]) -> impl Iterator<Item = &'static str> {
        kinds.iter().map(|kind| kind.code())
    }
    let layers = of(TransportErrorKind::ALL).chain(of(SecurityErrorKind::ALL));
    let layers = layers
        .chain(of(ProtectorErrorKind::ALL))
        .chain(of(MuxerErrorKind::ALL))
        .chain(of(ResolveErrorKind::ALL));
    OWN.into_iter().chain(layers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The match in `code` is where a new cause gets its word.
    #[test]
    fn every_word_of_a_cause_is_known() {
        let source = include_str!("cause.rs");
        let (_, code) = source.split_once("pub fn code(").unwrap();
        let (code, _) = code.split_once("pub fn advice(").unwrap();
        let words: Vec<_> = code.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(words, OWN);
    }
}
