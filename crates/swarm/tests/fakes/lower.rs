//! Transports, security and muxer.

/// A raw transport for `/tcp/…`.
pub mod tcp {
    use async_trait::async_trait;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use skep_api::{
        Multiaddr, PluginConfig, Problems,
        config::DurationText,
        multiaddr::Protocol,
        register_transport,
        transport::{Link, Listener, Transport, TransportCapabilities, TransportError, TransportErrorKind},
    };
    use std::sync::Arc;

    register_transport! {
        name: "tcp",
        summary: "fake TCP",
        example: "nodelay = true",
        config: Config,
        build: |config, _| Ok(Arc::new(Tcp { config })),
    }

    #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    pub struct Config {
        /// Off costs latency.
        pub nodelay: bool,
        /// Connections that wait, 1 to 65535.
        pub backlog: u32,
        /// How long a dial may take.
        pub connect_timeout: DurationText,
        /// Hops.
        pub ttl: Option<u32>,
    }
    impl Default for Config {
        fn default() -> Self {
            Self { nodelay: true, backlog: 1024, connect_timeout: DurationText::secs(5), ttl: None }
        }
    }
    impl PluginConfig for Config {
        const FILE: &'static str = file!();
        fn validate(&self, problems: &mut Problems) {
            problems.range("backlog", self.backlog.into(), 1..=65_535);
        }
    }

    #[derive(Debug)]
    pub struct Tcp {
        pub config: Config,
    }
    #[async_trait]
    impl Transport for Tcp {
        fn supports(&self, addr: &Multiaddr) -> bool {
            addr.iter().nth(1).is_some_and(|p| matches!(p, Protocol::Tcp(_)))
        }
        fn capabilities(&self) -> TransportCapabilities {
            TransportCapabilities::raw_stream()
        }
        async fn dial(&self, addr: &Multiaddr) -> Result<Link, TransportError> {
            Err(TransportError::new(TransportErrorKind::Closed, addr.to_string()))
        }
        async fn listen(&self, addr: &Multiaddr) -> Result<Box<dyn Listener>, TransportError> {
            Err(TransportError::new(TransportErrorKind::Closed, addr.to_string()))
        }
    }
}

/// A transport for addresses with this part that comes secured and multiplexed.
macro_rules! muxed {
    ($module:ident, $name:literal, $part:pat) => {
        pub mod $module {
            use async_trait::async_trait;
            use skep_api::{
                Multiaddr,
                config::NoConfig,
                multiaddr::Protocol,
                register_transport,
                transport::{
                    Link, Listener, Transport, TransportCapabilities, TransportError, TransportErrorKind,
                },
            };
            use std::sync::Arc;

            register_transport! {
                name: $name,
                summary: "a fake",
                example: "",
                config: NoConfig,
                build: |_, _| Ok(Arc::new(Muxed)),
            }

            #[derive(Debug)]
            struct Muxed;
            #[async_trait]
            impl Transport for Muxed {
                fn supports(&self, addr: &Multiaddr) -> bool {
                    addr.iter().any(|p| matches!(p, $part))
                }
                fn capabilities(&self) -> TransportCapabilities {
                    TransportCapabilities::muxed()
                }
                async fn dial(&self, addr: &Multiaddr) -> Result<Link, TransportError> {
                    Err(TransportError::new(TransportErrorKind::Closed, addr.to_string()))
                }
                async fn listen(&self, addr: &Multiaddr) -> Result<Box<dyn Listener>, TransportError> {
                    Err(TransportError::new(TransportErrorKind::Closed, addr.to_string()))
                }
            }
        }
    };
}

muxed!(memory, "memory", Protocol::Memory(_));
muxed!(quic, "quic", Protocol::QuicV1);

/// A muxer that is never started.
pub mod yamux {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use skep_api::{
        BoxIo, PluginConfig,
        muxer::{Muxed, Muxer},
        register_muxer,
        security::Role,
    };
    use std::sync::Arc;

    register_muxer! {
        name: "yamux",
        summary: "fake yamux",
        example: "max_streams = 1",
        config: Config,
        build: |_, _| Ok(Arc::new(Yamux)),
    }

    #[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    pub struct Config {
        pub max_streams: u32,
        pub max_receive_window: u64,
        pub frame_size: u32,
        pub accept_backlog: u32,
    }
    impl PluginConfig for Config {
        const FILE: &'static str = file!();
    }

    #[derive(Debug)]
    struct Yamux;
    impl Muxer for Yamux {
        fn protocol(&self) -> &'static str {
            "/yamux/1.0.0"
        }
        fn mux(&self, _io: BoxIo, _role: Role) -> Muxed {
            unreachable!("assembly starts no connection")
        }
    }
}
