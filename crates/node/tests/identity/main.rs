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
mod tls;

use attack::table;
use bend::Bend::{self, *};
use noise::Noise;
use quic::Quic;
use skep::api::security::Role;
use tls::Tls;

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
async fn tls_from_a_bad_dialler() {
    let rows: &[(Bend, &str)] = &[
        (Nothing, LET_IN),
        (NoProof, "security tls bad_signature"),
        (EmptySignature, "security tls bad_signature"),
        (FlippedBit, "security tls bad_signature"),
        (SignedByAnother, "security tls bad_signature"),
        (AnotherChannelKey, "security tls bad_signature"),
        (ThirdParty, "security tls bad_signature"),
        (NoCertificate, "security tls bad_signature"),
        (TwoCertificates, "security tls malformed_handshake"),
        (Expired, "security tls bad_signature"),
        (NotYetValid, "security tls bad_signature"),
        (CertifiedByAnother, "security tls bad_signature"),
        (Replayed, "security tls bad_signature"),
        (ReplayedExtension, "security tls bad_signature"),
        (OversizedRsa, "security tls bad_identity"),
    ];
    table(&Tls, Role::Dialer, rows).await;
}

#[tokio::test]
async fn tls_from_a_bad_listener() {
    let rows: &[(Bend, &str)] = &[
        (Nothing, LET_IN),
        (NoProof, "security tls bad_signature"),
        (EmptySignature, "security tls bad_signature"),
        (FlippedBit, "security tls bad_signature"),
        (SignedByAnother, "security tls bad_signature"),
        (AnotherChannelKey, "security tls bad_signature"),
        (ThirdParty, "security tls bad_signature"),
        (OwnNameInstead, "security tls wrong_peer"),
        (NoCertificate, "security tls bad_signature"),
        (TwoCertificates, "security tls malformed_handshake"),
        (Expired, "security tls bad_signature"),
        (NotYetValid, "security tls bad_signature"),
        (CertifiedByAnother, "security tls bad_signature"),
        (Replayed, "security tls bad_signature"),
        (ReplayedExtension, "security tls bad_signature"),
        (OversizedRsa, "security tls bad_identity"),
    ];
    table(&Tls, Role::Listener, rows).await;
}

#[tokio::test]
async fn quic_from_a_bad_dialler() {
    let rows: &[(Bend, &str)] = &[
        (Nothing, LET_IN),
        (NoProof, "security quic bad_signature"),
        (EmptySignature, "security quic bad_signature"),
        (FlippedBit, "security quic bad_signature"),
        (SignedByAnother, "security quic bad_signature"),
        (AnotherChannelKey, "security quic bad_signature"),
        (ThirdParty, "security quic bad_signature"),
        (NoCertificate, "security quic bad_signature"),
        (TwoCertificates, "security quic malformed_handshake"),
        (Expired, "security quic bad_signature"),
        (NotYetValid, "security quic bad_signature"),
        (CertifiedByAnother, "security quic bad_signature"),
        (Replayed, "security quic bad_signature"),
        (ReplayedExtension, "security quic bad_signature"),
        (OversizedRsa, "security quic bad_identity"),
    ];
    table(&Quic, Role::Dialer, rows).await;
}

#[tokio::test]
async fn quic_from_a_bad_listener() {
    let rows: &[(Bend, &str)] = &[
        (Nothing, LET_IN),
        (NoProof, "security quic bad_signature"),
        (EmptySignature, "security quic bad_signature"),
        (FlippedBit, "security quic bad_signature"),
        (SignedByAnother, "security quic bad_signature"),
        (AnotherChannelKey, "security quic bad_signature"),
        (ThirdParty, "security quic bad_signature"),
        (OwnNameInstead, "security quic wrong_peer"),
        (NoCertificate, "connect quic handshake"),
        (TwoCertificates, "security quic malformed_handshake"),
        (Expired, "security quic bad_signature"),
        (NotYetValid, "security quic bad_signature"),
        (CertifiedByAnother, "security quic bad_signature"),
        (Replayed, "security quic bad_signature"),
        (ReplayedExtension, "security quic bad_signature"),
        (OversizedRsa, "security quic bad_identity"),
    ];
    table(&Quic, Role::Listener, rows).await;
}
