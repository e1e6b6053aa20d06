//! The kinds of scopes, and the table of limits of each.

use super::{
    amounts::{BytesLimit, CountLimit, size_text},
    counts::COUNTED,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{Problems, resources::Resource};

/// A kind of scope. All scopes of a kind have the same limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    System,
    Transient,
    AllowlistedSystem,
    AllowlistedTransient,
    Service,
    Protocol,
    Peer,
    ServicePeer,
    ProtocolPeer,
    Connection,
    Stream,
}

/// All kinds, in the order of their numbers, the widest first.
pub(super) const KINDS: [Kind; 11] = [
    Kind::System,
    Kind::Transient,
    Kind::AllowlistedSystem,
    Kind::AllowlistedTransient,
    Kind::Service,
    Kind::Protocol,
    Kind::Peer,
    Kind::ServicePeer,
    Kind::ProtocolPeer,
    Kind::Connection,
    Kind::Stream,
];

impl Kind {
    /// The word in the configuration, in listings and in denials.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Transient => "transient",
            Self::AllowlistedSystem => "allowlisted_system",
            Self::AllowlistedTransient => "allowlisted_transient",
            Self::Service => "service",
            Self::Protocol => "protocol",
            Self::Peer => "peer",
            Self::ServicePeer => "service_peer",
            Self::ProtocolPeer => "protocol_peer",
            Self::Connection => "connection",
            Self::Stream => "stream",
        }
    }

    /// Whether there are scopes of this kind only where peers and networks are on the list of the allowed.
    pub(super) fn is_allowlisted(self) -> bool {
        matches!(self, Self::AllowlistedSystem | Self::AllowlistedTransient)
    }

    /// What there can be within one scope of this kind: the rest needs no limit.
    pub(super) fn counts(self, resource: Resource) -> bool {
        let stream =
            matches!(resource, Resource::Streams | Resource::StreamsInbound | Resource::StreamsOutbound);
        match self {
            Self::Service | Self::Protocol | Self::ServicePeer | Self::ProtocolPeer | Self::Connection => {
                stream || resource == Resource::Memory
            }
            Self::Stream => resource == Resource::Memory,
            _ => true,
        }
    }
}

/// Limits that are set by hand, one table for each kind of scope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the names of the kinds of scopes; the README says what each is")]
pub struct Limits {
    #[serde(skip_serializing_if = "ScopeLimits::is_empty")]
    pub system: ScopeLimits,
    #[serde(skip_serializing_if = "ScopeLimits::is_empty")]
    pub transient: ScopeLimits,
    #[serde(skip_serializing_if = "ScopeLimits::is_empty")]
    pub allowlisted_system: ScopeLimits,
    #[serde(skip_serializing_if = "ScopeLimits::is_empty")]
    pub allowlisted_transient: ScopeLimits,
    #[serde(skip_serializing_if = "ScopeLimits::is_empty")]
    pub service: ScopeLimits,
    #[serde(skip_serializing_if = "ScopeLimits::is_empty")]
    pub protocol: ScopeLimits,
    #[serde(skip_serializing_if = "ScopeLimits::is_empty")]
    pub peer: ScopeLimits,
    #[serde(skip_serializing_if = "ScopeLimits::is_empty")]
    pub service_peer: ScopeLimits,
    #[serde(skip_serializing_if = "ScopeLimits::is_empty")]
    pub protocol_peer: ScopeLimits,
    #[serde(skip_serializing_if = "ScopeLimits::is_empty")]
    pub connection: ScopeLimits,
    #[serde(skip_serializing_if = "ScopeLimits::is_empty")]
    pub stream: ScopeLimits,
}

/// The limits of every scope of one kind. What is left out is derived.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScopeLimits {
    /// Connections, both directions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<CountLimit>,
    /// Connections that peers dialled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections_inbound: Option<CountLimit>,
    /// Connections that this node dialled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections_outbound: Option<CountLimit>,
    /// Streams, both directions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streams: Option<CountLimit>,
    /// Streams that peers opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streams_inbound: Option<CountLimit>,
    /// Streams that this node opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streams_outbound: Option<CountLimit>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<BytesLimit>,
    /// File descriptors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptors: Option<CountLimit>,
}

impl Limits {
    pub(super) fn of(&self, kind: Kind) -> &ScopeLimits {
        match kind {
            Kind::System => &self.system,
            Kind::Transient => &self.transient,
            Kind::AllowlistedSystem => &self.allowlisted_system,
            Kind::AllowlistedTransient => &self.allowlisted_transient,
            Kind::Service => &self.service,
            Kind::Protocol => &self.protocol,
            Kind::Peer => &self.peer,
            Kind::ServicePeer => &self.service_peer,
            Kind::ProtocolPeer => &self.protocol_peer,
            Kind::Connection => &self.connection,
            Kind::Stream => &self.stream,
        }
    }

    /// Notes limits that contradict each other. What is derived gives way and contradicts nothing.
    pub(super) fn validate(&self, problems: &mut Problems) {
        for kind in KINDS {
            for resource in COUNTED {
                let Some(Some(limit)) = self.of(kind).get(resource) else { continue };
                let key = format!("limits.{}.{resource}", kind.name());
                if !kind.counts(resource) {
                    let problem = format!("there are no {resource} within a {} to limit", kind.name());
                    problems.add(&key, problem, "remove the key");
                    continue;
                }
                for (wider, wider_key) in self.around(kind, resource) {
                    if let Some(Some(most)) = wider
                        && limit > most
                    {
                        let text =
                            |n| if resource == Resource::Memory { size_text(n) } else { n.to_string() };
                        let (limit, most) = (text(limit), text(most));
                        let problem = format!("{limit} is above `{wider_key}`, which is {most}");
                        problems.add(&key, problem, format!("allowed: 0 to {most}, or raise `{wider_key}`"));
                    }
                }
            }
        }
    }

    /// The limits that one of a scope must not exceed, with their keys.
    fn around(&self, kind: Kind, resource: Resource) -> Vec<(Option<Option<u64>>, String)> {
        let mut around = Vec::new();
        if let Some(total) = total(resource) {
            around.push((self.of(kind).get(total), format!("limits.{}.{total}", kind.name())));
        }
        for wider in wider(kind) {
            let key = format!("limits.{}.{resource}", wider.name());
            around.push((self.of(*wider).get(resource), key));
        }
        around
    }
}

impl ScopeLimits {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The limit that is set, which may be that there is none.
    pub(super) fn get(&self, resource: Resource) -> Option<Option<u64>> {
        let count = |limit: &Option<CountLimit>| limit.map(|limit| limit.0);
        match resource {
            Resource::Connections => count(&self.connections),
            Resource::ConnectionsInbound => count(&self.connections_inbound),
            Resource::ConnectionsOutbound => count(&self.connections_outbound),
            Resource::Streams => count(&self.streams),
            Resource::StreamsInbound => count(&self.streams_inbound),
            Resource::StreamsOutbound => count(&self.streams_outbound),
            Resource::Memory => self.memory.map(|limit| limit.0),
            Resource::Descriptors => count(&self.descriptors),
            _ => None,
        }
    }
}

/// The total that a direction is part of.
pub(super) fn total(resource: Resource) -> Option<Resource> {
    match resource {
        Resource::ConnectionsInbound | Resource::ConnectionsOutbound => Some(Resource::Connections),
        Resource::StreamsInbound | Resource::StreamsOutbound => Some(Resource::Streams),
        _ => None,
    }
}

/// The kinds that a scope lies within, whatever else it lies within.
fn wider(kind: Kind) -> &'static [Kind] {
    match kind {
        Kind::System | Kind::AllowlistedSystem => &[],
        Kind::AllowlistedTransient => &[Kind::AllowlistedSystem],
        Kind::Transient | Kind::Service | Kind::Protocol | Kind::Peer => &[Kind::System],
        Kind::ServicePeer => &[Kind::Service, Kind::Peer],
        Kind::ProtocolPeer => &[Kind::Protocol, Kind::Peer],
        Kind::Connection => &[Kind::Peer],
        Kind::Stream => &[Kind::Connection],
    }
}
