//! The start times of addresses that race with each other in one lane.

use skep_api::{
    Multiaddr,
    address::{self, Carrier},
    ranker::DialCandidate,
};
use std::{cmp::Reverse, time::Duration};

/// How fast a lane goes.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// Between one start and the next.
    pub(super) delay: Duration,
    /// Between the last of QUIC and TCP and the first of the other transports.
    pub(super) other_delay: Duration,
}

/// An address with all that its place depends on.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) addr: Multiaddr,
    pub(super) worked: bool,
    carrier: Carrier,
    family: Option<Family>,
    port: Option<u16>,
    text: String,
}

/// The family of an IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V6,
    V4,
}

/// An address and when it starts.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) at: Duration,
    pub(super) head_start: Duration,
    pub(super) candidate: Candidate,
}

/// Transports that are tried together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    Quic,
    Tcp,
    Other,
}

impl Candidate {
    pub(super) fn new(candidate: DialCandidate) -> Self {
        let DialCandidate { addr, worked, .. } = candidate;
        let family = |ip: std::net::IpAddr| if ip.to_canonical().is_ipv4() { Family::V4 } else { Family::V6 };
        Self {
            worked,
            carrier: address::carrier(&addr),
            family: address::ip(&addr).map(family),
            port: address::port(&addr),
            text: addr.to_string(),
            addr,
        }
    }

    fn group(&self) -> Group {
        match self.carrier {
            Carrier::QuicV1 | Carrier::QuicDraft | Carrier::WebTransport => Group::Quic,
            Carrier::Tcp | Carrier::WebSocket => Group::Tcp,
            Carrier::Other => Group::Other,
        }
    }
}

/// When each address of a lane starts, in order.
///
/// QUIC starts at once. TCP follows one delay behind, and two delays after the start at the latest, however many
/// QUIC addresses there are: where UDP is blocked, they only cost time. The rest follows `other_delay` behind.
pub(super) fn lay_out(candidates: Vec<Candidate>, pace: &Pace) -> Vec<Start> {
    let latest_tcp = pace.delay.saturating_mul(2);
    let mut starts: Vec<Start> = Vec::with_capacity(candidates.len());
    for (group, members) in groups(candidates) {
        let begin = match (starts.last().map(|start| start.at), group) {
            (None, _) => Duration::ZERO,
            (Some(last), Group::Other) => last.saturating_add(pace.other_delay),
            (Some(last), _) => last.saturating_add(pace.delay).min(latest_tcp),
        };
        // The first alone, then the second, then all others together: a long list must not make a long wait.
        let steps = [0, 1].into_iter().chain(std::iter::repeat(2));
        starts.extend(members.into_iter().zip(steps).map(|(candidate, step)| Start {
            at: begin.saturating_add(pace.delay.saturating_mul(step)),
            // Over TCP a connection that stands is half the way; over QUIC it is the whole.
            head_start: if candidate.group() == Group::Tcp { pace.delay } else { Duration::ZERO },
            candidate,
        }));
    }
    starts
}

/// The groups that are not empty, in the order in which they start. What has worked leads the first of them,
/// whatever it goes over.
fn groups(mut candidates: Vec<Candidate>) -> Vec<(Group, Vec<Candidate>)> {
    candidates.sort_unstable_by(|a, b| {
        let key = |c: &Candidate| (Reverse(c.worked), c.carrier, c.port);
        key(a).cmp(&key(b)).then_with(|| a.text.cmp(&b.text))
    });
    let (worked, unknown): (Vec<_>, Vec<_>) = interleave(candidates).into_iter().partition(|c| c.worked);
    let (quic, rest): (Vec<_>, Vec<_>) = unknown.into_iter().partition(|c| c.group() == Group::Quic);
    let (tcp, other): (Vec<_>, Vec<_>) = rest.into_iter().partition(|c| c.group() == Group::Tcp);

    let head = if quic.is_empty() { Group::Tcp } else { Group::Quic };
    let mut groups = vec![(Group::Quic, quic), (Group::Tcp, tcp), (Group::Other, other)];
    for (group, members) in &mut groups {
        if *group == head {
            members.splice(0..0, worked);
            break;
        }
    }
    groups.retain(|(_, members)| !members.is_empty());
    for (_, members) in &mut groups {
        let second = members.get(1).map(|c| c.worked);
        bring_other_family_second(members, second);
    }
    groups
}

/// Takes the families in turns, IPv6 first, among addresses of one carrier that are next to each other.
fn interleave(sorted: Vec<Candidate>) -> Vec<Candidate> {
    let mut all = Vec::with_capacity(sorted.len());
    let mut rest = sorted.into_iter().peekable();
    while let Some(first) = rest.next() {
        let kind = (first.worked, first.carrier);
        let mut run = vec![first];
        while let Some(next) = rest.next_if(|c| (c.worked, c.carrier) == kind) {
            run.push(next);
        }
        let (v6, run): (Vec<_>, Vec<_>) = run.into_iter().partition(|c| c.family == Some(Family::V6));
        let (v4, no_ip): (Vec<_>, Vec<_>) = run.into_iter().partition(|c| c.family == Some(Family::V4));
        let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
        loop {
            let before = all.len();
            all.extend(v6.next());
            all.extend(v4.next());
            if all.len() == before {
                break;
            }
        }
        all.extend(no_ip);
    }
    all
}

/// Moves the first address of the family that the leader is not of to the second place, where only a later
/// carrier has one: a host whose IPv6 leads nowhere finds out after one delay.
fn bring_other_family_second(members: &mut [Candidate], worked: Option<bool>) {
    let Some(leader) = members.first().and_then(|c| c.family) else { return };
    let other = |c: &Candidate| Some(c.worked) == worked && c.family.is_some_and(|family| family != leader);
    let found = members.iter().skip(1).position(other);
    if let Some(between) = found.and_then(|n| members.get_mut(1..=n.saturating_add(1))) {
        between.rotate_right(1);
    }
}
