//! Rules about services: what they need of the other layers.

use super::rules::{Facts, error};
use crate::{profile::KeyPath, settings::Settings, stack::Named};
use skep_api::{ConfigError, Layer, plugin::layer, service::Service};

/// Compares what each service needs with what there is.
pub(super) fn check(facts: &Facts<'_>, settings: &Settings) -> Vec<ConfigError> {
    let services = &facts.built.stack.services;
    services.iter().flat_map(|service| check_one(facts, settings, service)).collect()
}

fn check_one(facts: &Facts<'_>, settings: &Settings, service: &Named<dyn Service>) -> Vec<ConfigError> {
    let (needs, stack) = (service.object.needs(), &facts.built.stack);
    let table = KeyPath::new([layer::Service::NAME, service.name.as_str()]);
    let mut errors = Vec::new();
    let mut refuse = |problem: String, help: String| errors.push(error(facts.profile, &table, problem, help));
    if needs.peerstore && stack.peerstore.is_none() && !facts.built.broken.contains(layer::Peerstore::NAME) {
        let help = "set `peerstore = \"memory\"` in [stack], or take the service out of `services`".into();
        refuse(format!("service `{}` needs a peer store", service.name), help);
    }
    if let Some(pruner) = &stack.pruner {
        let low = pruner.object.marks().low;
        if needs.peers > low {
            let problem = format!("wants {} peers, and pruner `{}` leaves {low}", needs.peers, pruner.name);
            refuse(problem, format!("want {low} at most, or raise `low` in [pruner.{}]", pruner.name));
        }
    }
    let most = settings.max_connections as usize;
    if needs.peers > most {
        let problem = format!("wants {} peers, and swarm.max_connections is {most}", needs.peers);
        refuse(problem, format!("want {most} at most, or raise swarm.max_connections"));
    }
    if needs.second_connection && settings.max_connections_per_peer < 2 {
        let help = "set swarm.max_connections_per_peer to 2 or more, or take the service out of `services`";
        refuse("replaces connections, and a peer may have one only".into(), help.into());
    }
    errors
}
