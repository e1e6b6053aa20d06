//! What TLS is made of here: AWS-LC, TLS 1.3 alone, and which ciphers and key exchanges come first.

use rustls::crypto::{
    CryptoProvider, SupportedKxGroup,
    aws_lc_rs::{
        self,
        cipher_suite::{TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256},
        kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768},
    },
};
use std::sync::Arc;

/// How two ends find their common secret.
///
/// The hybrid of X25519 and ML-KEM-768 also withstands a quantum computer that decrypts tomorrow what was recorded
/// today. It costs about 14 % of the connections that a core can make in a second, and 2.3 KB more on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyExchange {
    /// X25519, then NIST P-256 and P-384. A dialler does not even name the hybrid: a listener that prefers it, as
    /// Go's does, would ask for it by a retry, which costs a round trip. A listener follows the dialler's order, and
    /// so takes the hybrid from one that comes with it; that costs nothing for all others.
    #[default]
    Classical,
    /// The hybrid first, the others for peers that do not have it.
    PostQuantum,
}

/// Which end of a connection a configuration is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Client,
    Server,
}

/// Whether this processor has instructions for AES-GCM. Without them ChaCha20-Poly1305 is the faster cipher.
#[must_use]
pub fn has_fast_aes() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq")
    }
    #[cfg(target_arch = "aarch64")]
    {
        std::arch::is_aarch64_feature_detected!("aes") && std::arch::is_aarch64_feature_detected!("pmull")
    }
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    {
        false
    }
}

/// The primitives for one end.
pub(crate) fn provider(key_exchange: KeyExchange, end: End) -> Arc<CryptoProvider> {
    let cipher_suites = if has_fast_aes() {
        vec![TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256]
    } else {
        vec![TLS13_CHACHA20_POLY1305_SHA256, TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384]
    };
    let kx_groups = key_exchanges(key_exchange, end);
    Arc::new(CryptoProvider { cipher_suites, kx_groups, ..aws_lc_rs::default_provider() })
}

fn key_exchanges(key_exchange: KeyExchange, end: End) -> Vec<&'static dyn SupportedKxGroup> {
    let classical = [X25519, SECP256R1, SECP384R1].into_iter();
    match (key_exchange, end) {
        (KeyExchange::PostQuantum, _) => std::iter::once(X25519MLKEM768).chain(classical).collect(),
        (KeyExchange::Classical, End::Client) => classical.collect(),
        (KeyExchange::Classical, End::Server) => classical.chain([X25519MLKEM768]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::NamedGroup;

    #[test]
    fn ciphers_are_those_of_tls_13_the_fast_ones_first() {
        for end in [End::Client, End::Server] {
            let suites = provider(KeyExchange::Classical, end).cipher_suites.clone();
            assert_eq!(suites.len(), 3);
            assert!(suites.iter().all(|suite| suite.tls13().is_some()));
            assert_eq!(suites[0] == TLS13_AES_128_GCM_SHA256, has_fast_aes());
        }
    }

    #[test]
    fn a_dialler_offers_the_hybrid_only_when_asked_to() {
        let names = |key_exchange, end| -> Vec<_> {
            provider(key_exchange, end).kx_groups.iter().map(|group| group.name()).collect()
        };
        let hybrid = NamedGroup::X25519MLKEM768;
        assert!(!names(KeyExchange::Classical, End::Client).contains(&hybrid));
        assert_eq!(names(KeyExchange::Classical, End::Client)[0], NamedGroup::X25519);
        assert_eq!(names(KeyExchange::Classical, End::Server).last(), Some(&hybrid));
        assert_eq!(names(KeyExchange::PostQuantum, End::Client)[0], hybrid);
        assert_eq!(names(KeyExchange::PostQuantum, End::Server)[0], hybrid);
    }
}
