//! Security upgrades that never run, a protector, and decorators.

use async_trait::async_trait;
use skep_api::{
    BoxIo,
    config::NoConfig,
    decorator::Decorator,
    muxer::Muxer,
    protector::{Protector, ProtectorError},
    security::{Role, SecureCx, Secured, SecurityError, SecurityErrorKind, Upgrader},
};
use std::sync::Arc;

/// An upgrade of which only the facts matter.
#[derive(Debug)]
struct Fake {
    protocol: &'static str,
    insecure: bool,
    at_full_speed: bool,
}

#[async_trait]
impl Upgrader for Fake {
    fn protocol(&self) -> &str {
        self.protocol
    }
    fn insecure(&self) -> bool {
        self.insecure
    }
    fn at_full_speed(&self) -> bool {
        self.at_full_speed
    }
    async fn secure(&self, _io: BoxIo, _cx: SecureCx) -> Result<Secured<BoxIo>, SecurityError> {
        Err(SecurityError::new(SecurityErrorKind::Malformed, "fake"))
    }
}

macro_rules! upgrade {
    ($module:ident, $name:literal, $protocol:literal, $insecure:literal, $at_full_speed:literal) => {
        pub mod $module {
            use super::*;
            skep_api::register_security! {
                name: $name,
                summary: "a fake",
                example: "",
                config: NoConfig,
                build: |_, _| Ok(Arc::new(Fake {
                    protocol: $protocol,
                    insecure: $insecure,
                    at_full_speed: $at_full_speed,
                })),
            }
        }
    };
}

upgrade!(noise, "noise", "/noise", false, true);
upgrade!(tls, "tls", "/tls/1.0.0", false, true);
upgrade!(slow_tls, "slow_tls", "/tls/1.0.0", false, false);
upgrade!(plaintext, "plaintext", "/plaintext/2.0.0", true, true);

/// A protector of two networks.
pub mod psk {
    use super::*;

    skep_api::register_protector! {
        name: "psk",
        summary: "a fake",
        example: "",
        config: NoConfig,
        build: |_, _| Ok(Arc::new(Psk)),
    }

    #[derive(Debug)]
    struct Psk;
    #[async_trait]
    impl Protector for Psk {
        fn fingerprints(&self) -> Vec<String> {
            vec!["aa".into(), "bb".into()]
        }
        async fn protect(&self, io: BoxIo, _role: Role) -> Result<BoxIo, ProtectorError> {
            Ok(io)
        }
    }
}

/// A decorator that goes around security and muxers, and notes its name in what they say.
pub mod ribbon {
    use super::*;
    use skep_api::{config::NoConfig, muxer::Muxed};

    skep_api::register_decorator! {
        name: "ribbon",
        summary: "a fake",
        example: "",
        config: NoConfig,
        build: |_, _| Ok(Arc::new(Ribbon)),
    }

    #[derive(Debug)]
    struct Ribbon;
    impl Decorator for Ribbon {
        fn security(&self, _name: &str, _inner: Arc<dyn Upgrader>) -> Option<Arc<dyn Upgrader>> {
            Some(Arc::new(Fake { protocol: "/ribbon", insecure: false, at_full_speed: true }))
        }
        fn muxer(&self, name: &str, inner: Arc<dyn Muxer>) -> Option<Arc<dyn Muxer>> {
            Some(Arc::new(Tied(format!("{} around {name}", inner.protocol()))))
        }
        fn warning(&self) -> Option<String> {
            Some("ties ribbons".into())
        }
    }

    #[derive(Debug)]
    struct Tied(String);
    impl Muxer for Tied {
        fn protocol(&self) -> &str {
            &self.0
        }
        fn mux(&self, _io: BoxIo, _role: Role) -> Muxed {
            unreachable!("assembly starts no connection")
        }
    }
}
