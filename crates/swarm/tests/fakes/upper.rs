//! Policies and protocols.

/// A gate that lets all pass.
pub mod ip_filter {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use skep_api::{
        PluginConfig, Problems,
        gate::{Checkpoint, Gate, GateCx, Verdict},
        register_gate,
    };
    use std::sync::Arc;

    register_gate! {
        name: "ip_filter",
        summary: "fake filter",
        example: "deny = []",
        config: Config,
        build: |_, _| Ok(Arc::new(IpFilter)),
    }

    #[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    pub struct Config {
        /// Networks that may not connect.
        pub deny: Vec<String>,
    }
    impl PluginConfig for Config {
        const FILE: &'static str = file!();
        fn validate(&self, problems: &mut Problems) {
            for (i, rule) in self.deny.iter().enumerate().filter(|(_, rule)| !rule.contains('/')) {
                problems.add(&format!("deny[{i}]"), format!("{rule:?} is no network"), "such as 10.0.0.0/8");
            }
        }
    }

    #[derive(Debug)]
    struct IpFilter;
    impl Gate for IpFilter {
        fn check(&self, _at: &Checkpoint<'_>, _cx: &GateCx<'_>) -> Verdict {
            Verdict::Allow
        }
    }
}

/// A pruner that closes nothing.
pub mod watermark {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use skep_api::{
        PluginConfig,
        config::DurationText,
        pruner::{Marks, Pruner, Snapshot, Victim},
        register_pruner,
    };
    use std::{sync::Arc, time::Duration};

    register_pruner! {
        name: "watermark",
        summary: "fake marks",
        example: "low = 1",
        config: Config,
        build: |config, _| Ok(Arc::new(Watermark(config))),
    }

    #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    pub struct Config {
        /// Connections that are left.
        pub low: usize,
        pub high: usize,
        pub grace: DurationText,
    }
    impl Default for Config {
        fn default() -> Self {
            Self { low: 192, high: 256, grace: DurationText::secs(60) }
        }
    }
    impl PluginConfig for Config {
        const FILE: &'static str = file!();
    }

    #[derive(Debug)]
    struct Watermark(Config);
    impl Pruner for Watermark {
        fn rank(&self, _snapshot: &Snapshot) -> Vec<Victim> {
            Vec::new()
        }
        fn marks(&self) -> Marks {
            let high = self.0.high;
            Marks { low: high.min(1), high, grace: Duration::ZERO, silence: Duration::ZERO }
        }
    }
}

/// A resolver that changes nothing.
pub mod dns {
    use async_trait::async_trait;
    use skep_api::{
        Multiaddr,
        config::NoConfig,
        register_resolver,
        resolver::{ResolveError, Resolver},
    };
    use std::sync::Arc;

    register_resolver! {
        name: "dns",
        summary: "fake DNS",
        example: "",
        config: NoConfig,
        build: |_, _| Ok(Arc::new(Dns)),
    }

    #[derive(Debug)]
    struct Dns;
    #[async_trait]
    impl Resolver for Dns {
        async fn resolve(&self, addr: &Multiaddr) -> Result<Vec<Multiaddr>, ResolveError> {
            Ok(vec![addr.clone()])
        }
    }
}

/// A ranker that changes nothing.
pub mod smart {
    use skep_api::{
        config::NoConfig,
        ranker::{DialCandidate, DialRanker, RankedAddr},
        register_ranker,
    };
    use std::{sync::Arc, time::Duration};

    register_ranker! {
        name: "smart",
        summary: "fake ranker",
        example: "",
        config: NoConfig,
        build: |_, _| Ok(Arc::new(Smart)),
    }

    #[derive(Debug)]
    struct Smart;
    impl DialRanker for Smart {
        fn rank(&self, candidates: Vec<DialCandidate>) -> Vec<RankedAddr> {
            candidates.into_iter().map(|c| RankedAddr::new(c.addr, Duration::ZERO)).collect()
        }
    }
}

/// A peer store that forgets everything.
pub mod store {
    use async_trait::async_trait;
    use skep_api::{
        Multiaddr, PeerId, PublicKey,
        config::NoConfig,
        peerstore::{KnownAddr, PeerStore, PeerStoreError, PeerStoreStats, Ttl},
        record::SignedRecord,
        register_peerstore,
    };
    use std::{sync::Arc, time::Duration};
    use tokio::sync::mpsc;

    register_peerstore! {
        name: "memory",
        summary: "fake peer store",
        example: "",
        config: NoConfig,
        build: |_, _| Ok(Arc::new(Store)),
    }

    #[derive(Debug)]
    struct Store;
    #[async_trait]
    impl PeerStore for Store {
        fn add_addrs(&self, _: &PeerId, _: &[Multiaddr], _: Ttl) {}
        fn reclass(&self, _: &PeerId, _: Ttl, _: Ttl) {}
        fn addrs(&self, _: &PeerId) -> Vec<KnownAddr> {
            Vec::new()
        }
        fn remove_addrs(&self, _: &PeerId, _: &[Multiaddr]) {}
        fn subscribe(&self, _: &PeerId) -> mpsc::Receiver<Multiaddr> {
            mpsc::channel(1).1
        }
        fn put_record(&self, _: &SignedRecord) -> bool {
            false
        }
        fn record(&self, _: &PeerId) -> Option<SignedRecord> {
            None
        }
        fn set_key(&self, _: &PeerId, _: &PublicKey) -> bool {
            false
        }
        fn key(&self, _: &PeerId) -> Option<PublicKey> {
            None
        }
        fn set_protocols(&self, _: &PeerId, _: &[String]) {}
        fn protocols(&self, _: &PeerId) -> Vec<String> {
            Vec::new()
        }
        fn set_metadata(&self, _: &PeerId, _: &str, _: Option<&[u8]>) -> Result<(), PeerStoreError> {
            Ok(())
        }
        fn metadata(&self, _: &PeerId, _: &str) -> Option<Vec<u8>> {
            None
        }
        fn record_latency(&self, _: &PeerId, _: Duration) {}
        fn latency(&self, _: &PeerId) -> Option<Duration> {
            None
        }
        fn peers(&self) -> Vec<PeerId> {
            Vec::new()
        }
        fn forget(&self, _: &PeerId) {}
        fn stats(&self) -> PeerStoreStats {
            PeerStoreStats::default()
        }
    }
}

/// A selector of the first connection.
pub mod best {
    use skep_api::{
        config::NoConfig,
        register_selector,
        selector::{ConnectionSelector, ConnectionView},
    };
    use std::sync::Arc;

    register_selector! {
        name: "best",
        summary: "fake selector",
        example: "",
        config: NoConfig,
        build: |_, _| Ok(Arc::new(Best)),
    }

    #[derive(Debug)]
    struct Best;
    impl ConnectionSelector for Best {
        fn select(&self, connections: &[ConnectionView]) -> Option<u64> {
            connections.first().map(|connection| connection.id)
        }
    }
}

/// A resource manager that grants everything, and lists the limits of its table.
pub mod scoped {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use serde_json::{Map, Value};
    use skep_api::{
        PluginConfig, register_resources,
        resources::{
            ConnectionRequest, ConnectionScope, Limit, LimitExceeded, Resource, ResourceManager, Usage,
        },
    };
    use std::sync::Arc;

    register_resources! {
        name: "scoped",
        summary: "fake limits",
        example: "",
        config: Config,
        build: |config, _| Ok(Arc::new(Scoped(config))),
    }

    #[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    pub struct Config {
        /// Descriptors; half of all without it.
        pub max_descriptors: Option<u64>,
        /// Half of all.
        pub derived: Option<u64>,
        /// Hosts.
        pub rate_hosts: Option<u64>,
        /// Limits by scope.
        pub limits: Map<String, Value>,
    }
    impl PluginConfig for Config {
        const FILE: &'static str = file!();
    }

    #[derive(Debug)]
    struct Scoped(Config);
    impl ResourceManager for Scoped {
        fn open_connection(
            &self,
            _: &ConnectionRequest<'_>,
        ) -> Result<Box<dyn ConnectionScope>, LimitExceeded> {
            Err(LimitExceeded { scope: "fake".into(), current: 0, limit: 0, key: "fake".into() })
        }
        fn usage(&self, _: usize) -> Vec<Usage> {
            Vec::new()
        }
        fn limits(&self) -> Vec<Limit> {
            let Config { max_descriptors, derived, limits, .. } = &self.0;
            let connections = limits.get("system").and_then(|system| system.get("connections"));
            let row = |resource, limit: Option<u64>, key: &str, why: &str| Limit {
                scope: "system".into(),
                resource,
                limit,
                key: key.into(),
                why: why.into(),
            };
            let (descriptors, why) = match derived {
                Some(half) => (Some(*half), "derived: half of all"),
                None => (*max_descriptors, "configured"),
            };
            vec![
                row(
                    Resource::Connections,
                    connections.and_then(Value::as_u64),
                    "resources.scoped.limits.system.connections",
                    "configured",
                ),
                row(Resource::Descriptors, descriptors, "resources.scoped.max_descriptors", why),
            ]
        }
    }
}

macro_rules! protocol {
    ($module:ident, $name:literal) => {
        /// A handler that ends every stream.
        pub mod $module {
            use async_trait::async_trait;
            use skep_api::{
                config::NoConfig,
                protocol::{InboundStream, ProtocolError, ProtocolHandler},
                register_protocol,
            };
            use std::sync::Arc;

            register_protocol! {
                name: $name,
                summary: "fake protocol",
                example: "",
                config: NoConfig,
                build: |_, _| Ok(Arc::new(Handler)),
            }

            #[derive(Debug)]
            struct Handler;
            #[async_trait]
            impl ProtocolHandler for Handler {
                fn protocols(&self) -> Vec<String> {
                    vec![concat!("/fake/", $name).into()]
                }
                async fn serve(&self, _stream: InboundStream) -> Result<(), ProtocolError> {
                    Ok(())
                }
            }
        }
    };
}

protocol!(ping, "ping");
protocol!(identify, "identify");
