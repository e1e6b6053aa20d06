//! Services that do nothing.

macro_rules! idle {
    ($name:ident, $word:literal) => {
        pub mod $name {
            use async_trait::async_trait;
            use skep_api::{
                config::NoConfig,
                register_service,
                service::{NodeControl, Service},
            };
            use std::sync::Arc;

            register_service! {
                name: $word,
                summary: "fake service",
                example: "",
                config: NoConfig,
                build: |_, _| Ok(Arc::new(Idle)),
            }

            #[derive(Debug)]
            struct Idle;

            #[async_trait]
            impl Service for Idle {
                async fn run(&self, _: Arc<dyn NodeControl>) {}
            }
        }
    };
}

idle!(reconnect, "reconnect");
idle!(health, "health");
