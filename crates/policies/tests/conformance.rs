//! The suites of the conformance kit, one module per plugin.

mod ip_filter {
    skep_testkit::plugin_suite!(skep_policies::gate::ip_filter::PLUGIN);
    skep_testkit::gate_suite!(skep_policies::gate::ip_filter::PLUGIN, r#"deny = ["10.0.0.0/8"]"#);
}

mod dns {
    skep_testkit::plugin_suite!(skep_policies::resolver::dns::PLUGIN);
    skep_testkit::resolver_suite!(skep_policies::resolver::dns::PLUGIN);
}

mod watermark {
    skep_testkit::plugin_suite!(skep_policies::pruner::watermark::PLUGIN);
    skep_testkit::pruner_suite!(
        skep_policies::pruner::watermark::PLUGIN,
        "low = 2\nhigh = 4\ngrace = \"0s\""
    );
}

mod best {
    skep_testkit::plugin_suite!(skep_policies::selector::best::PLUGIN);
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
