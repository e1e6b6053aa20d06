//! What every transport owes, without TLS and with it.

use skep_testkit::suite::transport::{Fixture, properties};

skep_testkit::plugin_suite!(skep_transport_websocket::PLUGIN);
skep_testkit::transport_suite!(skep_transport_websocket::PLUGIN, "/ip4/127.0.0.1/tcp/0/ws");

const SELF_SIGNED: &str = "certificate = \"self_signed\"\nroots = \"none\"";

#[test]
fn every_form_of_address_fulfils_the_contract() {
    for form in ["wss", "tls/ws", "tls/sni/localhost/ws", "x-parity-ws/%2Fp2p", "tls/ws/http-path/p2p"] {
        let listen = format!("/ip4/127.0.0.1/tcp/0/{form}");
        let fixture = Fixture::with_table(skep_transport_websocket::PLUGIN, SELF_SIGNED, &listen);
        assert_eq!(skep_testkit::run_all(&properties(), &fixture), [], "{form}");
    }
}

#[test]
fn ipv6_fulfils_the_contract_too() {
    if let Err(error) = std::net::TcpListener::bind("[::1]:0") {
        eprintln!("skipped: this host has no IPv6 ({error})");
        return;
    }
    let fixture = Fixture::with_table(skep_transport_websocket::PLUGIN, SELF_SIGNED, "/ip6/::1/tcp/0/tls/ws");
    assert_eq!(skep_testkit::run_all(&properties(), &fixture), []);
}
