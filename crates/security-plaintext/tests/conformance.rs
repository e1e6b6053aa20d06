//! The obligations of the contract that a plaintext upgrade can keep.

skep_testkit::plugin_suite!(skep_security_plaintext::PLUGIN);
skep_testkit::insecure_upgrader_suite!(skep_security_plaintext::PLUGIN);
