//! With TLS: who is trusted, and what is asked of a listener.
//!
//! `testdata/tls` has an authority of these tests, and a certificate for `localhost` and 127.0.0.1 that it signed, with
//! the key. Nothing else trusts them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod support;

use skep_api::{
    ConfigSection, Multiaddr,
    transport::{Link, Transport, TransportError, TransportErrorKind},
};
use skep_transport_websocket::{PLUGIN, UpgradeError};
use std::{error::Error, sync::Arc};
use support::{io_of, listen, socket_of};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const SERVES_FILES: &str = "certificate = \"files\"\ncertificate_file = \"testdata/tls/chain.pem\"\n\
    key_file = \"testdata/tls/key.pem\"";
const TRUSTS_FILES: &str = "roots = \"files\"\nroot_files = [\"testdata/tls/ca.pem\"]";

/// Tests run in the folder of their crate, which the paths begin from.
fn built(table: &str) -> Arc<dyn Transport> {
    let section = ConfigSection::from_table("transport.websocket", toml::from_str(table).expect("TOML"));
    (PLUGIN.build)(&section, &skep_testkit::build_cx()).unwrap_or_else(|e| panic!("{e}"))
}

/// What a dial of a listener by these tables comes to; `form` stands behind the port.
async fn dialled(serves: &str, trusts: &str, form: &str) -> Result<Link, TransportError> {
    let (server, client) = (built(serves), built(trusts));
    let (mut listener, addr) = listen(&*server, "/ip4/127.0.0.1/tcp/0/tls/ws").await;
    let to: Multiaddr = addr.to_string().replace("/tls/ws", form).parse().unwrap();
    let accepted = tokio::spawn(async move {
        let link = listener.accept().await.unwrap().accept().await?;
        io_of(link).write_all(b"!").await.unwrap();
        Ok::<_, TransportError>(())
    });
    let link = client.dial(&to).await;
    // Both ends find out.
    assert_eq!(accepted.await.unwrap().is_ok(), link.is_ok());
    link
}

#[tokio::test]
async fn a_certificate_is_trusted_for_its_names_and_by_those_who_know_its_authority() {
    for form in ["/tls/ws", "/wss", "/tls/sni/localhost/ws"] {
        dialled(SERVES_FILES, TRUSTS_FILES, form).await.unwrap_or_else(|e| panic!("{form}: {e}"));
    }
    for (serves, trusts, form) in [
        (SERVES_FILES, TRUSTS_FILES, "/tls/sni/other.test/ws"),
        ("certificate = \"self_signed\"", TRUSTS_FILES, "/tls/sni/localhost/ws"),
    ] {
        let error = dialled(serves, trusts, form).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Handshake, "{form}: {error}");
        let source = error.source().and_then(|source| source.downcast_ref());
        assert!(matches!(source, Some(UpgradeError::Tls(_))), "{form}: {error:?}");
    }
}

#[tokio::test]
async fn without_a_check_any_certificate_will_do() {
    for form in ["/tls/ws", "/tls/sni/other.test/ws"] {
        dialled("certificate = \"self_signed\"", "roots = \"none\"", form).await.unwrap();
    }
}

#[tokio::test]
async fn a_name_that_is_none_is_told() {
    let addr = "/ip4/127.0.0.1/tcp/9/tls/sni/*.test/ws".parse().unwrap();
    // The name is looked at once the connection is there.
    let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = tcp.local_addr().unwrap().port();
    let addr: Multiaddr = Multiaddr::to_string(&addr).replace("/9/", &format!("/{port}/")).parse().unwrap();
    let error = built("roots = \"none\"").dial(&addr).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Handshake);
    assert_eq!(error.source().unwrap().to_string(), "*.test is no name that a certificate can be for");
}

#[tokio::test]
async fn a_listener_without_a_certificate_is_refused_before_anything_is_opened() {
    let transport = built("");
    for form in ["tls/ws", "wss", "tls/sni/localhost/ws"] {
        let addr: Multiaddr = format!("/ip4/127.0.0.1/tcp/0/{form}").parse().unwrap();
        assert!(transport.supports(&addr), "dialling takes no certificate");
        let checked = transport.check_listen(&addr).unwrap_err();
        let error = transport.listen(&addr).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::Unconfigured);
        assert_eq!(error.to_string(), checked.to_string());
        assert_eq!(
            error.to_string(),
            format!(
                "the profile lacks what this address takes: {addr}: a listener with TLS has to present a certificate: set \
                 `certificate = \"files\"` with `certificate_file` and `key_file`, or `certificate = \"self_signed\"`"
            )
        );
    }
    let plain = "/ip4/127.0.0.1/tcp/0/ws".parse().unwrap();
    transport.check_listen(&plain).unwrap();
    built(SERVES_FILES).check_listen(&"/ip4/127.0.0.1/tcp/0/wss".parse().unwrap()).unwrap();
    let foreign = "/ip4/127.0.0.1/tcp/0".parse().unwrap();
    assert_eq!(transport.check_listen(&foreign).unwrap_err().kind(), TransportErrorKind::Unsupported);
}

#[tokio::test]
async fn a_client_without_tls_ends_its_connection_and_not_the_listener() {
    let transport = built("certificate = \"self_signed\"\nroots = \"none\"");
    let (mut listener, addr) = listen(&*transport, "/ip4/127.0.0.1/tcp/0/tls/ws").await;
    for junk in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x40\x00", &[0xff; 100_000]] {
        let mut tcp = TcpStream::connect(socket_of(&addr)).await.unwrap();
        let accept = async {
            let error = listener.accept().await.unwrap().accept().await.unwrap_err();
            assert!(
                matches!(error.kind(), TransportErrorKind::Handshake | TransportErrorKind::Reset),
                "{error}"
            );
        };
        let send = async {
            // The listener may close before all is sent.
            let _ = tcp.write_all(junk).await;
            let _ = tcp.shutdown().await;
            let _ = tcp.read_to_end(&mut Vec::new()).await;
        };
        tokio::join!(accept, send);
    }
    let dial = tokio::spawn(async move { transport.dial(&addr).await });
    listener.accept().await.unwrap().accept().await.unwrap();
    dial.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stalls_within_tls_runs_out_of_time() {
    let transport = built("certificate = \"self_signed\"");
    let (mut listener, addr) = listen(&*transport, "/ip4/127.0.0.1/tcp/0/tls/ws").await;
    let mut tcp = TcpStream::connect(socket_of(&addr)).await.unwrap();
    tcp.write_all(b"\x16\x03\x01").await.unwrap();
    let error = listener.accept().await.unwrap().accept().await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::TimedOut);
}
