//! The suites of the conformance kit, one module per plugin.

mod ping {
    skep_testkit::plugin_suite!(skep_protocols::ping::PLUGIN);
}

mod identify {
    skep_testkit::plugin_suite!(skep_protocols::identify::PLUGIN);
}

mod perf {
    skep_testkit::plugin_suite!(skep_protocols::perf::PLUGIN);
}
