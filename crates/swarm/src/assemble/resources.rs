//! Rules about a resource manager: its limits against those of the swarm, of the pruner and of the process.
//!
//! Two limits that somebody wrote and that contradict each other are a mistake. A limit that was derived, from the
//! memory or the open files of this machine, is none: it lowers what is written, and a note says so, unless it leaves
//! the pruner with nothing to do.

use super::rules::{Facts, error, rank};
use crate::{profile::KeyPath, settings::Settings};
use skep_api::{
    ConfigError,
    resources::{Limit, Resource},
};

/// What [`Limit::why`] says of a limit that is written in the profile.
const CONFIGURED: &str = "configured";

/// How the limits of the manager and of the swarm fit together.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) errors: Vec<ConfigError>,
    /// Limits that are lower here than they are written.
    pub(super) notes: Vec<String>,
}

/// Compares the limits of connections with each other.
pub(super) fn check(facts: &Facts<'_>, settings: &Settings) -> Findings {
    let mut findings = Findings::default();
    let Some(manager) = &facts.built.stack.resources else { return findings };
    let cap = u64::from(settings.max_connections);
    for limit in manager.object.limits().iter().filter(|limit| bounds_connections(facts, limit)) {
        let Some(most) = limit.limit else { continue };
        findings.errors.extend(beyond_open_files(facts, limit, most, cap));
        if most >= cap {
            continue;
        }
        if limit.why == CONFIGURED {
            findings.errors.push(below_cap(facts, limit, most, cap));
        } else if let Some(error) = above_nothing(facts, limit, most, cap) {
            findings.errors.push(error);
        } else {
            findings.notes.push(format!(
                "swarm.max_connections is {cap}, but resources grant {most} {} ({})",
                limit.resource, limit.why
            ));
        }
    }
    findings
}

/// Whether a limit is one of all connections of the node.
fn bounds_connections(facts: &Facts<'_>, limit: &Limit) -> bool {
    limit.scope == "system"
        && match limit.resource {
            Resource::Connections => true,
            Resource::Descriptors => facts.have_descriptors(),
            _ => false,
        }
}

/// Both limits are written: the one that was set last is the likelier mistake.
fn below_cap(facts: &Facts<'_>, limit: &Limit, most: u64, cap: u64) -> ConfigError {
    let (cap_path, path) = (KeyPath::new(["swarm", "max_connections"]), path(limit));
    let help = format!("raise {}, or lower swarm.max_connections to {most}", limit.key);
    if rank(&facts.profile.origin(&path)) > rank(&facts.profile.origin(&cap_path)) {
        let problem = format!("{most} is below swarm.max_connections, which is {cap}");
        return error(facts.profile, &path, problem, help);
    }
    let problem = format!("{cap} is above {}, which is {most}", limit.key);
    error(facts.profile, &cap_path, problem, help)
}

/// A pruner whose mark is not below what there can be never acts, and a full node stays full.
fn above_nothing(facts: &Facts<'_>, limit: &Limit, most: u64, cap: u64) -> Option<ConfigError> {
    let pruner = facts.built.stack.pruner.as_ref()?;
    let high = u64::try_from(pruner.object.marks().high).unwrap_or(u64::MAX);
    if high < most || high >= cap {
        return None;
    }
    let table = KeyPath::new(["pruner", pruner.name.as_str()]);
    let problem = format!(
        "the high mark {high} is not below the {most} {} that resources grant ({})",
        limit.resource, limit.why
    );
    let help = format!("lower the marks in [{table}], or raise {}", limit.key);
    Some(error(facts.profile, &table, problem, help))
}

/// More descriptors than files, where the cap of connections does not say so already.
fn beyond_open_files(facts: &Facts<'_>, limit: &Limit, most: u64, cap: u64) -> Option<ConfigError> {
    let written = limit.resource == Resource::Descriptors && limit.why == CONFIGURED;
    let files = facts.fd_limit.filter(|files| written && most >= *files && cap < *files)?;
    let problem = format!("{most} descriptors do not fit in the {files} files that the process may open");
    let help = format!("raise `ulimit -n`, or set it below {files}");
    Some(error(facts.profile, &path(limit), problem, help))
}

/// The path of a limit's key.
fn path(limit: &Limit) -> KeyPath {
    KeyPath::new(limit.key.split('.'))
}
