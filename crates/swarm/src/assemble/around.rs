//! `[stack.decorators]`: what goes around which plugin.
//!
//! ```toml
//! [stack.decorators]
//! transport.tcp = ["metrics", "throttle"]   # the first is the outermost
//! ```

use super::references::{Planned, Resolver};
use crate::{
    profile::{KeyPath, SLOTS, Slot},
    stack::Named,
};
use serde_json::{Map, Value, json};
use skep_api::{Layer, config::nearest, decorator::Decorator, plugin::layer};
use std::{collections::BTreeSet, sync::Arc};

/// How to write the key.
pub(super) const HELP: &str =
    "write `transport.tcp = [\"name\", …]` in [stack.decorators], for each plugin that something goes around";

/// What it is for.
pub(super) const DOC: &str =
    "What goes around which plugin: for each layer and plugin, decorators with the outermost first.";

/// The layers whose plugins can be decorated.
const LAYERS: [&str; 4] =
    [layer::Transport::NAME, layer::Security::NAME, layer::Muxer::NAME, layer::Resolver::NAME];

/// What goes around one plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Around {
    /// The layer of the plugin.
    pub layer: &'static str,
    /// What the profile calls the plugin.
    pub plugin: String,
    /// What the profile calls the decorators, the outermost first.
    pub decorators: Vec<String>,
}

/// What to do about the table of a decorator that goes around nothing.
pub(super) fn unreferenced_help(name: &str) -> String {
    format!("write `<layer>.<plugin> = [{name:?}]` in [stack.decorators], or remove the table")
}

impl Resolver<'_> {
    /// Resolves `[stack.decorators]`, after all other layers.
    pub(super) fn around(&mut self, slot: &Slot, path: &KeyPath, layers: Map<String, Value>) {
        for (word, plugins) in layers {
            let path = path.join(&word);
            let Some(layer) = LAYERS.into_iter().find(|layer| *layer == word) else {
                let guess = nearest(&word, LAYERS).map(|word| format!("did you mean `{word}`? "));
                let help =
                    format!("{}layers with decorators: {}", guess.unwrap_or_default(), LAYERS.join(", "));
                self.error(&path, "", format!("nothing goes around plugins of {word:?}"), help);
                continue;
            };
            let Value::Object(plugins) = plugins else {
                self.error(&path, "", format!("expected a table of plugins, found {plugins}"), HELP);
                continue;
            };
            for (plugin, names) in plugins {
                self.around_plugin(slot, &path.join(&plugin), (layer, plugin), names);
            }
        }
    }

    fn around_plugin(&mut self, slot: &Slot, path: &KeyPath, target: (&'static str, String), names: Value) {
        let (layer, plugin) = target;
        let Value::Array(names) = names else {
            return self.error(path, "", format!("expected a list of names, found {names}"), HELP);
        };
        let known: Vec<_> =
            self.plugins.iter().filter(|p| p.info.layer == layer).map(|p| p.reference.clone()).collect();
        if !known.contains(&plugin) {
            // What was not understood has been reported.
            if !self.broken.contains(layer) {
                let key = SLOTS.iter().find(|slot| slot.layer == layer).map_or("", |slot| slot.key);
                let guess = nearest(&plugin, known.iter().map(String::as_str));
                let guess = guess.map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
                let help = format!("{guess}`{key}` in [stack] has: {}", known.join(", "));
                self.error(path, "", format!("{plugin:?} is not in the stack"), help);
            }
            return;
        }
        let (mut seen, mut decorators) = (BTreeSet::new(), Vec::new());
        for (index, name) in self.names(slot, path, names) {
            if !seen.insert(name.clone()) {
                let help = "leave one of them out; for a second instance write \"name/instance\"";
                self.error(path, &index, format!("{name:?} is in the list twice"), help);
                continue;
            }
            // One decorator goes around any number of plugins.
            if !self.plugins.iter().any(|p| p.info.layer == slot.layer && p.reference == name) {
                self.reference(slot, path, &index, name.clone());
            }
            decorators.push(name);
        }
        if !decorators.is_empty() {
            self.around.push(Around { layer, plugin, decorators });
        }
    }
}

/// `[stack.decorators]` as a value.
pub(super) fn value(around: &[Around]) -> Value {
    let mut layers = Map::new();
    for Around { layer, plugin, decorators } in around {
        let plugins = layers.entry(*layer).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(plugins) = plugins {
            plugins.insert(plugin.clone(), decorators.clone().into());
        }
    }
    Value::Object(layers)
}

/// The JSON Schema of `[stack.decorators]`, for decorators of these names.
pub(super) fn schema(names: &str) -> Value {
    let list = json!({
        "type": "array", "uniqueItems": true,
        "items": { "type": "string", "pattern": format!("^({names})(/[A-Za-z0-9_-]+)?$") },
    });
    let layer = json!({ "type": "object", "additionalProperties": list });
    let layers: Map<_, _> = LAYERS.map(|word| (word.to_string(), layer.clone())).into_iter().collect();
    json!({ "description": DOC, "type": "object", "additionalProperties": false, "properties": layers })
}

/// How a layer lets its plugins be decorated.
pub(super) trait Decorated: Layer {
    /// The plugin with the decorator around it; `None` if the decorator has nothing to do there.
    fn decorate(
        decorator: &dyn Decorator,
        name: &str,
        inner: Arc<Self::Object>,
    ) -> Option<Arc<Self::Object>> {
        let _ = (decorator, name, inner);
        None
    }
}

macro_rules! decorated {
    ($($layer:ident $method:ident),+) => { $(
        impl Decorated for layer::$layer {
            fn decorate(d: &dyn Decorator, name: &str, inner: Arc<Self::Object>) -> Option<Arc<Self::Object>> {
                d.$method(name, inner)
            }
        }
    )+ };
}
macro_rules! plain {
    ($($layer:ident),+) => { $( impl Decorated for layer::$layer {} )+ };
}

decorated!(Transport transport, Security security, Muxer muxer, Resolver resolver);
plain!(Protector, Gate, Pruner, Ranker, Selector, Resources, Peerstore, Protocol, Service, Decorator);

/// Puts around a plugin what the profile wants there, the innermost first.
///
/// # Errors
/// The decorator that does not go around such plugins, with its place in the profile.
pub(super) fn wrap<L: Decorated>(
    around: &[Around],
    decorators: &[Named<dyn Decorator>],
    planned: &Planned,
    mut object: Arc<L::Object>,
) -> Result<Arc<L::Object>, (KeyPath, String)> {
    let names = around
        .iter()
        .filter(|around| around.layer == L::NAME && around.plugin == planned.reference)
        .flat_map(|around| &around.decorators);
    for name in names.rev() {
        // One that could not be built is reported as that.
        let Some(decorator) = decorators.iter().find(|decorator| decorator.name == *name) else { continue };
        object = L::decorate(&*decorator.object, &planned.reference, object).ok_or_else(|| {
            let path = KeyPath::new(["stack", "decorators", L::NAME, &planned.reference]);
            (path, format!("decorator `{name}` does not go around plugins of layer {}", L::NAME))
        })?;
    }
    Ok(object)
}
