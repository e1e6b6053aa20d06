//! The suites of the conformance kit, one module per plugin.

mod ip_filter {
    skep_testkit::plugin_suite!(skep_policies::gate::ip_filter::PLUGIN);
    skep_testkit::gate_suite!(skep_policies::gate::ip_filter::PLUGIN, r#"deny = ["10.0.0.0/8"]"#);
}

mod dns {
    skep_testkit::plugin_suite!(skep_policies::resolver::dns::PLUGIN);
    skep_testkit::resolver_suite!(skep_policies::resolver::dns::PLUGIN, "", &[]);
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

mod best {
    skep_testkit::plugin_suite!(skep_policies::selector::best::PLUGIN);
}
