//! A fault at each step of a reload: the node runs as before, and serves.

use super::{profile, start, state};
use crate::support::{ECHO, memory_node, serve_tests};
use skep::{
    Swarm,
    api::{
        BuildCx, Multiaddr, PeerId,
        config::NoConfig,
        gate::{Checkpoint, Denial, Gate, GateCx, Verdict},
        service::{NodeControl, Service},
    },
    swarm::{ReloadError, ReloadOptions, events::Event, registry::Registry},
};
use std::{sync::Arc, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const BASE: &str = "[stack]\ntransports = [\"memory\"]\nprotocols = [\"ping\"]\nservices = []\n";

/// A gate that cannot be built.
mod panics {
    use super::NoConfig;

    skep::api::register_gate! {
        name: "panics", summary: "panics while it is built", example: "", config: NoConfig,
        build: |_, _| panic!("on purpose"),
    }
}

/// A gate that denies one peer, and a service that panics at once.
mod strict {
    use super::{Arc, BuildCx, Checkpoint, Denial, Gate, GateCx, NodeControl, PeerId, Service, Verdict};
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use skep::api::PluginConfig;

    #[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    pub(super) struct Config {
        /// Who is denied.
        deny: String,
    }
    impl PluginConfig for Config {
        const FILE: &'static str = file!();
    }
    skep::api::register_gate! {
        name: "strict", summary: "denies one peer", example: "", config: Config,
        build: |config: Config, _: &BuildCx| Ok(Arc::new(Strict(config.deny.parse().ok()))),
    }

    #[derive(Debug)]
    struct Strict(Option<PeerId>);
    impl Gate for Strict {
        fn check(&self, point: &Checkpoint<'_>, _: &GateCx<'_>) -> Verdict {
            match point.peer() {
                Some(peer) if Some(*peer) == self.0 => Verdict::Deny(Denial::new("deny = it", "not wanted")),
                _ => Verdict::Allow,
            }
        }
    }

    pub(super) mod service {
        use super::{Arc, NodeControl, Service};
        use async_trait::async_trait;
        skep::api::register_service! {
            name: "doomed", summary: "panics at once", example: "", config: skep::api::config::NoConfig,
            build: |_, _| Ok(Arc::new(Doomed)),
        }
        #[derive(Debug)]
        struct Doomed;
        #[async_trait]
        impl Service for Doomed {
            async fn run(&self, _: Arc<dyn NodeControl>) {
                panic!("on purpose");
            }
        }
    }
}

fn registry() -> Registry {
    Registry::builder()
        .add(skep::transport_memory::PLUGIN)
        .add(skep::security_noise::PLUGIN)
        .add(skep::security_tls::PLUGIN)
        .add(skep::muxer_yamux::PLUGIN)
        .add(skep::policies::gate::ip_filter::PLUGIN)
        .add(skep::policies::pruner::watermark::PLUGIN)
        .add(skep::policies::resolver::dns::PLUGIN)
        .add(skep::policies::resolver::r#static::PLUGIN)
        .add(skep::policies::ranker::smart::PLUGIN)
        .add(skep::policies::peerstore::memory::PLUGIN)
        .add(skep::policies::selector::best::PLUGIN)
        .add(skep::policies::resources::scoped::PLUGIN)
        .add(skep::policies::resources::none::PLUGIN)
        .add(skep::protocols::ping::PLUGIN)
        .add(skep::protocols::identify::PLUGIN)
        .add(panics::PLUGIN)
        .add(strict::PLUGIN)
        .add(strict::service::PLUGIN)
        .build()
        .unwrap()
}

async fn echoes(node: &Swarm, port: u64) {
    let peer = memory_node();
    let addr: Multiaddr = format!("/memory/{port}").parse().unwrap();
    let mut stream = peer.dial_addr(&addr).await.unwrap().open_stream(&[ECHO.into()]).await.unwrap();
    stream.write_all(b"there").await.unwrap();
    stream.flush().await.unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"there");
    peer.shutdown(Duration::from_secs(1)).await;
    // The node is as it was before this peer.
    while node.total_connections() > 0 {
        tokio::task::yield_now().await;
    }
}

/// Each with the step that it fails at, and what it is told.
#[tokio::test(start_paused = true)]
async fn whatever_fails_leaves_the_node_as_it_was() {
    let base = format!("listen = [\"/memory/6100\"]\n{BASE}");
    let node = start(&base, &registry()).await;
    serve_tests(&node);
    // Taken by somebody else.
    let other = memory_node();
    other.listen(&"/memory/6199".parse().unwrap()).await.unwrap();
    // The application serves what a profile may want.
    node.set_stream_handler("/ipfs/id/1.0.0", |_| async {}).unwrap();
    let before = state(&node);
    let gone_wrong = [
        (
            "check: a mistake",
            format!("{base}[swarm]\nmax_connections = \"many\"\n"),
            "swarm.max_connections: invalid type",
        ),
        (
            "check: a rule across tables",
            format!("{base}[pruner.watermark]\nhigh = 500\nlow = 400\n"),
            "the high mark 500 is not below",
        ),
        (
            "compare: a restart",
            format!("{base}[swarm]\nmax_connections = 191\n"),
            "`swarm.max_connections` needs a restart; restart the node, or leave as they are: swarm.max_connections: 192 → 191 (restart)",
        ),
        (
            "compare: two restarts",
            format!("{base}[identity]\ngenerate = false\nkey_file = \"k\"\n"),
            "2 keys need a restart",
        ),
        (
            "compare: another layer",
            base.replace("[\"memory\"]", "[\"memory\", \"memory/b\"]"),
            "`stack.transports` needs a restart",
        ),
        (
            "build: a panic",
            base.replace("[stack]", "[stack]\ngates = [\"panics\"]"),
            "a plugin panicked while it was built: on purpose",
        ),
        (
            "bind: the second of two is taken",
            base.replace("\"/memory/6100\"", "\"/memory/6100\", \"/memory/6101\", \"/memory/6199\""),
            "a listener of the new configuration could not be bound",
        ),
        (
            "handlers: taken by the application",
            base.replace("[\"ping\"]", "[\"identify\", \"ping\"]"),
            "a protocol of the new configuration cannot be served",
        ),
    ];
    for (step, text, told) in gone_wrong {
        let error = node.reload(&profile(&text), ReloadOptions::default()).await.expect_err(step);
        assert!(error.to_string().contains(told), "{step}: {error}");
        assert_eq!(state(&node), before, "{step}");
        echoes(&node, 6100).await;
    }
    let dry = profile(&base.replace("\"/memory/6100\"", "\"/memory/6102\""));
    let report = node.reload(&dry, ReloadOptions::default().dry_run(true)).await.unwrap();
    assert!(report.dry_run && report.changes.len() == 1, "{report:?}");
    assert_eq!(state(&node), before);
    echoes(&node, 6100).await;
    node.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_composed_in_code_says_so() {
    let error = memory_node().reload(&profile(BASE), ReloadOptions::default()).await.unwrap_err();
    assert!(matches!(error, ReloadError::NotFromProfile));
}

/// After the commit nothing fails: a service that panics ends by itself.
#[tokio::test(start_paused = true)]
async fn a_service_that_panics_leaves_the_new_configuration_in_effect() {
    let base = format!("listen = [\"/memory/6200\"]\n{BASE}");
    let node = start(&base, &registry()).await;
    serve_tests(&node);
    let text = base.replace("services = []", "services = [\"doomed\"]");
    let report = node.reload(&profile(&text), ReloadOptions::default()).await.unwrap();
    assert_eq!(report.started, ["doomed"]);
    while node.metrics().panics == 0 {
        tokio::task::yield_now().await;
    }
    echoes(&node, 6200).await;
    let report = node.reload(&profile(&base), ReloadOptions::default()).await.unwrap();
    assert_eq!(report.stopped, ["doomed"]);
    node.shutdown(Duration::from_secs(1)).await;
}

/// Stricter rules end connections only when that is asked for, and in shadow they end nothing.
#[tokio::test(start_paused = true)]
async fn stricter_rules_are_applied_to_what_stands_when_that_is_asked_for() {
    let base = format!("listen = [\"/memory/6300\"]\n{BASE}");
    let node = start(&base, &registry()).await;
    let (bad, good) = (memory_node(), memory_node());
    for peer in [&bad, &good] {
        peer.dial_addr(&"/memory/6300".parse().unwrap()).await.unwrap();
    }
    let id = bad.peer_id();
    let shadow = format!("{base}[gate.strict]\ndeny = \"{id}\"\n")
        .replace("[stack]", "[stack]\ngates = [\"strict\"]\nshadow_gates = [\"strict\"]");
    let strict = shadow.replace("shadow_gates = [\"strict\"]\n", "");
    let mut events = bad.events();
    let recheck = ReloadOptions::default().recheck(true);
    let report = node.reload(&profile(&shadow), recheck).await.unwrap().rechecked.unwrap();
    assert_eq!((report.judged, report.closed.len()), (2, 0));
    let again = node.gates()[0].tally.iter().find(|tally| tally.checkpoint == "again").copied().unwrap();
    assert_eq!((again.allowed, again.denied), (1, 1));
    node.reload(&profile(&strict), ReloadOptions::default()).await.unwrap();
    assert_eq!(node.metrics().peers, 2);
    let report = node.reload(&profile(&strict), recheck).await.unwrap().rechecked.unwrap();
    assert_eq!((report.closed.len(), report.closed[0].peer), (1, id));
    assert_eq!(report.closed[0].denial, "not wanted (rule: deny = it)");
    assert!(node.connection(&id).is_none() && node.connection(&good.peer_id()).is_some());
    let reason = loop {
        if let Some(Event::Disconnected { reason, .. }) = events.next().await {
            break reason;
        }
    };
    assert!(reason.to_string().contains("gated"), "{reason}");
}
