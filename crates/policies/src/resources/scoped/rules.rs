//! What does not change while the manager runs.

use super::{Config, derive::Effective, machine::Machine, places::Places};
use skep_api::Problems;
use std::collections::HashMap;

/// The configuration, understood.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) limits: Effective,
    pub(super) places: Places,
    /// Charged for each connection and each stream, in bytes.
    pub(super) connection_memory: u64,
    pub(super) stream_memory: u64,
    /// Names of services.
    pub(super) services: Vec<String>,
    /// The places of services in that list, by their protocols.
    pub(super) service_of: HashMap<String, usize>,
    pub(super) config: Config,
}

impl Rules {
    pub(super) fn new(config: &Config, machine: &Machine) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        config.check(&mut problems);
        let places = Places::new(config, &mut problems);
        let protocols = config.services.values().enumerate();
        let rules = Self {
            limits: Effective::new(config, machine),
            places,
            connection_memory: config.connection_memory.0.unwrap_or(0),
            stream_memory: config.stream_memory.0.unwrap_or(0),
            services: config.services.keys().cloned().collect(),
            service_of: protocols.flat_map(|(n, ids)| ids.iter().map(move |id| (id.clone(), n))).collect(),
            config: config.clone(),
        };
        if problems.is_empty() { Ok(rules) } else { Err(problems) }
    }
}
