//! Connections that are begun and never finished, many of them, on every transport: an honest peer is served meanwhile,
//! what a node holds for them stays under a bound that does not grow with their number, and nothing of them is left.
//!
//! By hand, one transport after the other:
//! `SKEP_TEST_HANDSHAKES=100000 cargo test --release -p skep --test half_open -- --nocapture --test-threads 1`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod held;
mod initial;
mod openers;
mod scene;

use openers::Opener;
use scene::{Kind, half_open};
use skep_tls::rustls::{ClientConnection, pki_types::ServerName};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What a dialler proposes before its first message of Noise, of TLS, and of a WebSocket.
const NOISE: &[u8] = b"\x13/multistream/1.0.0\n\x07/noise\n";
const TLS: &[u8] = b"\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n";
const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// The first half of a message.
fn half(message: &[u8]) -> Vec<u8> {
    message[..message.len() / 2].to_vec()
}

/// A message of Noise that ends in its middle.
fn half_of_noise() -> Vec<u8> {
    [NOISE, &[0, 32], &[7; 16]].concat()
}

fn half_a_client_hello() -> Vec<u8> {
    let name = ServerName::try_from("libp2p").unwrap();
    let mut client = ClientConnection::new(initial::config(), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    [TLS, &half(&hello)].concat()
}

#[test]
fn over_tcp() {
    half_open(Kind::Tcp, &Opener::streams([Vec::new(), half(NOISE), half_of_noise()]));
}

#[test]
fn over_tls() {
    half_open(Kind::Tls, &Opener::streams([half_a_client_hello()]));
}

#[test]
fn over_websocket() {
    half_open(Kind::WebSocket, &Opener::streams([half(UPGRADE), UPGRADE.to_vec()]));
}

#[test]
fn over_a_port_of_tcp_and_websocket() {
    // The second may still become one or the other.
    let starts = [Vec::new(), b"\x13".to_vec(), b"GE".to_vec(), half(NOISE), half(UPGRADE)];
    half_open(Kind::SharedPort, &Opener::streams(starts));
}

#[test]
fn over_quic() {
    half_open(Kind::Quic, &Opener::Datagrams);
}
