//! What every transport owes.

skep_testkit::plugin_suite!(skep_transport_websocket::PLUGIN);
skep_testkit::transport_suite!(skep_transport_websocket::PLUGIN, "/ip4/127.0.0.1/tcp/0/ws");
