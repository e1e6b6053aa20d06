//! `[stack]` and the tables it references: which plugins, in which order, with which options.

use super::{
    around::{self, Around},
    listen, shadow,
};
use crate::{
    profile::{Arity, KeyPath, Profile, SLOTS, Slot},
    registry::Registry,
};
use serde_json::Value;
use skep_api::{
    ConfigError, ConfigSection, Multiaddr, PluginInfo,
    config::{ValueOrigin, nearest},
};
use std::collections::{BTreeMap, BTreeSet};

/// The file that reads `[stack]`.
pub(super) const FILE: &str = file!();

/// What a profile asks for, with the plugins found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// The built-in profile that it starts from.
    pub profile: String,
    /// The addresses to listen on.
    pub listen: Vec<Multiaddr>,
    /// The plugins, layer by layer, in order of preference.
    pub plugins: Vec<Planned>,
    /// Gates whose denials are counted only.
    pub shadow_gates: Vec<String>,
    /// What goes around which plugin.
    pub around: Vec<Around>,
    pub(super) listen_origin: ValueOrigin,
    /// Origins of the keys of `[stack]`.
    pub(super) stack_origins: BTreeMap<&'static str, ValueOrigin>,
    pub(super) identity: ConfigSection,
    pub(super) swarm: ConfigSection,
    pub(super) dial: ConfigSection,
    pub(super) retry: ConfigSection,
    /// Layers of which a reference could not be resolved.
    pub(super) broken: BTreeSet<&'static str>,
}

/// One plugin of a plan.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Planned {
    /// The plugin.
    pub info: PluginInfo,
    /// The word in `[stack]`, with its instance: `tcp`, `tcp/lan`.
    pub reference: String,
    /// Its table.
    pub section: ConfigSection,
}

impl Plan {
    /// The plugins of a layer.
    pub fn of(&self, layer: &str) -> impl Iterator<Item = &Planned> {
        self.plugins.iter().filter(move |planned| planned.info.layer == layer)
    }
}

/// Reads `listen` and `[stack]` and finds the tables; mistakes go to `errors`.
pub(super) fn resolve(profile: &Profile, registry: &Registry, errors: &mut Vec<ConfigError>) -> Plan {
    let listen_path = KeyPath::new(["listen"]);
    let mut resolver = Resolver {
        profile,
        registry,
        errors,
        plugins: Vec::new(),
        broken: BTreeSet::new(),
        around: Vec::new(),
    };
    let listen = listen::parse(profile, resolver.errors);
    resolver.unknown_keys();
    for slot in &SLOTS {
        resolver.slot(slot);
    }
    for slot in &SLOTS {
        resolver.unreferenced(slot);
    }
    let Resolver { plugins, broken, around, .. } = resolver;
    let mut stack_origins: BTreeMap<_, _> =
        SLOTS.iter().map(|slot| (slot.key, profile.origin(&stack_key(slot.key)))).collect();
    stack_origins.insert(shadow::KEY, profile.origin(&stack_key(shadow::KEY)));
    let mut plan = Plan {
        profile: profile.name().to_string(),
        listen,
        plugins,
        listen_origin: profile.origin(&listen_path),
        shadow_gates: Vec::new(),
        around,
        stack_origins,
        identity: profile.section(&KeyPath::new(["identity"])),
        swarm: profile.section(&KeyPath::new(["swarm"])),
        dial: profile.section(&KeyPath::new(["dial"])),
        retry: profile.section(&KeyPath::new(["retry"])),
        broken,
    };
    plan.shadow_gates = shadow::resolve(profile, &plan, errors);
    plan
}

pub(super) fn stack_key(key: &str) -> KeyPath {
    KeyPath::new(["stack", key])
}

pub(super) struct Resolver<'a> {
    pub(super) profile: &'a Profile,
    registry: &'a Registry,
    errors: &'a mut Vec<ConfigError>,
    pub(super) plugins: Vec<Planned>,
    pub(super) broken: BTreeSet<&'static str>,
    pub(super) around: Vec<Around>,
}

impl Resolver<'_> {
    fn unknown_keys(&mut self) {
        let path = KeyPath::new(["stack"]);
        let keys = || SLOTS.iter().map(|slot| slot.key).chain([shadow::KEY]);
        for key in self.profile.keys(&path) {
            if key == shadow::KEY || SLOTS.iter().any(|slot| slot.key == key) {
                continue;
            }
            // The word of a layer is the likeliest mistake, and not always the most alike.
            let by_layer = SLOTS.iter().find(|slot| slot.layer == key).map(|slot| slot.key);
            let guess = by_layer.or_else(|| nearest(&key, keys()));
            let guess = guess.map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
            let keys = keys().collect::<Vec<_>>().join(", ");
            self.error(&path.join(&key), "", "unknown key", format!("{guess}keys here: {keys}"));
        }
    }

    /// Resolves one key of `[stack]`.
    fn slot(&mut self, slot: &Slot) {
        let path = stack_key(slot.key);
        let Some(value) = self.profile.value(&path) else { return };
        let names = match (slot.arity, value) {
            (Arity::Many, Value::Array(values)) => self.names(slot, &path, values),
            // Unless a plugin is called so, such as the resource manager that grants everything.
            (Arity::AtMostOne, Value::String(name))
                if name == "none" && self.registry.info(slot.layer, "none").is_none() =>
            {
                return;
            }
            (Arity::AtMostOne, Value::String(name)) => vec![(String::new(), name)],
            (Arity::Around, Value::Object(layers)) => return self.around(slot, &path, layers),
            (arity, value) => {
                let (expected, help) = expected(slot, arity);
                self.error(&path, "", format!("expected {expected}, found {value}"), help);
                self.broken.insert(slot.layer);
                return;
            }
        };
        let mut seen = BTreeSet::new();
        for (index, name) in names {
            if !seen.insert(name.clone()) {
                let help = "leave one of them out; for a second instance write \"name/instance\"";
                self.error(&path, &index, format!("{name:?} is in the list twice"), help);
            } else {
                self.reference(slot, &path, &index, name);
            }
        }
    }

    /// The names in a list with their places.
    pub(super) fn names(&mut self, slot: &Slot, path: &KeyPath, values: Vec<Value>) -> Vec<(String, String)> {
        let mut names = Vec::new();
        for (i, value) in values.into_iter().enumerate() {
            let index = format!("[{i}]");
            if let Value::String(name) = value {
                names.push((index, name));
            } else {
                let help = match slot.arity {
                    Arity::Around => around::HELP.into(),
                    _ => expected(slot, Arity::Many).1,
                };
                self.error(path, &index, format!("expected a name, found {value}"), help);
                self.broken.insert(slot.layer);
            }
        }
        names
    }

    /// Resolves one name.
    pub(super) fn reference(&mut self, slot: &Slot, path: &KeyPath, index: &str, name: String) {
        let plugin = split(&name).and_then(|plugin| self.registry.info(slot.layer, plugin));
        if let Some(info) = plugin {
            let section = self.profile.section(&KeyPath::new([slot.layer, &name]));
            self.plugins.push(Planned { info: *info, reference: name, section });
            return;
        }
        self.broken.insert(slot.layer);
        match split(&name) {
            Some(plugin) => {
                let help = self.unknown_help(slot, plugin);
                self.error(path, index, format!("unknown {} {name:?}", slot.layer), help);
            }
            None => {
                let help = "write \"name\" or \"name/instance\", of letters, digits, `_` and `-`";
                self.error(path, index, format!("{name:?} is not the name of a plugin"), help);
            }
        }
    }

    fn unknown_help(&self, slot: &Slot, plugin: &str) -> String {
        let linked = self.registry.names(slot.layer);
        let guess = nearest(plugin, linked.iter().copied());
        let guess = guess.map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
        let linked = if linked.is_empty() { "none".to_string() } else { linked.join(", ") };
        format!("{guess}linked here: {linked}; to link another, add it to `plugins!` in the binary")
    }

    /// Tables of a layer that no reference takes.
    fn unreferenced(&mut self, slot: &Slot) {
        let tables = KeyPath::new([slot.layer]);
        for name in self.profile.keys(&tables) {
            let path = tables.join(&name);
            let taken = self.plugins.iter().any(|p| p.info.layer == slot.layer && p.reference == name);
            // A built-in profile's options for a plugin that the operator has replaced are no mistake of theirs.
            if taken || matches!(self.profile.origin(&path), ValueOrigin::Builtin(_)) {
                continue;
            }
            match split(&name).filter(|plugin| self.registry.info(slot.layer, plugin).is_none()) {
                Some(plugin) => {
                    let help = self.unknown_help(slot, plugin);
                    self.error(&path, "", format!("unknown {} {name:?}", slot.layer), help);
                }
                // A reference that could not be read may have meant this table.
                None if self.broken.contains(slot.layer) => {}
                None => {
                    let key = slot.key;
                    let help = match slot.arity {
                        Arity::Many => format!("add {name:?} to `{key}` in [stack], or remove the table"),
                        Arity::Around => around::unreferenced_help(&name),
                        Arity::AtMostOne => format!("set `{key} = {name:?}` in [stack], or remove the table"),
                    };
                    self.error(&path, "", "nobody references this table", help);
                }
            }
        }
    }

    pub(super) fn error(
        &mut self,
        path: &KeyPath,
        index: &str,
        problem: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.errors.push(ConfigError {
            key: format!("{path}{index}"),
            origin: self.profile.origin(path),
            problem: problem.into(),
            help: help.into(),
        });
    }
}

/// What a key of `[stack]` takes, and how to write it.
fn expected(slot: &Slot, arity: Arity) -> (&'static str, String) {
    let key = slot.key;
    match arity {
        Arity::Many => ("a list of names", format!("write {key} = [\"name\", …]; [] for none")),
        Arity::Around => ("a table of layers", around::HELP.into()),
        Arity::AtMostOne => ("one name", format!("write {key} = \"name\"; \"none\" for none")),
    }
}

/// The plugin in `name` or `name/instance`.
fn split(reference: &str) -> Option<&str> {
    let word = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
    };
    match reference.split_once('/') {
        Some((plugin, instance)) => (word(plugin) && word(instance)).then_some(plugin),
        None => word(reference).then_some(reference),
    }
}
