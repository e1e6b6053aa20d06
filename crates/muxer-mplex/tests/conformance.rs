//! The obligations of the contracts, on this plugin.

skep_testkit::plugin_suite!(skep_muxer_mplex::PLUGIN);
skep_testkit::muxer_suite!(skep_muxer_mplex::PLUGIN);
