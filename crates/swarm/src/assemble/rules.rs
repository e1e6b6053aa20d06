//! Rules across plugins: what none of them can check by itself.
//!
//! A rule about a layer is skipped if something of the layer is broken already: that has been reported, and a
//! second error would only follow from it.

use super::{Plan, build::Built, references::stack_key, resources, security, services};
use crate::{
    profile::{KeyPath, Profile},
    settings::Settings,
};
use skep_api::{ConfigError, config::ValueOrigin};

/// What the rules look at.
pub(super) struct Facts<'a> {
    pub(super) profile: &'a Profile,
    pub(super) plan: &'a Plan,
    pub(super) built: &'a Built,
    pub(super) settings: Option<&'a Settings>,
    pub(super) fd_limit: Option<u64>,
}

impl Facts<'_> {
    /// Whether there is a transport of which each connection has a file descriptor of its own. Those whose links come
    /// muxed share a few sockets.
    pub(super) fn have_descriptors(&self) -> bool {
        self.built.stack.transports.iter().any(|t| !t.object.capabilities().muxed)
    }
}

/// Applies all rules; what is no mistake, but not what one would expect, comes back in words.
pub(super) fn check(facts: &Facts<'_>, errors: &mut Vec<ConfigError>) -> Vec<String> {
    if !facts.built.broken.contains("transport") {
        errors.extend(no_transport(facts));
        errors.extend(raw_links(facts));
        errors.extend(unserved_addresses(facts));
        errors.extend(listeners_that_lack(facts));
        errors.extend(unprotected_transports(facts));
    }
    if let Some(settings) = facts.settings {
        errors.extend(marks_below_cap(facts, settings));
        errors.extend(cap_below_fd_limit(facts, settings));
        errors.extend(services::check(facts, settings));
        errors.extend(nowhere_to_keep_tags(facts, settings));
        errors.extend(security::insecure_without_consent(facts, settings));
        let found = resources::check(facts, settings);
        errors.extend(found.errors);
        return found.notes;
    }
    Vec::new()
}

fn no_transport(facts: &Facts<'_>) -> Option<ConfigError> {
    let help = "name at least one in [stack] transports, such as [\"tcp\"]";
    facts.built.stack.transports.is_empty().then(|| {
        error(facts.profile, &stack_key("transports"), "no transport: the node could reach nobody", help)
    })
}

/// A raw transport needs the layers above it.
fn raw_links(facts: &Facts<'_>) -> Vec<ConfigError> {
    let stack = &facts.built.stack;
    let Some(raw) = stack.transports.iter().find(|t| !t.object.capabilities().muxed) else {
        return Vec::new();
    };
    let needs = [
        ("security", "security", "a security layer", stack.security.is_empty()),
        ("muxer", "muxers", "a muxer", stack.muxers.is_empty()),
    ];
    let missing = needs.iter().filter(|(layer, _, _, empty)| *empty && !facts.built.broken.contains(layer));
    let errors = missing.map(|(_, key, what, _)| {
        let problem = format!("transport `{}` makes raw links, which need {what}", raw.name);
        let help = format!("name at least one in [stack] {key}; `skep plugins` lists those that are linked");
        error(facts.profile, &stack_key(key), problem, help)
    });
    errors.collect()
}

/// A private network has no member that it cannot keep to itself.
fn unprotected_transports(facts: &Facts<'_>) -> Vec<ConfigError> {
    let stack = &facts.built.stack;
    let Some(protector) = &stack.protector else { return Vec::new() };
    let unprotected = stack.transports.iter().filter(|t| t.object.capabilities().muxed);
    let errors = unprotected.map(|transport| {
        let (transport, protector) = (&transport.name, &protector.name);
        let problem = format!(
            "transport `{transport}` secures its links by itself, so that `{protector}` cannot keep them within the private network"
        );
        let help = format!("remove \"{transport}\" and its addresses in `listen`, or `protector` in [stack]");
        error(facts.profile, &stack_key("transports"), problem, help)
    });
    errors.collect()
}

fn unserved_addresses(facts: &Facts<'_>) -> Vec<ConfigError> {
    let transports = &facts.built.stack.transports;
    if transports.is_empty() {
        return Vec::new();
    }
    let names = transports.iter().map(|t| t.name.as_str()).collect::<Vec<_>>().join(", ");
    let unserved =
        facts.plan.listen.iter().filter(|addr| !transports.iter().any(|t| t.object.supports(addr)));
    let errors = unserved.map(|addr| {
        let help = format!("transports in [stack]: {names}; add one that serves it, or remove the address");
        let problem = format!("no transport serves \"{addr}\"");
        error(facts.profile, &KeyPath::new(["listen"]), problem, help)
    });
    errors.collect()
}

/// What a transport needs for an address that it serves, such as a certificate.
fn listeners_that_lack(facts: &Facts<'_>) -> Vec<ConfigError> {
    let transports = &facts.built.stack.transports;
    let lacking = facts.plan.listen.iter().filter_map(|addr| {
        let transport = transports.iter().find(|t| t.object.supports(addr))?;
        let problem = transport.object.check_listen(addr).err()?;
        let table = KeyPath::new(["transport", transport.name.as_str()]);
        let help = format!("complete [{table}], or remove the address");
        let problem = format!("transport `{}`: {problem}", transport.name);
        Some(error(facts.profile, &KeyPath::new(["listen"]), problem, help))
    });
    lacking.collect()
}

/// The pruner has to act before the hard cap does.
fn marks_below_cap(facts: &Facts<'_>, settings: &Settings) -> Option<ConfigError> {
    let pruner = facts.built.stack.pruner.as_ref()?;
    let (cap, high) = (settings.max_connections, pruner.object.marks().high);
    if u64::try_from(high).is_ok_and(|high| high < cap.into()) {
        return None;
    }
    let cap_path = KeyPath::new(["swarm", "max_connections"]);
    let table = KeyPath::new(["pruner", pruner.name.as_str()]);
    let help = format!("raise swarm.max_connections, or lower the marks in [{table}]");
    // The one that was set last is the likelier mistake.
    if rank(&facts.profile.origin(&table)) > rank(&facts.profile.origin(&cap_path)) {
        let problem = format!("the high mark {high} is not below swarm.max_connections, which is {cap}");
        return Some(error(facts.profile, &table, problem, help));
    }
    let problem = format!("{cap} is not above the high mark of pruner `{}`, which is {high}", pruner.name);
    Some(error(facts.profile, &cap_path, problem, help))
}

fn cap_below_fd_limit(facts: &Facts<'_>, settings: &Settings) -> Option<ConfigError> {
    let cap = u64::from(settings.max_connections);
    let limit = facts.fd_limit.filter(|limit| facts.have_descriptors() && cap >= *limit)?;
    let problem = format!("{cap} connections do not fit in the {limit} files that the process may open");
    let help = format!("raise `ulimit -n`, or set it below {limit}");
    Some(error(facts.profile, &KeyPath::new(["swarm", "max_connections"]), problem, help))
}

fn nowhere_to_keep_tags(facts: &Facts<'_>, settings: &Settings) -> Option<ConfigError> {
    let lacks = facts.built.stack.peerstore.is_none() && !facts.built.broken.contains("peerstore");
    let found = settings.check_store(!lacks).err()?.into_vec().pop()?;
    Some(error(facts.profile, &KeyPath::new(["swarm", "persist_tags"]), found.problem, found.help))
}

pub(super) fn rank(origin: &ValueOrigin) -> u8 {
    match origin {
        ValueOrigin::Default => 0,
        ValueOrigin::Builtin(_) => 1,
        ValueOrigin::File(_) => 2,
        ValueOrigin::Env(_) => 3,
        _ => 4,
    }
}

pub(super) fn error(
    profile: &Profile,
    path: &KeyPath,
    problem: impl Into<String>,
    help: impl Into<String>,
) -> ConfigError {
    ConfigError {
        key: path.to_string(),
        origin: profile.origin(path),
        problem: problem.into(),
        help: help.into(),
    }
}
