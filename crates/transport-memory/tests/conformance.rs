//! What every transport owes.

skep_testkit::plugin_suite!(skep_transport_memory::PLUGIN);
skep_testkit::transport_suite!(skep_transport_memory::PLUGIN, "/memory/0");
