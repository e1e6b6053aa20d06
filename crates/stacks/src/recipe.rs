//! From the words of a stack to nodes.

use crate::{
    StackError, StackSpec,
    spec::{CARRIERS, Carrier},
};
use skep::{
    SwarmBuilder,
    api::{Keypair, metrics::Sink},
    plugins,
    swarm::{
        profile::{Profile, Sources},
        registry::Registry,
    },
};
use toml::{Table, Value};

/// What such a node has, beside its stack: nothing, and the defaults of the swarm's own keys, where the profile `default`
/// has smaller values.
const BARE: &str = r#"
listen = []

[stack]
gates = []
pruner = "none"
resolver = "none"
ranker = "none"
peerstore = "none"
selector = "none"
resources = "none"
protocols = []
services = []

[swarm]
max_connections = 1024

[dial]
max_outstanding = 160
"#;

/// The profile that a stack stands for, read and checked, to make nodes of.
#[derive(Clone, Debug)]
pub struct Recipe {
    spec: StackSpec,
    registry: Registry,
    profile: Profile,
}

/// The plugins that are linked.
///
/// # Errors
/// [`StackError::Registry`] if one that is linked did not register.
pub fn registry() -> Result<Registry, StackError> {
    Ok(Registry::from_inventory(&plugins::expected())?)
}

/// All stacks that can be made of these plugins, without private networks.
///
/// # Errors
/// None of a registry; the words come from it.
pub fn linked(registry: &Registry) -> Result<Vec<StackSpec>, StackError> {
    let mut specs = Vec::new();
    let has = |carrier: &&Carrier| registry.info("transport", carrier.plugin).is_some();
    for carrier in CARRIERS.iter().filter(has) {
        if !carrier.raw {
            specs.push(StackSpec::new(carrier.word, None, None)?);
            continue;
        }
        for security in registry.names("security") {
            for muxer in registry.names("muxer") {
                specs.push(StackSpec::new(carrier.word, Some(security), Some(muxer))?);
            }
        }
    }
    Ok(specs)
}

impl Recipe {
    /// Reads the profile of a stack. `options` is TOML that lies over it, such as the protocols of the nodes; a private
    /// network's key file is read when a node is built.
    ///
    /// # Errors
    /// [`StackError`]: a plugin that is not linked, or all mistakes in the options.
    pub fn new(spec: StackSpec, options: &str) -> Result<Self, StackError> {
        let registry = registry()?;
        for (layer, name) in spec.plugins() {
            if registry.info(layer, name).is_none() {
                return Err(StackError::not_linked(layer, name, registry.plugins()));
            }
        }
        let sources = Sources::new()
            .text("a bare node", BARE)
            .text(format!("the stack {spec}"), profile_of(&spec)?)
            .text("the program's options", options);
        let profile = Profile::load(&sources)?;
        Ok(Self { spec, registry, profile })
    }

    /// The stack.
    #[must_use]
    pub fn spec(&self) -> &StackSpec {
        &self.spec
    }

    /// A node with an identity of its own, for more to be added before it is built. It counts for `metrics`.
    ///
    /// # Errors
    /// [`StackError::Config`] with all mistakes in the options.
    pub fn builder(&self, metrics: Sink) -> Result<SwarmBuilder, StackError> {
        let builder = SwarmBuilder::new(Keypair::generate_ed25519()).metrics(metrics);
        let mut assembly = self.profile.assemble(&self.registry, builder.build_cx(), None)?;
        // One that grants everything is asked all the same. It stays where the options bring another.
        assembly.stack.resources = assembly.stack.resources.filter(|manager| manager.name != "none");
        // Not `assembly`: a node that cannot be reloaded does not keep what it was assembled from.
        Ok(builder
            .stack(assembly.stack)
            .settings(assembly.settings)
            .dial(assembly.dial)
            .retry(assembly.retry))
    }
}

/// The part of the profile that the words stand for.
fn profile_of(spec: &StackSpec) -> Result<String, StackError> {
    let mut stack = Table::new();
    let mut profile = Table::new();
    let plugins = spec.plugins();
    for (layer, key) in [("transport", "transports"), ("security", "security"), ("muxer", "muxers")] {
        let of_layer = plugins.iter().filter(|(of, _)| *of == layer);
        let names: Vec<_> = of_layer.map(|(_, name)| Value::from(*name)).collect();
        stack.insert(key.into(), names.into());
    }
    if let Some(path) = spec.key_file() {
        let path = path.to_str().ok_or_else(|| StackError::KeyFile(path.into()))?;
        stack.insert("protector".into(), "psk".into());
        let options = Table::from_iter([("key_file".to_string(), path.into())]);
        profile.insert("protector".into(), Table::from_iter([("psk".to_string(), options.into())]).into());
    }
    if plugins.contains(&("security", "plaintext")) {
        // Who asks for it by name means it.
        let swarm = Table::from_iter([("allow_insecure".to_string(), true.into())]);
        profile.insert("swarm".into(), swarm.into());
    }
    profile.insert("stack".into(), stack.into());
    Ok(profile.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep::{DialSettings, swarm::Settings};

    fn recipe(text: &str, options: &str) -> Result<Recipe, StackError> {
        Recipe::new(text.parse()?, options)
    }

    #[test]
    fn a_node_has_its_stack_and_nothing_else() {
        let recipe = recipe("tcp-noise-yamux", "").unwrap();
        let cx = SwarmBuilder::new(Keypair::generate_ed25519()).build_cx().clone();
        let assembly = recipe.profile.assemble(&recipe.registry, &cx, None).unwrap();
        let names: Vec<_> = assembly.plan.plugins.iter().map(|p| p.reference.as_str()).collect();
        assert_eq!(names, ["tcp", "noise", "yamux", "none"]);
        assert_eq!(assembly.settings, Settings::default());
        assert_eq!(assembly.dial, DialSettings::default());
        assert!(assembly.listen.is_empty());
    }

    #[tokio::test]
    async fn options_lie_over_it() {
        let options = "[stack]\nprotocols = [\"ping\"]\nresources = \"scoped\"\n[swarm]\nmax_connections = 7";
        let node =
            recipe("tcp-noise-yamux", options).unwrap().builder(Sink::default()).unwrap().build().unwrap();
        let stack = node.stack();
        assert_eq!(stack.protocols.len(), 1);
        assert_eq!(stack.resources.as_ref().unwrap().name, "scoped");
        let bare = recipe("tcp-noise-yamux", "").unwrap().builder(Sink::default()).unwrap().build().unwrap();
        assert!(bare.stack().resources.is_none() && bare.stack().protocols.is_empty());
    }

    #[test]
    fn a_plugin_that_is_not_linked_is_named_with_those_that_are() {
        let error = recipe("tcp-rot13-yamux", "").unwrap_err();
        assert!(error.is_usage());
        let text = error.to_string();
        assert!(text.starts_with("security `rot13` is not linked here; linked: "), "{text}");
        assert!(text.contains("noise"), "{text}");
    }

    #[test]
    fn wrong_options_are_reported_with_their_place() {
        let error = recipe("tcp-noise-yamux", "[stack]\nprotocols = [\"pong\"]")
            .unwrap()
            .builder(Sink::default())
            .unwrap_err();
        assert!(!error.is_usage());
        let text = error.to_string();
        assert!(text.contains("\"pong\"") && text.contains("the program's options:2"), "{text}");
    }

    #[test]
    fn every_linked_stack_can_be_built() {
        let registry = registry().unwrap();
        let specs = linked(&registry).unwrap();
        let names: Vec<_> = specs.iter().map(ToString::to_string).collect();
        assert!(names.contains(&"tcp-noise-yamux".to_string()), "{names:?}");
        assert!(names.contains(&"memory-noise-yamux".to_string()), "{names:?}");
        for spec in specs {
            let text = spec.to_string();
            Recipe::new(spec, "").unwrap().builder(Sink::default()).unwrap_or_else(|e| panic!("{text}: {e}"));
        }
    }

    #[test]
    fn a_key_file_makes_a_protector_and_plaintext_its_consent() {
        let spec = "tcp-plaintext-yamux".parse::<StackSpec>().unwrap().private("a \"key\"").unwrap();
        let table: Table = profile_of(&spec).unwrap().parse().unwrap();
        assert_eq!(table["stack"]["protector"].as_str(), Some("psk"));
        assert_eq!(table["protector"]["psk"]["key_file"].as_str(), Some("a \"key\""));
        assert_eq!(table["swarm"]["allow_insecure"].as_bool(), Some(true));
        let table: Table = profile_of(&"quic".parse().unwrap()).unwrap().parse().unwrap();
        assert_eq!(table["stack"]["security"].as_array().map(Vec::len), Some(0));
        assert!(table.get("swarm").is_none() && table["stack"].get("protector").is_none());
    }
}
