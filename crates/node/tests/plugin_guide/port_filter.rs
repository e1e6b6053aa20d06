//! `port_filter`: dials no address with a port that is denied.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{
    Multiaddr, PluginConfig, Problems,
    gate::{Checkpoint, Denial, Gate, GateCx, Verdict},
    multiaddr::Protocol,
};
use std::sync::Arc;

skep_api::register_gate! {
    name: "port_filter",
    summary: "dials no address with a port that is denied",
    example: "deny = [25, 443]",
    config: Config,
    build: |config, _cx| Ok(Arc::new(PortFilter { deny: config.deny })),
}

/// The keys of `[gate.port_filter]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Ports that are not dialled, 1 to 65535. Default none.
    pub deny: Vec<u16>,
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        for (i, port) in self.deny.iter().enumerate() {
            problems.range(&format!("deny[{i}]"), (*port).into(), 1..=65_535);
        }
    }
}

/// The gate.
#[derive(Debug)]
pub struct PortFilter {
    deny: Vec<u16>,
}

impl Gate for PortFilter {
    fn check(&self, point: &Checkpoint<'_>, _cx: &GateCx<'_>) -> Verdict {
        let Checkpoint::AddrDial { addr, .. } = point else { return Verdict::Allow };
        match port(addr).filter(|port| self.deny.contains(port)) {
            Some(port) => Verdict::Deny(Denial::new(format!("deny = {port}"), "the port is denied")),
            None => Verdict::Allow,
        }
    }
}

fn port(addr: &Multiaddr) -> Option<u16> {
    addr.iter().find_map(|part| match part {
        Protocol::Tcp(port) | Protocol::Udp(port) => Some(port),
        _ => None,
    })
}
