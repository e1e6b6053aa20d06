//! How a plugin registers.
//!
//! A plugin crate calls one `register_…!` macro per plugin. It defines a constant `PLUGIN`, and submits it to
//! the registry that `inventory` collects before `main`. The binary names the constants of the plugins it means
//! to link, and the registry compares: a plugin that was linked but did not arrive is a start-up error.

use crate::{BuildCx, ConfigErrors, ConfigSection, reload::Reload};
use std::{any::Any, fmt, marker::PhantomData, sync::Arc};

/// A layer of the stack: the type that ties a descriptor to its contract.
pub trait Layer: 'static {
    /// The trait object that plugins of this layer build.
    type Object: ?Sized + Send + Sync + 'static;
    /// The word of the layer: configuration table, module and crate prefix.
    const NAME: &'static str;
    /// The key of `[stack]` that references plugins of this layer.
    const STACK_KEY: &'static str;
    /// How a changed key of a plugin's table comes to have effect, unless the key's schema says otherwise
    /// ([`SCHEMA_KEY`](crate::reload::SCHEMA_KEY)), and a changed reference to a plugin.
    const RELOAD: Reload;

    /// The object as what it is, for whoever knows its type; `None` in layers whose objects cannot be asked.
    fn any(object: &Arc<Self::Object>) -> Option<Arc<dyn Any + Send + Sync>>;
}

/// Where a plugin comes from. Filled in by the register macro.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The crate.
    pub krate: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The file that registers it.
    pub file: &'static str,
    /// The line.
    pub line: u32,
    /// The file whose `Config` reads the plugin's table.
    pub config_file: &'static str,
}

/// The signature of a plugin's constructor.
pub type BuildFn<L> = fn(&ConfigSection, &BuildCx) -> Result<Arc<<L as Layer>::Object>, ConfigErrors>;

/// A plugin's descriptor. It is a constant, so that it can be submitted before `main` runs.
pub struct Plugin<L: Layer> {
    /// The word in the profile, `lower_snake_case`.
    pub name: &'static str,
    /// One line on what it does.
    pub summary: &'static str,
    /// Where it comes from.
    pub origin: Origin,
    /// Keys of its table, as TOML. A test parses and builds it.
    pub example: &'static str,
    /// The JSON Schema of its table.
    pub schema: fn() -> schemars::Schema,
    /// Makes the plugin from its table. Opens no socket and starts no task.
    pub build: BuildFn<L>,
    /// Ties the descriptor to its layer.
    pub layer: PhantomData<fn() -> L>,
}

impl<L: Layer> Plugin<L> {
    /// The descriptor without its type.
    #[must_use]
    pub fn info(&self) -> PluginInfo {
        PluginInfo {
            layer: L::NAME,
            stack_key: L::STACK_KEY,
            reload: L::RELOAD,
            name: self.name,
            summary: self.summary,
            origin: self.origin,
            example: self.example,
            schema: self.schema,
        }
    }
}

impl<L: Layer> Clone for Plugin<L> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<L: Layer> Copy for Plugin<L> {}

impl<L: Layer> fmt::Debug for Plugin<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plugin({}.{} of {})", L::NAME, self.name, self.origin.krate)
    }
}

/// What there is to know of a plugin beside how to build it.
#[derive(Clone, Copy, Debug)]
pub struct PluginInfo {
    /// The layer's word.
    pub layer: &'static str,
    /// The key of `[stack]` that references it.
    pub stack_key: &'static str,
    /// How a change of its table comes to have effect, where a key does not say otherwise.
    pub reload: Reload,
    /// The plugin's word.
    pub name: &'static str,
    /// One line on what it does.
    pub summary: &'static str,
    /// Where it comes from.
    pub origin: Origin,
    /// Keys of its table, as TOML.
    pub example: &'static str,
    /// The JSON Schema of its table.
    pub schema: fn() -> schemars::Schema,
}

/// The layers, one type each.
pub mod layer {
    use super::{Layer, Plugin};
    use crate::reload::Reload;
    use std::{any::Any, sync::Arc};

    macro_rules! known {
        ($object:ident) => {
            Some(Arc::clone($object) as Arc<dyn Any + Send + Sync>)
        };
    }

    macro_rules! opaque {
        ($object:ident) => {{
            let _ = $object;
            None
        }};
    }

    macro_rules! layers {
        ($($(#[$doc:meta])* $layer:ident, $object:path, $name:literal, $key:literal, $reload:ident, $any:ident;)+) => { $(
            $(#[$doc])*
            #[derive(Debug)]
            pub struct $layer;
            impl Layer for $layer {
                type Object = dyn $object;
                const NAME: &'static str = $name;
                const STACK_KEY: &'static str = $key;
                const RELOAD: Reload = Reload::$reload;

                fn any(object: &Arc<Self::Object>) -> Option<Arc<dyn Any + Send + Sync>> {
                    $any!(object)
                }
            }
            inventory::collect!(Plugin<$layer>);
        )+
            /// The words of all layers with the keys of `[stack]` that reference them.
            pub const ALL: &[(&str, &str)] = &[$(($name, $key)),+];
        };
    }

    layers! {
        /// [`crate::transport::Transport`]
        Transport, crate::transport::Transport, "transport", "transports", Restart, opaque;
        /// [`crate::protector::Protector`]
        Protector, crate::protector::Protector, "protector", "protector", NewConnections, opaque;
        /// [`crate::security::Upgrader`]
        Security, crate::security::Upgrader, "security", "security", NewConnections, opaque;
        /// [`crate::muxer::Muxer`]
        Muxer, crate::muxer::Muxer, "muxer", "muxers", NewConnections, opaque;
        /// [`crate::gate::Gate`]
        Gate, crate::gate::Gate, "gate", "gates", Live, known;
        /// [`crate::pruner::Pruner`]
        Pruner, crate::pruner::Pruner, "pruner", "pruner", Live, known;
        /// [`crate::resolver::Resolver`]
        Resolver, crate::resolver::Resolver, "resolver", "resolver", Live, opaque;
        /// [`crate::ranker::DialRanker`]
        Ranker, crate::ranker::DialRanker, "ranker", "ranker", Live, opaque;
        /// [`crate::selector::ConnectionSelector`]
        Selector, crate::selector::ConnectionSelector, "selector", "selector", Live, opaque;
        /// [`crate::resources::ResourceManager`]
        Resources, crate::resources::ResourceManager, "resources", "resources", Restart, opaque;
        /// [`crate::peerstore::PeerStore`]
        Peerstore, crate::peerstore::PeerStore, "peerstore", "peerstore", Restart, opaque;
        /// [`crate::protocol::ProtocolHandler`]
        Protocol, crate::protocol::ProtocolHandler, "protocol", "protocols", Live, opaque;
        /// [`crate::service::Service`]
        Service, crate::service::Service, "service", "services", Live, known;
        /// [`crate::decorator::Decorator`]
        Decorator, crate::decorator::Decorator, "decorator", "decorators", Restart, opaque;
    }
}

/// Registers a plugin of the layer given first; the `register_…!` macros call it.
///
/// `build` is a function of the decoded and validated `config` and of the [`BuildCx`].
#[macro_export]
macro_rules! register {
    (
        $layer:ident, name: $name:literal, summary: $summary:literal, example: $example:expr,
        config: $config:ty, build: $build:expr $(,)?
    ) => {
        /// The descriptor of this plugin.
        pub const PLUGIN: $crate::Plugin<$crate::plugin::layer::$layer> = $crate::Plugin {
            name: $name,
            summary: $summary,
            origin: $crate::Origin {
                krate: env!("CARGO_PKG_NAME"),
                version: env!("CARGO_PKG_VERSION"),
                file: file!(),
                line: line!(),
                config_file: <$config as $crate::PluginConfig>::FILE,
            },
            example: $example,
            schema: || $crate::schemars::schema_for!($config),
            build: |section, cx| {
                let build: fn(
                    $config,
                    &$crate::BuildCx,
                ) -> ::std::result::Result<
                    ::std::sync::Arc<<$crate::plugin::layer::$layer as $crate::Layer>::Object>,
                    $crate::Problems,
                > = $build;
                let config = section.decode::<$config>()?;
                build(config, cx).map_err(|problems| problems.at(section))
            },
            layer: ::std::marker::PhantomData,
        };
        $crate::inventory::submit! { PLUGIN }
    };
}

macro_rules! register_macros {
    ($d:tt $($macro:ident $layer:ident $doc:literal;)+) => { $(
        #[doc = $doc]
        #[macro_export]
        macro_rules! $macro {
            ($d($d fields:tt)+) => { $crate::register! { $layer, $d($d fields)+ } };
        }
    )+ };
}

register_macros! { $
    register_transport Transport "Registers a [`transport`](crate::transport) plugin; fields as in [`register!`](crate::register).";
    register_protector Protector "Registers a [`protector`](crate::protector) plugin; fields as in [`register!`](crate::register).";
    register_security Security "Registers a [`security`](crate::security) plugin; fields as in [`register!`](crate::register).";
    register_muxer Muxer "Registers a [`muxer`](crate::muxer) plugin; fields as in [`register!`](crate::register).";
    register_gate Gate "Registers a [`gate`](crate::gate) plugin; fields as in [`register!`](crate::register).";
    register_pruner Pruner "Registers a [`pruner`](crate::pruner) plugin; fields as in [`register!`](crate::register).";
    register_resolver Resolver "Registers a [`resolver`](crate::resolver) plugin; fields as in [`register!`](crate::register).";
    register_ranker Ranker "Registers a [`ranker`](crate::ranker) plugin; fields as in [`register!`](crate::register).";
    register_selector Selector "Registers a [`selector`](crate::selector) plugin; fields as in [`register!`](crate::register).";
    register_resources Resources "Registers a [`resources`](crate::resources) plugin; fields as in [`register!`](crate::register).";
    register_peerstore Peerstore "Registers a [`peerstore`](crate::peerstore) plugin; fields as in [`register!`](crate::register).";
    register_service Service "Registers a [`service`](crate::service) plugin; fields as in [`register!`](crate::register).";
    register_decorator Decorator "Registers a [`decorator`](crate::decorator) plugin; fields as in [`register!`](crate::register).";
    register_protocol Protocol "Registers a [`protocol`](crate::protocol) plugin; fields as in [`register!`](crate::register).";
}
