//! A gate, a pruner and a resolver.

use async_trait::async_trait;
use serde_json::{Map, Value};
use skep_api::{
    ConfigErrors, ConfigSection, Multiaddr, Problems,
    gate::{Checkpoint, Denial, Gate, GateCx, Verdict},
    multiaddr::Protocol,
    pruner::{Marks, PruneCandidate, Pruner, Snapshot, Victim},
    resolver::{ResolveError, ResolveErrorKind, Resolver},
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GateFault {
    Nothing,
    EachObjectHasALotOfItsOwn,
    DenialsNameNoRule,
    DenialsNameNoKey,
    BadRulesAreSkipped,
    LocalhostIsLookedUp,
    StreamsNeedARule,
    JudgingAgainIsCounted,
}

/// Denies the addresses of its list.
#[derive(Debug)]
pub(crate) struct Blocklist {
    fault: GateFault,
    denied: Vec<IpAddr>,
    again: AtomicUsize,
    lot: usize,
}

impl Blocklist {
    pub(crate) fn build(fault: GateFault, table: Map<String, Value>) -> Result<Arc<dyn Gate>, ConfigErrors> {
        static LOTS: AtomicUsize = AtomicUsize::new(0);
        let section = ConfigSection::from_table("gate.blocklist", table);
        let rules = section.table().get("deny").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut denied = Vec::new();
        for rule in rules {
            match rule.as_str().unwrap_or_default().parse() {
                Ok(ip) => denied.push(ip),
                Err(_) if fault == GateFault::BadRulesAreSkipped => {}
                Err(_) => return Err(Problems::one("deny", format!("{rule} is no address"), "").at(&section)),
            }
        }
        let lot = if fault == GateFault::EachObjectHasALotOfItsOwn { LOTS.fetch_add(1, Relaxed) } else { 0 };
        Ok(Arc::new(Self { fault, denied, again: AtomicUsize::new(0), lot }))
    }

    fn is_denied(&self, remote: &Multiaddr) -> bool {
        remote.iter().any(|part| match part {
            Protocol::Ip4(ip) => self.denied.contains(&ip.into()),
            Protocol::Ip6(ip) => self.denied.contains(&ip.into()),
            Protocol::Dns6(name) if self.fault == GateFault::LocalhostIsLookedUp && name == "localhost" => {
                self.denied.contains(&Ipv6Addr::LOCALHOST.into())
            }
            _ => false,
        })
    }
}

impl Gate for Blocklist {
    fn check(&self, point: &Checkpoint<'_>, _cx: &GateCx<'_>) -> Verdict {
        let Some(remote) = point.remote() else { return Verdict::Allow };
        let again = match point {
            Checkpoint::Again { .. } => self.again.fetch_add(1, Relaxed),
            _ => self.again.load(Relaxed),
        };
        let denied = self.is_denied(remote);
        let deny = match (self.fault, point) {
            (GateFault::EachObjectHasALotOfItsOwn, _) => denied && self.lot.is_multiple_of(2),
            (GateFault::StreamsNeedARule, Checkpoint::Stream { .. }) => denied || self.denied.is_empty(),
            (GateFault::JudgingAgainIsCounted, Checkpoint::Link { .. }) => denied || again > 3,
            _ => denied,
        };
        match (deny, self.fault) {
            (true, GateFault::DenialsNameNoRule) => Verdict::Deny(Denial::new("", "no")),
            (true, GateFault::DenialsNameNoKey) => Verdict::Deny(Denial::new("some rule", "no")),
            (true, _) => Verdict::Deny(Denial::new(format!("deny = {remote}"), "the address is on the list")),
            (false, _) => Verdict::Allow,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PrunerFault {
    Nothing,
    RanksNothing,
    VictimsComeTwice,
    EachAnswerIsAnother,
    OrderDecides,
    ScoresAreEmpty,
    MarksMove,
    MarksAreReversed,
}

/// Ranks by value.
#[derive(Debug)]
pub(crate) struct ByValue {
    pub(crate) fault: PrunerFault,
    pub(crate) asked: AtomicUsize,
}

impl Pruner for ByValue {
    fn rank(&self, snapshot: &Snapshot) -> Vec<Victim> {
        let fault = self.fault;
        let asked = self.asked.fetch_add(1, Relaxed);
        if fault == PrunerFault::RanksNothing {
            return Vec::new();
        }
        let mut order: Vec<_> = snapshot.connections.iter().collect();
        if fault != PrunerFault::OrderDecides {
            order.sort_by_key(|c| (c.value, c.connection.id));
        }
        let victim = |c: &&PruneCandidate| {
            let score = match fault {
                PrunerFault::EachAnswerIsAnother => vec![("asked", asked.to_string())],
                PrunerFault::ScoresAreEmpty => Vec::new(),
                _ => vec![("value", c.value.to_string())],
            };
            Victim::new(c.connection.id, score)
        };
        let mut victims: Vec<_> = order.iter().map(victim).collect();
        if fault == PrunerFault::VictimsComeTwice {
            victims.extend(victims.clone());
        }
        victims
    }

    fn marks(&self) -> Marks {
        let (low, high) = match self.fault {
            PrunerFault::MarksMove => (2, 4 + self.asked.fetch_add(1, Relaxed)),
            PrunerFault::MarksAreReversed => (4, 2),
            _ => (2, 4),
        };
        Marks { low, high, grace: Duration::from_secs(60), silence: Duration::from_secs(10) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResolverFault {
    Nothing,
    PlainAddressesLoseTheirPeer,
    UnknownNamesAreEmpty,
    ResultsKeepTheirName,
    LoopsAreFollowed,
    LoopsGiveOneAddressEachTime,
}

/// Knows `localhost`, and `loop.test` that leads to itself.
#[derive(Debug)]
pub(crate) struct Localhost(pub(crate) ResolverFault);

#[async_trait]
impl Resolver for Localhost {
    async fn resolve(&self, addr: &Multiaddr) -> Result<Vec<Multiaddr>, ResolveError> {
        let name = addr.iter().find_map(|part| match part {
            Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) | Protocol::Dnsaddr(name) => {
                Some(name.to_string())
            }
            _ => None,
        });
        match name.as_deref() {
            None if self.0 == ResolverFault::PlainAddressesLoseTheirPeer => {
                Ok(vec![addr.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect()])
            }
            None => Ok(vec![addr.clone()]),
            Some("localhost") if self.0 == ResolverFault::ResultsKeepTheirName => Ok(vec![addr.clone()]),
            Some("localhost") => {
                Ok(vec![addr.replace(0, |_| Some(Protocol::Ip4(Ipv4Addr::LOCALHOST))).unwrap()])
            }
            Some("loop.test") => {
                let mut found = Vec::new();
                for turn in 0u16.. {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    found.push(Multiaddr::empty().with(Protocol::Tcp(turn)));
                    match self.0 {
                        ResolverFault::LoopsAreFollowed => found.clear(),
                        ResolverFault::LoopsGiveOneAddressEachTime if turn == 200 => return Ok(found),
                        ResolverFault::LoopsGiveOneAddressEachTime => {}
                        _ => break,
                    }
                }
                Err(ResolveError::new(ResolveErrorKind::Limit, "loop.test"))
            }
            Some(_) if self.0 == ResolverFault::UnknownNamesAreEmpty => Ok(Vec::new()),
            Some(name) => Err(ResolveError::new(ResolveErrorKind::NotFound, name)),
        }
    }
}
