//! The way from an address with names to addresses without, over answers that cannot be trusted.
//!
//! Names are looked up at the same time. One that fails or never answers costs no more than itself: what the
//! others gave is returned, and an error only if none gave anything.

use super::lookup::Lookup;
use futures::stream::{FuturesUnordered, StreamExt};
use skep_api::{
    Multiaddr, escape,
    multiaddr::Protocol,
    resolver::{MAX_OUTPUTS, ResolveError, ResolveErrorKind},
};
use std::{net::IpAddr, time::Duration};

/// Most `dnsaddr` records that may lead from one to the next.
pub(super) const MAX_HOPS: usize = 4;
/// Most questions for one address.
pub(super) const MAX_LOOKUPS: usize = 32;
/// Most TXT records of one name that are looked at.
pub(super) const MAX_RECORDS: usize = 256;
/// Longest TXT record that is looked at, in bytes.
pub(super) const MAX_RECORD_LEN: usize = 1024;

/// Resolves all names in `addr`, with what is known when `timeout` is over.
pub(super) async fn resolve(
    lookup: &dyn Lookup,
    addr: &Multiaddr,
    timeout: Duration,
) -> Result<Vec<Multiaddr>, ResolveError> {
    let mut walk = Walk { lookup, lookups_left: MAX_LOOKUPS, found: Vec::new(), failure: None };
    if tokio::time::timeout(timeout, walk.run(addr)).await.is_err() {
        let detail = format!("{} did not resolve within {timeout:?}", shown(addr));
        walk.note(ResolveError::new(ResolveErrorKind::Unavailable, detail));
    }
    walk.finish(addr)
}

/// An address on its way, with its place in the order of the records that led to it.
struct Step {
    addr: Multiaddr,
    hops: usize,
    order: Vec<usize>,
}

/// A component that has to be looked up.
enum Name {
    Any(String),
    V4(String),
    V6(String),
    Dnsaddr(String),
}

struct Walk<'a> {
    lookup: &'a dyn Lookup,
    lookups_left: usize,
    found: Vec<Step>,
    failure: Option<ResolveError>,
}

impl Walk<'_> {
    async fn run(&mut self, addr: &Multiaddr) {
        let lookup = self.lookup;
        let mut asked = FuturesUnordered::new();
        let mut ready = vec![Step { addr: addr.clone(), hops: 0, order: Vec::new() }];
        loop {
            for step in ready.drain(..) {
                match first_name(&step.addr) {
                    None => self.keep(step),
                    Some((at, name)) if self.may_ask(&name, &step) => {
                        asked.push(expand(lookup, step, at, name));
                    }
                    Some(_) => {}
                }
            }
            match asked.next().await {
                Some(Ok(steps)) => ready = steps,
                Some(Err(error)) => self.note(error),
                None => return,
            }
        }
    }

    fn keep(&mut self, step: Step) {
        if self.found.len() < MAX_OUTPUTS && !self.found.iter().any(|known| known.addr == step.addr) {
            self.found.push(step);
        }
    }

    /// Whether the limits leave room for one more name; takes from them if so.
    fn may_ask(&mut self, name: &Name, step: &Step) -> bool {
        let cost = if matches!(name, Name::Any(_)) { 2 } else { 1 };
        let detail = if matches!(name, Name::Dnsaddr(_)) && step.hops >= MAX_HOPS {
            format!("{} is more than {MAX_HOPS} records away", shown(&step.addr))
        } else if self.lookups_left < cost {
            format!("{} would take more than {MAX_LOOKUPS} lookups", shown(&step.addr))
        } else {
            self.lookups_left = self.lookups_left.saturating_sub(cost);
            return true;
        };
        self.note(ResolveError::new(ResolveErrorKind::Limit, detail));
        false
    }

    /// Keeps the failure that tells most.
    fn note(&mut self, error: ResolveError) {
        self.failure = Some(match self.failure.take() {
            Some(known) => more_telling(known, error),
            None => error,
        });
    }

    fn finish(mut self, addr: &Multiaddr) -> Result<Vec<Multiaddr>, ResolveError> {
        if self.found.is_empty() {
            return Err(self
                .failure
                .unwrap_or_else(|| ResolveError::new(ResolveErrorKind::NotFound, shown(addr))));
        }
        self.found.sort_by(|a, b| a.order.cmp(&b.order));
        Ok(self.found.into_iter().map(|step| step.addr).collect())
    }
}

/// The first component of `addr` that is a name, and its position.
fn first_name(addr: &Multiaddr) -> Option<(usize, Name)> {
    addr.iter().enumerate().find_map(|(at, part)| {
        let name = match part {
            Protocol::Dns(name) => Name::Any(name.into_owned()),
            Protocol::Dns4(name) => Name::V4(name.into_owned()),
            Protocol::Dns6(name) => Name::V6(name.into_owned()),
            Protocol::Dnsaddr(name) => Name::Dnsaddr(name.into_owned()),
            _ => return None,
        };
        Some((at, name))
    })
}

/// Looks up the name at position `at` of a step: the steps that follow from it.
async fn expand(lookup: &dyn Lookup, step: Step, at: usize, name: Name) -> Result<Vec<Step>, ResolveError> {
    let (addrs, hops) = match name {
        Name::V4(name) => (with_ips(&step.addr, at, lookup.ipv4(&name).await?), step.hops),
        Name::V6(name) => (with_ips(&step.addr, at, lookup.ipv6(&name).await?), step.hops),
        Name::Any(name) => (with_ips(&step.addr, at, both(lookup, &name).await?), step.hops),
        Name::Dnsaddr(name) => {
            let records = lookup.txt(&format!("_dnsaddr.{name}")).await?;
            (with_records(&step.addr, at, &name, &records)?, step.hops.saturating_add(1))
        }
    };
    let place = |n| step.order.iter().copied().chain([n]).collect();
    Ok(addrs.into_iter().enumerate().map(|(n, addr)| Step { addr, hops, order: place(n) }).collect())
}

/// The addresses of both families; one of them is enough.
async fn both(lookup: &dyn Lookup, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
    match tokio::join!(lookup.ipv6(name), lookup.ipv4(name)) {
        (Err(v6), Err(v4)) => Err(more_telling(v4, v6)),
        (v6, v4) => {
            let v6 = v6.into_iter().flatten().take(MAX_OUTPUTS / 2).map(IpAddr::V6);
            Ok(v6.chain(v4.into_iter().flatten().map(IpAddr::V4)).collect())
        }
    }
}

/// `addr` once for each IP, which stands in the place of the name.
fn with_ips(addr: &Multiaddr, at: usize, ips: impl IntoIterator<Item = impl Into<IpAddr>>) -> Vec<Multiaddr> {
    let addr = with_name_for_tls(addr, at);
    let put = |ip: IpAddr| {
        let ip = Protocol::from(ip);
        addr.iter().enumerate().map(|(n, part)| if n == at { ip.clone() } else { part }).collect()
    };
    ips.into_iter().take(MAX_OUTPUTS).map(|ip| put(ip.into())).collect()
}

/// `addr` with the name at position `at` once more where TLS asks for it: a certificate is for a name, and the IP
/// address that replaces it does not tell. `/tls/ws` and `/wss` become `/tls/sni/<name>/ws`.
fn with_name_for_tls(addr: &Multiaddr, at: usize) -> Multiaddr {
    let parts: Vec<_> = addr.iter().collect();
    let (head, tail) = parts.split_at(parts.len().min(at.saturating_add(2)));
    let Some([Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name), Protocol::Tcp(_)]) =
        head.get(at..)
    else {
        return addr.clone();
    };
    let ([Protocol::Tls, Protocol::Ws(path), rest @ ..] | [Protocol::Wss(path), rest @ ..]) = tail else {
        return addr.clone();
    };
    let secured = [Protocol::Tls, Protocol::Sni(name.clone()), Protocol::Ws(path.clone())];
    head.iter().chain(&secured).chain(rest).cloned().collect()
}

/// `addr` once for each usable record of `name`.
///
/// Between the name and a relay hop stands what the records have to end in; the relay hop and what follows
/// are about the peer behind the relay, which the records do not name, and go on behind the record.
fn with_records(
    addr: &Multiaddr,
    at: usize,
    name: &str,
    records: &[Vec<u8>],
) -> Result<Vec<Multiaddr>, ResolveError> {
    let before = || addr.iter().take(at);
    let rest = || addr.iter().skip(at.saturating_add(1));
    let suffix: Vec<_> = rest().take_while(|part| *part != Protocol::P2pCircuit).collect();
    let relayed: Vec<_> = rest().skip(suffix.len()).collect();

    let readable: Vec<_> =
        records.iter().take(MAX_RECORDS).filter_map(|record| read_record(record)).collect();
    if readable.is_empty() {
        let detail =
            format!("_dnsaddr.{}: {} TXT records, none is an address", escape::remote(name), records.len());
        return Err(ResolveError::new(ResolveErrorKind::BadRecord, detail));
    }
    let matching = readable.iter().filter(|record| record.iter().collect::<Vec<_>>().ends_with(&suffix));
    let join = |record: &Multiaddr| before().chain(record).chain(relayed.iter().cloned()).collect();
    let addrs: Vec<_> = matching.take(MAX_OUTPUTS).map(join).collect();
    if addrs.is_empty() {
        let suffix: Multiaddr = suffix.into_iter().collect();
        let detail = format!(
            "none of the {} records of _dnsaddr.{} ends in {}",
            readable.len(),
            escape::remote(name),
            shown(&suffix)
        );
        return Err(ResolveError::new(ResolveErrorKind::NotFound, detail));
    }
    Ok(addrs)
}

/// The address in a record of the form `dnsaddr=<multiaddr>`. Names have other TXT records too.
fn read_record(record: &[u8]) -> Option<Multiaddr> {
    let text = std::str::from_utf8(record).ok().filter(|text| text.len() <= MAX_RECORD_LEN)?;
    text.strip_prefix("dnsaddr=")?.trim().parse().ok().filter(|addr: &Multiaddr| !addr.is_empty())
}

/// Of two failures the one to report: a server that was silent may still have the answer.
fn more_telling(first: ResolveError, second: ResolveError) -> ResolveError {
    let weight = |error: &ResolveError| match error.kind() {
        ResolveErrorKind::Unavailable => 3,
        ResolveErrorKind::Limit => 2,
        ResolveErrorKind::BadRecord => 1,
        _ => 0,
    };
    if weight(&second) > weight(&first) { second } else { first }
}

fn shown(addr: &Multiaddr) -> String {
    escape::remote(&addr.to_string())
}

#[cfg(test)]
mod tests;
