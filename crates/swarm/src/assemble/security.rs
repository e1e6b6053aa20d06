//! Security protocols of a profile: their order, which of them need consent, and what is said of them at the start.

use super::{
    Plan,
    references::stack_key,
    rules::{Facts, error},
};
use crate::{settings::Settings, stack::Stack};
use skep_api::{ConfigError, Layer, config::ValueOrigin, plugin::layer};

/// In the order of a built-in profile, protocols that this machine does not run at full speed go last. What an operator
/// has written stays.
pub(super) fn order_by_hardware(plan: &mut Plan, stack: &mut Stack) {
    let key = layer::Security::STACK_KEY;
    if !matches!(plan.stack_origins.get(key), Some(ValueOrigin::Builtin(_))) {
        return;
    }
    stack.security.sort_by_key(|upgrader| !upgrader.object.at_full_speed());
    let rank = |reference: &str| stack.security.iter().position(|upgrader| upgrader.name == reference);
    let mut sorted: Vec<_> = plan.of(layer::Security::NAME).cloned().collect();
    sorted.sort_by_key(|planned| rank(&planned.reference));
    let places = plan.plugins.iter_mut().filter(|planned| planned.info.layer == layer::Security::NAME);
    for (place, planned) in places.zip(sorted) {
        *place = planned;
    }
}

/// A protocol that proves nothing has to be named twice: in the list, and by a key that says what it means.
pub(super) fn insecure_without_consent(facts: &Facts<'_>, settings: &Settings) -> Vec<ConfigError> {
    let insecure = facts.built.stack.security.iter().filter(|upgrader| upgrader.object.insecure());
    let refused = insecure.filter(|_| !settings.allow_insecure).map(|upgrader| {
        let name = &upgrader.name;
        let problem = format!(
            "`{name}` neither hides what is said nor proves who says it, and `swarm.allow_insecure` is false"
        );
        let help = format!(
            "remove {name:?}; only in a network that exists for tests, set `allow_insecure = true` in [swarm]"
        );
        error(facts.profile, &stack_key(layer::Security::STACK_KEY), problem, help)
    });
    refused.collect()
}

/// The private networks that the node is of, to be compared with those of other nodes.
pub(super) fn fingerprints(stack: &Stack) -> Vec<String> {
    let Some(protector) = &stack.protector else { return Vec::new() };
    let fingerprints = protector.object.fingerprints();
    let mut fingerprints = fingerprints.iter();
    let first = fingerprints.next().map(|print| format!("private network {print}"));
    let others = fingerprints.map(|print| format!("accepts the private network {print}, too"));
    first.into_iter().chain(others).collect()
}

/// What an operator has to know whenever the node runs.
pub(super) fn warnings(stack: &Stack) -> Vec<String> {
    let insecure = stack.security.iter().filter(|upgrader| upgrader.object.insecure());
    let insecure = insecure.map(|upgrader| {
        format!(
            "INSECURE: with `{}`, whoever is on the way reads and changes what is said, and peers may be anybody",
            upgrader.name
        )
    });
    let decorators = stack.decorators.iter().filter_map(|decorator| decorator.object.warning());
    insecure.chain(decorators).collect()
}
