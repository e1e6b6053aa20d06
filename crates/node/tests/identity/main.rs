//! Peers that do not prove who they are, at either end of a connection, against whole nodes: none of them is let in,
//! whatever the transport and the security, and an honest peer is served right after.
//!
//! Each table has a row in which nothing is bent. It has to be let in and served, for everything else would also pass
//! if nobody ever were.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod attack;
mod bend;
mod certificate;
mod honest;
mod knock;
mod noise;
mod quic;

use attack::table;
use bend::Bend::{self, *};
use noise::Noise;
use quic::Quic;
use skep::api::security::Role;

/// What becomes of a peer that bends nothing.
const LET_IN: &str = "connected, its stream was served";

#[tokio::test]
async fn noise_from_a_bad_dialler() {
    let rows: &[(Bend, &str)] = &[
        (Nothing, LET_IN),
        (NoProof, "security noise bad_identity"),
        (EmptySignature, "security noise bad_signature"),
        (FlippedBit, "security noise bad_signature"),
        (SignedByAnother, "security noise bad_signature"),
        (AnotherChannelKey, "security noise bad_signature"),
        (ThirdParty, "security noise bad_signature"),
        (Replayed, "security noise bad_signature"),
        (OversizedRsa, "security noise bad_identity"),
    ];
    table(&Noise, Role::Dialer, rows).await;
}

#[tokio::test]
async fn noise_from_a_bad_listener() {
    let rows: &[(Bend, &str)] = &[
        (Nothing, LET_IN),
        (NoProof, "security noise bad_identity"),
        (EmptySignature, "security noise bad_signature"),
        (FlippedBit, "security noise bad_signature"),
        (SignedByAnother, "security noise bad_signature"),
        (AnotherChannelKey, "security noise bad_signature"),
        (ThirdParty, "security noise bad_signature"),
        (OwnNameInstead, "security noise wrong_peer"),
        (Replayed, "security noise bad_signature"),
        (OversizedRsa, "security noise bad_identity"),
    ];
    table(&Noise, Role::Listener, rows).await;
}

#[tokio::test]
async fn quic_from_a_bad_dialler() {
    let rows: &[(Bend, &str)] = &[
        (Nothing, LET_IN),
        (NoProof, "connect quic handshake bad_signature"),
        (EmptySignature, "connect quic handshake bad_signature"),
        (FlippedBit, "connect quic handshake bad_signature"),
        (SignedByAnother, "connect quic handshake bad_signature"),
        (AnotherChannelKey, "connect quic handshake bad_signature"),
        (ThirdParty, "connect quic handshake bad_signature"),
        (NoCertificate, "connect quic handshake bad_signature"),
        (TwoCertificates, "connect quic handshake malformed_handshake"),
        (Expired, "connect quic handshake bad_signature"),
        (NotYetValid, "connect quic handshake bad_signature"),
        (CertifiedByAnother, "connect quic handshake bad_signature"),
        (Replayed, "connect quic handshake bad_signature"),
        (ReplayedExtension, "connect quic handshake bad_signature"),
        (OversizedRsa, "connect quic handshake bad_identity"),
    ];
    table(&Quic, Role::Dialer, rows).await;
}

#[tokio::test]
async fn quic_from_a_bad_listener() {
    let rows: &[(Bend, &str)] = &[
        (Nothing, LET_IN),
        (NoProof, "connect quic handshake bad_signature"),
        (EmptySignature, "connect quic handshake bad_signature"),
        (FlippedBit, "connect quic handshake bad_signature"),
        (SignedByAnother, "connect quic handshake bad_signature"),
        (AnotherChannelKey, "connect quic handshake bad_signature"),
        (ThirdParty, "connect quic handshake bad_signature"),
        (OwnNameInstead, "connect quic handshake wrong_peer"),
        (NoCertificate, "connect quic handshake bad_signature"),
        (TwoCertificates, "connect quic handshake malformed_handshake"),
        (Expired, "connect quic handshake bad_signature"),
        (NotYetValid, "connect quic handshake bad_signature"),
        (CertifiedByAnother, "connect quic handshake bad_signature"),
        (Replayed, "connect quic handshake bad_signature"),
        (ReplayedExtension, "connect quic handshake bad_signature"),
        (OversizedRsa, "connect quic handshake bad_identity"),
    ];
    table(&Quic, Role::Listener, rows).await;
}
