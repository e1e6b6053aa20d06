//! The suites of the conformance kit, one module per plugin.

mod name_server;

mod ip_filter {
    skep_testkit::plugin_suite!(skep_policies::gate::ip_filter::PLUGIN);
    skep_testkit::gate_suite!(
        skep_policies::gate::ip_filter::PLUGIN,
        r#"deny = ["10.0.0.0/8", "127.0.0.0/8", "::1"]"#
    );
    mod exclusive {
        skep_testkit::gate_suite!(
            skep_policies::gate::ip_filter::PLUGIN,
            r#"
                allow = ["127.0.0.0/8", "8.8.8.8"]
                allow_peers = ["12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X"]
                deny_peers = ["QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"]
                allow_private_addresses = false
                allow_loopback_addresses = false
            "#
        );
    }
}

mod prefix_limit {
    skep_testkit::plugin_suite!(skep_policies::gate::prefix_limit::PLUGIN);
    skep_testkit::gate_suite!(
        skep_policies::gate::prefix_limit::PLUGIN,
        r#"
            inbound_v4 = [{ bits = 32, max = 8 }, { bits = 24, max = 32 }]
            inbound_v6 = [{ bits = 56, max = 8 }, { bits = 48, max = 32 }]
            outbound_v4 = [{ bits = 24, max = 32 }]
            outbound_v6 = [{ bits = 48, max = 32 }]
            exempt = ["192.168.0.0/16"]
        "#
    );
}

mod rate_limit {
    skep_testkit::plugin_suite!(skep_policies::gate::rate_limit::PLUGIN);
    skep_testkit::gate_suite!(
        skep_policies::gate::rate_limit::PLUGIN,
        r#"
            inbound_per_host = 1
            inbound_burst = 2
            inbound_total = 1
            inbound_total_burst = 20
            streams_per_peer = 1
            streams_burst = 2
            protocols = { "/ipfs/id/1.0.0" = { streams = 1, burst = 1 } }
            dials = 1
            dials_burst = 20
            dials_per_host = 1
            dials_per_host_burst = 3
            hosts = 2
            peers = 1
            exempt = ["192.168.0.0/16"]
        "#
    );
}

mod dns {
    skep_testkit::plugin_suite!(skep_policies::resolver::dns::PLUGIN);
    skep_testkit::resolver_suite!(
        skep_policies::resolver::dns::PLUGIN,
        format!("nameservers = [\"{}\"]", NameServer::start(endless).addr),
        &["/dnsaddr/a", "/dnsaddr/fan/tcp/1", "/dns/a/tcp/1", "/dns4/chain/tcp/1"]
    );

    use super::name_server::{NameServer, Reply, TXT, cname, txt};

    /// Every name leads to four others, as text and as another name.
    fn endless(name: &str, kind: u16) -> Reply {
        let name = name.trim_start_matches("_dnsaddr.");
        let more = |n| format!("{name}.{n}");
        Reply::Records(
            60,
            match kind {
                TXT => (0..4).map(|n| txt(&format!("dnsaddr=/dnsaddr/{}/tcp/1", more(n)))).collect(),
                _ => vec![cname(&more(0))],
            },
        )
    }
}

mod r#static {
    skep_testkit::plugin_suite!(skep_policies::resolver::r#static::PLUGIN);
    skep_testkit::resolver_suite!(
        skep_policies::resolver::r#static::PLUGIN,
        r#"
            hosts = { "localhost" = ["127.0.0.1", "::1"] }
            [dnsaddr]
            "self.test" = ["/dnsaddr/self.test", "/dnsaddr/SELF.test."]
            "a.test" = ["/dnsaddr/b.test", "/dnsaddr/b.test/tcp/1", "/dns/localhost/tcp/1"]
            "b.test" = ["/dnsaddr/a.test", "/dnsaddr/a.test/tcp/1", "/dns/localhost/tcp/2"]
        "#,
        &["/dnsaddr/self.test", "/dnsaddr/a.test", "/dnsaddr/b.test"]
    );
}

mod smart {
    skep_testkit::plugin_suite!(skep_policies::ranker::smart::PLUGIN);
    skep_testkit::ranker_suite!(skep_policies::ranker::smart::PLUGIN);
}

mod sequential {
    skep_testkit::plugin_suite!(skep_policies::ranker::sequential::PLUGIN);
    skep_testkit::ranker_suite!(skep_policies::ranker::sequential::PLUGIN);
}

mod watermark {
    skep_testkit::plugin_suite!(skep_policies::pruner::watermark::PLUGIN);
    skep_testkit::pruner_suite!(
        skep_policies::pruner::watermark::PLUGIN,
        "low = 2\nhigh = 4\ngrace = \"0s\""
    );
}

mod selectors {
    mod best {
        skep_testkit::plugin_suite!(skep_policies::selector::best::PLUGIN);
        skep_testkit::selector_suite!(skep_policies::selector::best::PLUGIN, "");
    }
    mod round_robin {
        skep_testkit::plugin_suite!(skep_policies::selector::round_robin::PLUGIN);
        skep_testkit::selector_suite!(skep_policies::selector::round_robin::PLUGIN, "");
    }
    mod least_loaded {
        skep_testkit::plugin_suite!(skep_policies::selector::least_loaded::PLUGIN);
        skep_testkit::selector_suite!(skep_policies::selector::least_loaded::PLUGIN, "");
    }
    mod latency_based {
        skep_testkit::plugin_suite!(skep_policies::selector::latency_based::PLUGIN);
        skep_testkit::selector_suite!(skep_policies::selector::latency_based::PLUGIN, "");
    }
    mod health_based {
        skep_testkit::plugin_suite!(skep_policies::selector::health_based::PLUGIN);
        skep_testkit::selector_suite!(skep_policies::selector::health_based::PLUGIN, "");
    }
}

const SMALL_PEERSTORE: &str = "max_peers = 8\nmax_addrs = 20\nmax_addrs_per_peer = 4\nmax_records = 4";

mod memory {
    skep_testkit::plugin_suite!(skep_policies::peerstore::memory::PLUGIN);
    skep_testkit::peerstore_suite!(skep_policies::peerstore::memory::PLUGIN, super::SMALL_PEERSTORE);
}

mod redb {
    skep_testkit::plugin_suite!(skep_policies::peerstore::redb::PLUGIN);
    skep_testkit::peerstore_suite!(skep_policies::peerstore::redb::PLUGIN, (super::SMALL_PEERSTORE, "path"));
}

mod auto_connect {
    skep_testkit::plugin_suite!(skep_policies::service::auto_connect::PLUGIN);
    skep_testkit::service_suite!(skep_policies::service::auto_connect::PLUGIN, "target = 4");
}

mod reconnect {
    skep_testkit::plugin_suite!(skep_policies::service::reconnect::PLUGIN);
    skep_testkit::service_suite!(skep_policies::service::reconnect::PLUGIN, "");
}

mod health {
    skep_testkit::plugin_suite!(skep_policies::service::health::PLUGIN);
    skep_testkit::service_suite!(
        skep_policies::service::health::PLUGIN,
        "interval = \"5s\"\nmin_health = 1.0\ncritical_health = 0.9\nbackoff = \"1s\""
    );
}

mod scoped {
    skep_testkit::plugin_suite!(skep_policies::resources::scoped::PLUGIN);
    skep_testkit::resources_suite!(
        skep_policies::resources::scoped::PLUGIN,
        r#"
            max_memory = "16MiB"
            max_descriptors = 40
            [limits.system]
            connections = 9
            connections_inbound = 6
            [limits.peer]
            connections = 3
            streams = 5
            [limits.protocol]
            streams = 2
        "#
    );
}

mod none {
    skep_testkit::plugin_suite!(skep_policies::resources::none::PLUGIN);
    skep_testkit::resources_suite!(skep_policies::resources::none::PLUGIN, "");
}
