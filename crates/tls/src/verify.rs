//! What a peer's certificate has to fulfil, checked in one pass (libp2p specs, tls/tls.md).

use crate::{
    error::{BadCertificate, Timestamp},
    signed_key::{OID_DER, SignedKey, signed_message},
};
use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use rustls::pki_types::{CertificateDer, UnixTime};
use skep_api::security::{Evidence, SecurityError, Verified, Verifier};
use x509_parser::{
    certificate::X509Certificate,
    extensions::{ParsedExtension, X509Extension},
    oid_registry::{
        OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_NIST_HASH_SHA256, OID_NIST_HASH_SHA384,
        OID_NIST_HASH_SHA512, OID_PKCS1_RSASSAPSS, OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA,
        OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384,
        OID_SIG_ECDSA_WITH_SHA512, OID_SIG_ED25519, Oid,
    },
    prelude::FromDer,
    signature_algorithm::RsaSsaPssParams,
    x509::{AlgorithmIdentifier, SubjectPublicKeyInfo},
};

/// Largest certificate that is looked at, in bytes. With RSA keys of 8192 bits for both identity and certificate it
/// takes about 5 KiB.
pub const MAX_CERTIFICATE_LEN: usize = 8192;

/// A certificate that proves who the peer is, once the peer has proved that it holds its key.
#[derive(Debug)]
pub(crate) struct Proof {
    /// Who it speaks of.
    pub(crate) verified: Verified,
    /// The certificate's key, a `SubjectPublicKeyInfo` in DER.
    pub(crate) key: Vec<u8>,
}

/// Checks the certificates that a peer sent, of which `others` come after the first. The cheap checks come first.
pub(crate) fn check(
    certificate: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    now: UnixTime,
    verifier: Verifier,
) -> Result<Proof, Refused> {
    if !others.is_empty() {
        return Err(BadCertificate::Count { found: others.len().saturating_add(1) }.into());
    }
    if certificate.len() > MAX_CERTIFICATE_LEN {
        return Err(BadCertificate::TooLarge { len: certificate.len() }.into());
    }
    let (rest, x509) = X509Certificate::from_der(certificate)
        .map_err(|error| BadCertificate::Malformed(error.to_string().into()))?;
    if !rest.is_empty() {
        return Err(BadCertificate::Trailing { extra: rest.len() }.into());
    }
    check_validity(&x509, now)?;
    let signed = find_signed_key(&x509)?;
    check_self_signature(&x509)?;
    let key = x509.public_key().raw;
    let message = signed_message(key);
    let verified = verifier.verify(Evidence {
        identity_key: signed.identity_key,
        message: &message,
        signature: signed.signature,
    })?;
    Ok(Proof { verified, key: key.to_vec() })
}

/// Why a certificate was refused.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The certificate is wrong.
    Certificate(BadCertificate),
    /// What it proves is not enough, or not what was expected.
    Identity(SecurityError),
}

impl From<BadCertificate> for Refused {
    fn from(error: BadCertificate) -> Self {
        Self::Certificate(error)
    }
}

impl From<SecurityError> for Refused {
    fn from(error: SecurityError) -> Self {
        Self::Identity(error)
    }
}

fn check_validity(x509: &X509Certificate<'_>, now: UnixTime) -> Result<(), BadCertificate> {
    let now = Timestamp(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    let from = Timestamp(x509.validity().not_before.timestamp());
    let until = Timestamp(x509.validity().not_after.timestamp());
    if now < from {
        return Err(BadCertificate::NotYetValid { from, now });
    }
    if now > until {
        return Err(BadCertificate::Expired { until, now });
    }
    Ok(())
}

/// Finds the libp2p extension, and refuses critical ones that are not understood.
fn find_signed_key<'a>(x509: &X509Certificate<'a>) -> Result<SignedKey<'a>, BadCertificate> {
    let mut found = None;
    for extension in x509.extensions() {
        if extension.oid.as_bytes() == OID_DER {
            let signed = SignedKey::decode(extension.value).ok_or(BadCertificate::BadExtension)?;
            if found.replace(signed).is_some() {
                return Err(BadCertificate::RepeatedExtension);
            }
        } else if extension.critical {
            check_critical(extension)?;
        }
    }
    found.ok_or(BadCertificate::NoExtension)
}

fn check_critical(extension: &X509Extension<'_>) -> Result<(), BadCertificate> {
    match extension.parsed_extension() {
        // Whether it is the certificate of an authority makes no difference where nothing is signed but itself.
        ParsedExtension::BasicConstraints(_) => Ok(()),
        ParsedExtension::KeyUsage(usage) if usage.digital_signature() => Ok(()),
        ParsedExtension::KeyUsage(_) => Err(BadCertificate::KeyUsage),
        _ => Err(BadCertificate::Critical { oid: extension.oid.to_id_string() }),
    }
}

fn check_self_signature(x509: &X509Certificate<'_>) -> Result<(), BadCertificate> {
    let algorithm = &x509.signature_algorithm;
    if *algorithm != x509.tbs_certificate.signature {
        return Err(BadCertificate::AlgorithmsDiffer);
    }
    let verification = verification(algorithm, x509.public_key())
        .ok_or_else(|| BadCertificate::Algorithm { oid: algorithm.algorithm.to_id_string() })?;
    if x509.signature_value.unused_bits != 0 {
        return Err(BadCertificate::SelfSignature);
    }
    UnparsedPublicKey::new(verification, &x509.public_key().subject_public_key.data)
        .verify(x509.tbs_certificate.as_ref(), &x509.signature_value.data)
        .map_err(|_| BadCertificate::SelfSignature)
}

/// The algorithm of a signature by such a key. SHA-1 and Ed448 are not among them.
fn verification(
    algorithm: &AlgorithmIdentifier<'_>,
    key: &SubjectPublicKeyInfo<'_>,
) -> Option<&'static dyn VerificationAlgorithm> {
    let oid = &algorithm.algorithm;
    let curve = || key.algorithm.parameters.as_ref()?.as_oid().ok();
    if *oid == OID_SIG_ED25519 {
        Some(&signature::ED25519)
    } else if *oid == OID_SIG_ECDSA_WITH_SHA256 {
        by_curve(&curve()?, &signature::ECDSA_P256_SHA256_ASN1, &signature::ECDSA_P384_SHA256_ASN1, None)
    } else if *oid == OID_SIG_ECDSA_WITH_SHA384 {
        let p521 = &signature::ECDSA_P521_SHA384_ASN1;
        by_curve(
            &curve()?,
            &signature::ECDSA_P256_SHA384_ASN1,
            &signature::ECDSA_P384_SHA384_ASN1,
            Some(p521),
        )
    } else if *oid == OID_SIG_ECDSA_WITH_SHA512 {
        let p521 = &signature::ECDSA_P521_SHA512_ASN1;
        by_curve(
            &curve()?,
            &signature::ECDSA_P256_SHA512_ASN1,
            &signature::ECDSA_P384_SHA512_ASN1,
            Some(p521),
        )
    } else if *oid == OID_PKCS1_SHA256WITHRSA {
        Some(&signature::RSA_PKCS1_2048_8192_SHA256)
    } else if *oid == OID_PKCS1_SHA384WITHRSA {
        Some(&signature::RSA_PKCS1_2048_8192_SHA384)
    } else if *oid == OID_PKCS1_SHA512WITHRSA {
        Some(&signature::RSA_PKCS1_2048_8192_SHA512)
    } else if *oid == OID_PKCS1_RSASSAPSS {
        by_pss_hash(algorithm)
    } else {
        None
    }
}

fn by_curve(
    curve: &Oid<'_>,
    p256: &'static dyn VerificationAlgorithm,
    p384: &'static dyn VerificationAlgorithm,
    p521: Option<&'static signature::EcdsaVerificationAlgorithm>,
) -> Option<&'static dyn VerificationAlgorithm> {
    if *curve == OID_EC_P256 {
        Some(p256)
    } else if *curve == OID_NIST_EC_P384 {
        Some(p384)
    } else if *curve == OID_NIST_EC_P521 {
        p521.map(|algorithm| algorithm as _)
    } else {
        None
    }
}

fn by_pss_hash(algorithm: &AlgorithmIdentifier<'_>) -> Option<&'static dyn VerificationAlgorithm> {
    let params = RsaSsaPssParams::try_from(algorithm.parameters.as_ref()?).ok()?;
    let hash = params.hash_algorithm_oid();
    if *hash == OID_NIST_HASH_SHA256 {
        Some(&signature::RSA_PSS_2048_8192_SHA256)
    } else if *hash == OID_NIST_HASH_SHA384 {
        Some(&signature::RSA_PSS_2048_8192_SHA384)
    } else if *hash == OID_NIST_HASH_SHA512 {
        Some(&signature::RSA_PSS_2048_8192_SHA512)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
