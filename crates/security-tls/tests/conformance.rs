//! The obligations of the contract, tested by the suites that every plugin runs.

skep_testkit::plugin_suite!(skep_security_tls::PLUGIN);
skep_testkit::security_suite!(skep_security_tls::PLUGIN);
