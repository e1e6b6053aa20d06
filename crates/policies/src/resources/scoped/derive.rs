//! The limits in effect: those set by hand, and the rest derived from the memory and the descriptors there are.
//!
//! As in go-libp2p a derived limit is a base and so much for each GiB that may be used; a scope within another is
//! never wider than that.

use super::{
    Config,
    amounts::rounded,
    counts::{COUNTED, Caps, Counts, Over},
    kind::{KINDS, Kind, total},
    machine::Machine,
};
use skep_api::resources::{Limit, Priority, Resource};

/// What is assumed of a machine that does not tell.
const UNKNOWN_MEMORY: u64 = GIB;
const UNKNOWN_OPEN_FILES: u64 = 1_024;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The path of this plugin's table.
pub(super) const TABLE: &str = "resources.scoped";

/// The limits of all kinds of scopes.
#[derive(Clone, Debug)]
pub(super) struct Effective {
    caps: [Caps; KINDS.len()],
    rows: Vec<(Kind, Limit)>,
}

/// How a limit is derived.
#[derive(Clone, Copy)]
enum Rule {
    /// A base, and so much for each GiB of memory that may be used.
    Grows(u64, u64),
    /// The same in bytes, but at most one part in so many of the system's memory.
    GrowsWithin(u64, u64, u64),
    /// One part in so many of the limit of the system it belongs to.
    Part(u64),
    /// No more than the limit of both directions together.
    Total,
}

/// What the rules start from.
struct Given {
    memory: (u64, String),
    descriptors: (Option<u64>, String),
    /// What a connection with a stream is charged: a derived limit of memory has room for one.
    charge: u64,
}

impl Effective {
    pub(super) fn new(config: &Config, machine: &Machine) -> Self {
        let given = Given::new(config, machine);
        let mut limits = Self { caps: [Caps::UNLIMITED; KINDS.len()], rows: Vec::new() };
        for kind in KINDS {
            for resource in COUNTED.into_iter().filter(|resource| kind.counts(*resource)) {
                let (limit, key, why) = limits.one(config, &given, kind, resource);
                if let Some(caps) = limits.caps.get_mut(kind as usize) {
                    caps.set(resource, limit);
                }
                let limit = Limit { scope: kind.name().into(), resource, limit, key, why };
                limits.rows.push((kind, limit));
            }
        }
        limits
    }

    /// The rows of a listing.
    pub(super) fn rows(&self, allowlist: bool) -> impl Iterator<Item = &Limit> {
        self.rows.iter().filter(move |(kind, _)| allowlist || !kind.is_allowlisted()).map(|(_, limit)| limit)
    }

    /// The limits of a scope. There are some for each kind, and a kind that has none may hold nothing.
    pub(super) fn of(&self, kind: Kind) -> &Caps {
        self.caps.get(kind as usize).unwrap_or(&Caps::NOTHING)
    }

    pub(super) fn over(&self, kind: Kind, used: &Counts, take: &Counts, priority: Priority) -> Option<Over> {
        self.of(kind).over(used, take, priority)
    }

    /// The full path of the key of a limit.
    pub(super) fn key(&self, kind: Kind, resource: Resource) -> String {
        let row = self.rows.iter().find(|(k, limit)| *k == kind && limit.resource == resource);
        row.map_or_else(|| limit_key(kind, resource), |(_, limit)| limit.key.clone())
    }

    /// A limit with its key and where it comes from.
    fn one(
        &self,
        config: &Config,
        given: &Given,
        kind: Kind,
        resource: Resource,
    ) -> (Option<u64>, String, String) {
        let key = limit_key(kind, resource);
        if let Some(limit) = config.limits.of(kind).get(resource) {
            return (limit, key, "configured".into());
        }
        let (limit, key, mut why) = match (kind, resource) {
            (Kind::System, Resource::Memory) => {
                (Some(given.memory.0), format!("{TABLE}.max_memory"), given.memory.1.clone())
            }
            (Kind::System, Resource::Descriptors) => {
                (given.descriptors.0, format!("{TABLE}.max_descriptors"), given.descriptors.1.clone())
            }
            _ => {
                let Some(rule) = rule(kind, resource) else { return (None, key, "no limit".into()) };
                let (limit, why) = self.derived(rule, given, kind, resource);
                (limit, key, why)
            }
        };
        let limit = limit.map(|limit| self.fitted(config, kind, resource, limit, &mut why));
        (limit, key, why)
    }

    fn derived(&self, rule: Rule, given: &Given, kind: Kind, resource: Resource) -> (Option<u64>, String) {
        let memory = given.memory.0;
        match rule {
            Rule::Grows(limit, 0) => (Some(limit), "derived: the same on every machine".into()),
            Rule::Grows(base, step) => {
                let why = format!("derived: {base} + {step} for each GiB of max_memory");
                (Some(grown(base, step, memory)), why)
            }
            Rule::GrowsWithin(base, step, part) => {
                let (most, _) = self.derived(Rule::Part(part), given, kind, resource);
                let limit = grown(base, step, memory).min(most.unwrap_or(u64::MAX)).max(given.charge);
                let (base, step) = (rounded(base), rounded(step));
                let grows = format!("derived: {base} + {step} for each GiB of max_memory");
                (Some(limit), format!("{grows}, at most 1/{part} of the limit of `system`"))
            }
            Rule::Part(part) => {
                let system = system_of(kind);
                let limit = self.of(system).get(resource);
                let limit = limit.map(|limit| limit.checked_div(part).unwrap_or(limit).max(1));
                (limit, format!("derived: 1/{part} of the limit of `{}`", system.name()))
            }
            Rule::Total => {
                let limit = total(resource).and_then(|total| self.of(kind).get(total));
                (limit, "derived: as both directions together".into())
            }
        }
    }

    /// A derived limit between those around it, which may be set by hand.
    fn fitted(&self, config: &Config, kind: Kind, resource: Resource, limit: u64, why: &mut String) -> u64 {
        let mut fitted = limit;
        // A total has room for each direction that was set.
        for part in COUNTED.into_iter().filter(|part| total(*part) == Some(resource)) {
            if let Some(Some(set)) = config.limits.of(kind).get(part)
                && set > fitted
            {
                (fitted, *why) = (set, format!("derived: as {part}"));
            }
        }
        if let Some(most) = total(resource).and_then(|total| self.of(kind).get(total))
            && most < fitted
        {
            (fitted, *why) = (most, "derived: as both directions together".into());
        }
        let system = system_of(kind);
        if let Some(most) = self.of(system).get(resource)
            && kind != system
            && kind != Kind::AllowlistedSystem
            && most < fitted
        {
            (fitted, *why) = (most, format!("derived: as `{}`", system.name()));
        }
        fitted
    }
}

impl Given {
    fn new(config: &Config, machine: &Machine) -> Self {
        let memory = match (config.max_memory.0, machine.memory) {
            (Some(bytes), _) => (bytes, "configured".into()),
            (None, Some(bytes)) => (bytes / 8, format!("derived: 1/8 of {}", rounded(bytes))),
            (None, None) => (
                UNKNOWN_MEMORY / 8,
                "derived: 1/8 of 1.0 GiB, as the machine does not tell what it has".into(),
            ),
        };
        let descriptors = match (config.max_descriptors.0, machine.open_files) {
            (Some(number), _) => (Some(number), "configured".into()),
            (None, Some(u64::MAX)) => (None, "no limit: the process may open any number of files".into()),
            (None, Some(files)) => {
                (Some(files / 2), format!("derived: half of the {files} files that the process may open"))
            }
            (None, None) => (
                Some(UNKNOWN_OPEN_FILES / 2),
                format!("derived: half of {UNKNOWN_OPEN_FILES}, as the system does not tell its limit"),
            ),
        };
        let charge = [config.connection_memory.0, config.stream_memory.0];
        let charge = charge.into_iter().flatten().fold(0, u64::saturating_add);
        Self { memory, descriptors, charge }
    }
}

fn limit_key(kind: Kind, resource: Resource) -> String {
    format!("{TABLE}.limits.{}.{resource}", kind.name())
}

/// The system that a scope lies in; that of the allowed is half of the other, and comes on top.
fn system_of(kind: Kind) -> Kind {
    if kind == Kind::AllowlistedTransient { Kind::AllowlistedSystem } else { Kind::System }
}

/// By mebibytes, so that a fraction of a GiB counts as well.
fn grown(base: u64, step: u64, memory: u64) -> u64 {
    let more = u128::from(step) * u128::from(memory / MIB) / 1_024;
    base.saturating_add(u64::try_from(more).unwrap_or(u64::MAX))
}

/// The rule for a limit; `None` for what is bounded by wider scopes alone.
fn rule(kind: Kind, resource: Resource) -> Option<Rule> {
    use Resource::*;
    use Rule::*;
    let totals = match total(resource).unwrap_or(resource) {
        Connections => connections(kind),
        Streams => streams(kind),
        _ => None,
    };
    if let Some([inbound, outbound, both]) = totals {
        return Some(match resource {
            ConnectionsInbound | StreamsInbound => inbound,
            ConnectionsOutbound | StreamsOutbound => outbound,
            _ => both,
        });
    }
    match (kind, resource) {
        (Kind::Transient, Memory) => Some(GrowsWithin(32 * MIB, 128 * MIB, 4)),
        (Kind::Service | Kind::Peer, Memory) => Some(GrowsWithin(64 * MIB, 128 * MIB, 2)),
        (Kind::Protocol, Memory) => Some(GrowsWithin(64 * MIB, 164 * MIB, 2)),
        (Kind::ServicePeer | Kind::ProtocolPeer, Memory) => Some(GrowsWithin(16 * MIB, 4 * MIB, 4)),
        (Kind::Connection, Memory) => Some(GrowsWithin(32 * MIB, 64 * MIB, 4)),
        (Kind::Stream, Memory) => Some(GrowsWithin(16 * MIB, 0, 8)),
        (Kind::Transient, Descriptors) => Some(Part(2)),
        (Kind::Peer, Descriptors) => Some(Grows(8, 0)),
        (Kind::AllowlistedSystem | Kind::AllowlistedTransient, _) => {
            Some(if total(resource).is_some() { Total } else { Part(2) })
        }
        _ => None,
    }
}

/// Inbound, outbound, both.
fn connections(kind: Kind) -> Option<[Rule; 3]> {
    use Rule::Grows;
    match kind {
        Kind::System => Some([Grows(128, 1_024), Grows(256, 2_048), Grows(256, 2_048)]),
        Kind::Transient => Some([Grows(64, 64), Grows(160, 128), Grows(224, 192)]),
        Kind::Peer => Some([Grows(8, 0); 3]),
        _ => None,
    }
}

/// Inbound, outbound, both.
fn streams(kind: Kind) -> Option<[Rule; 3]> {
    use Rule::Grows;
    match kind {
        Kind::System => Some([Grows(1_024, 8_192), Grows(2_048, 16_384), Grows(2_048, 16_384)]),
        Kind::Transient => Some([Grows(128, 512), Grows(256, 1_024), Grows(256, 1_024)]),
        Kind::Service => Some([Grows(1_024, 4_096), Grows(2_048, 8_192), Grows(2_048, 8_192)]),
        Kind::Protocol => Some([Grows(512, 2_048), Grows(2_048, 4_096), Grows(2_048, 4_096)]),
        Kind::Peer => Some([Grows(256, 128), Grows(512, 256), Grows(512, 256)]),
        Kind::ServicePeer => Some([Grows(128, 4), Grows(256, 8), Grows(256, 8)]),
        Kind::ProtocolPeer => Some([Grows(64, 4), Grows(128, 8), Grows(256, 16)]),
        _ => None,
    }
}
