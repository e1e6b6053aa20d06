//! The table of names: how it is read, and how names are found in it.

use super::super::walk::MAX_RECORD_LEN;
use serde::{
    Deserializer,
    de::{Error, MapAccess, Visitor},
};
use skep_api::{Multiaddr, Problems, resolver::MAX_OUTPUTS};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Where DNS keeps the records of `/dnsaddr/<name>`.
const PREFIX: &str = "_dnsaddr.";
/// Longest name of DNS, in bytes.
const MAX_NAME_LEN: usize = 253;

/// Names in lower case and without the dot at their end.
#[derive(Debug, Default)]
pub(super) struct Table {
    hosts: HashMap<String, Host>,
    records: HashMap<String, Vec<Vec<u8>>>,
}

/// The addresses of one name.
#[derive(Debug, Default)]
pub(super) struct Host {
    pub(super) v4: Vec<Ipv4Addr>,
    pub(super) v6: Vec<Ipv6Addr>,
}

impl Table {
    pub(super) fn new(
        hosts: &BTreeMap<String, Vec<String>>,
        dnsaddr: &BTreeMap<String, Vec<String>>,
    ) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut table = Self::default();
        for (name, ips) in read_all("hosts", hosts, parse_ip, &mut problems) {
            let host = table.hosts.entry(name).or_default();
            for ip in ips {
                match ip {
                    IpAddr::V4(ip) => host.v4.push(ip),
                    IpAddr::V6(ip) => host.v6.push(ip),
                }
            }
        }
        table.records = read_all("dnsaddr", dnsaddr, parse_record, &mut problems);
        if problems.is_empty() { Ok(table) } else { Err(problems) }
    }

    pub(super) fn ips(&self, name: &str) -> Option<&Host> {
        self.hosts.get(&canonical(name))
    }

    /// The records of a name as DNS has it, with the prefix.
    pub(super) fn records(&self, name: &str) -> Option<&[Vec<u8>]> {
        self.records.get(canonical(name).strip_prefix(PREFIX)?).map(Vec::as_slice)
    }
}

/// Reads a map of names to lists. An entry of another type is told with its name.
pub(super) fn entries<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Vec<String>>, D::Error> {
    struct Entries;
    impl<'de> Visitor<'de> for Entries {
        type Value = BTreeMap<String, Vec<String>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table of names")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut all = BTreeMap::new();
            while let Some(name) = map.next_key::<String>()? {
                let list = map.next_value().map_err(|e| A::Error::custom(format!("\"{name}\": {e}")))?;
                all.insert(name, list);
            }
            Ok(all)
        }
    }
    deserializer.deserialize_map(Entries)
}

/// The usable entries of one key; what is wrong is noted with its place.
fn read_all<T>(
    key: &str,
    entries: &BTreeMap<String, Vec<String>>,
    parse: fn(&str) -> Result<T, (String, String)>,
    problems: &mut Problems,
) -> HashMap<String, Vec<T>> {
    let mut all = HashMap::new();
    for (name, texts) in entries {
        let place = format!("{key}.\"{name}\"");
        if let Err((problem, help)) = check(name, texts.len()) {
            problems.add(&place, problem, help);
        }
        let mut found = Vec::with_capacity(texts.len());
        for (at, text) in texts.iter().enumerate() {
            match parse(text) {
                Ok(value) => found.push(value),
                Err((problem, help)) => problems.add(&format!("{place}[{at}]"), problem, help),
            }
        }
        if all.insert(canonical(name), found).is_some() {
            let help = "names differ in more than case and the dot at their end; put the lists together";
            problems.add(&place, format!("\"{name}\" is in the table twice"), help);
        }
    }
    all
}

/// Whether a name can be asked for, and its list is of a length that comes back whole.
fn check(name: &str, entries: usize) -> Result<(), (String, String)> {
    let bare = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| (1..=63).contains(&label.len()) && !label.contains(['/', ' ']);
    if bare.len() > MAX_NAME_LEN || !bare.split('.').all(label) || bare.contains(char::is_control) {
        return Err((format!("{name:?} is not a name"), "a name of DNS, such as \"node1.test\"".into()));
    }
    if let Some(rest) = canonical(name).strip_prefix(PREFIX) {
        return Err((format!("\"{name}\" begins with `{PREFIX}`"), format!("write \"{rest}\"")));
    }
    if !(1..=MAX_OUTPUTS).contains(&entries) {
        return Err((
            format!("\"{name}\" has {entries} addresses"),
            format!("allowed: 1 to {MAX_OUTPUTS}, or leave the name out"),
        ));
    }
    Ok(())
}

fn parse_ip(text: &str) -> Result<IpAddr, (String, String)> {
    let help = || "an IP address, such as \"192.0.2.7\" or \"2001:db8::1\"".to_string();
    text.parse().map_err(|_| (format!("\"{text}\" is not an IP address"), help()))
}

/// A record as DNS would have it.
fn parse_record(text: &str) -> Result<Vec<u8>, (String, String)> {
    let help = || "an address, such as \"/ip4/192.0.2.7/tcp/4001/p2p/12D3KooW…\"".to_string();
    let addr: Multiaddr = text.parse().map_err(|e| (format!("\"{text}\" is not an address: {e}"), help()))?;
    if addr.is_empty() {
        return Err(("\"\" is not an address".into(), help()));
    }
    let record = format!("dnsaddr={addr}").into_bytes();
    if record.len() > MAX_RECORD_LEN {
        let problem = format!("an address of {} bytes is too long", text.len());
        return Err((problem, format!("allowed: up to {MAX_RECORD_LEN} bytes with `dnsaddr=` before it")));
    }
    Ok(record)
}

fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}
