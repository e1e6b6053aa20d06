//! What every transport owes, on both address families.

skep_testkit::plugin_suite!(skep_transport_quic::PLUGIN);
skep_testkit::transport_suite!(skep_transport_quic::PLUGIN, "/ip4/127.0.0.1/udp/0/quic-v1");

#[test]
fn ipv6_fulfils_the_contract_too() {
    if let Err(error) = std::net::UdpSocket::bind("[::1]:0") {
        eprintln!("skipped: this host has no IPv6 ({error})");
        return;
    }
    let fixture =
        skep_testkit::suite::transport::Fixture::of(skep_transport_quic::PLUGIN, "/ip6/::1/udp/0/quic-v1");
    let failures = skep_testkit::run_all(&skep_testkit::suite::transport::properties(), &fixture);
    assert_eq!(failures, []);
}
