//! Every plugin that this binary links. To add one: depend on its crate and name its descriptor here.

skep_swarm::plugins! {
    skep_transport_tcp::PLUGIN,
    skep_transport_memory::PLUGIN,
    skep_security_noise::PLUGIN,
    skep_muxer_yamux::PLUGIN,
    skep_policies::gate::ip_filter::PLUGIN,
    skep_policies::pruner::watermark::PLUGIN,
    skep_policies::resolver::dns::PLUGIN,
    skep_policies::resolver::r#static::PLUGIN,
    skep_policies::ranker::smart::PLUGIN,
    skep_policies::ranker::sequential::PLUGIN,
    skep_policies::peerstore::memory::PLUGIN,
    skep_policies::peerstore::redb::PLUGIN,
    skep_policies::selector::best::PLUGIN,
    skep_policies::resources::scoped::PLUGIN,
    skep_policies::resources::none::PLUGIN,
    skep_protocols::ping::PLUGIN,
    skep_protocols::identify::PLUGIN,
}
