use super::*;
use crate::{
    Identity,
    error::BadCertificate,
    signed_key::{OID, SignedKey, signed_message},
};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PublicKeyData, SignatureAlgorithm,
};
use skep_api::{Keypair, PeerId, security::SecurityErrorKind};
use std::time::Duration;

/// 2023-11-14.
const NOW: u64 = 1_700_000_000;

fn check_for(der: &[u8], expected: Option<PeerId>) -> Result<Proof, Refused> {
    let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
    check(&CertificateDer::from(der), &[], now, Verifier::new(expected))
}

fn refused(der: &[u8]) -> BadCertificate {
    match check_for(der, None) {
        Err(Refused::Certificate(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn kind(der: &[u8], expected: Option<PeerId>) -> SecurityErrorKind {
    match check_for(der, expected) {
        Err(Refused::Identity(error)) => error.kind(),
        other => panic!("{other:?}"),
    }
}

/// A certificate in the making, right in all respects until something is changed.
struct Forge {
    identity: Keypair,
    key: KeyPair,
    params: CertificateParams,
}

impl Forge {
    fn new() -> Self {
        Self::by(&rcgen::PKCS_ECDSA_P256_SHA256)
    }

    fn by(algorithm: &'static SignatureAlgorithm) -> Self {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let identity = Keypair::generate_ed25519();
        let mut this = Self { identity, key, params: CertificateParams::default() };
        this.params.custom_extensions = vec![this.extension()];
        this
    }

    fn extension(&self) -> CustomExtension {
        let signature = self.identity.sign(&signed_message(&self.key.subject_public_key_info())).unwrap();
        let key = self.identity.public().encode_protobuf();
        let signed = SignedKey { identity_key: &key, signature: &signature };
        CustomExtension::from_oid_content(&OID, signed.encode())
    }

    fn with(mut self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        change(&mut self.params);
        self
    }

    fn der(&self) -> Vec<u8> {
        self.params.self_signed(&self.key).unwrap().der().to_vec()
    }

    fn signed_key(identity_key: &[u8], signature: &[u8]) -> Vec<u8> {
        let content = SignedKey { identity_key, signature }.encode();
        let extension = CustomExtension::from_oid_content(&OID, content);
        Self::new().with(|params| params.custom_extensions = vec![extension]).der()
    }
}

#[test]
fn the_vectors_of_the_specification() {
    for (text, peer) in [
        (
            include_str!("../../testdata/spec-ed25519.hex"),
            "12D3KooWM6CgA9iBFZmcYAHA6A2qvbAxqfkmrYiRQuz3XEsk4Ksv",
        ),
        (include_str!("../../testdata/spec-ecdsa.hex"), "QmfXbAwNjJLXfesgztEHe8HwgVDCMMpZ9Eax1HYq6hn9uE"),
        (
            include_str!("../../testdata/spec-secp256k1.hex"),
            "16Uiu2HAkutTMoTzDw1tCvSRtu6YoixJwS46S1ZFxW8hSx9fWHiPs",
        ),
    ] {
        let der = hex::decode(text.trim()).unwrap();
        let proof = check_for(&der, Some(peer.parse().unwrap())).unwrap();
        assert_eq!(proof.verified.peer().to_string(), peer);
        assert_eq!(kind(&der, Some(PeerId::random())), SecurityErrorKind::WrongPeer);
    }
    let der = hex::decode(include_str!("../../testdata/spec-invalid.hex").trim()).unwrap();
    assert_eq!(kind(&der, None), SecurityErrorKind::BadSignature);
}

#[test]
fn own_certificates_hold_and_have_one_extension() {
    let keys = [
        Keypair::generate_ed25519(),
        Keypair::generate_secp256k1(),
        Keypair::generate_ecdsa(),
        rsa_identity(),
    ];
    for key in keys {
        let identity = Identity::new(&key).unwrap();
        let proof = check_for(identity.certificate(), Some(key.public().to_peer_id())).unwrap();
        assert_eq!(proof.verified.key(), &key.public());
        let (_, x509) = X509Certificate::from_der(identity.certificate()).unwrap();
        assert_eq!(x509.extensions().len(), 1);
        assert!(identity.certificate().len() < MAX_CERTIFICATE_LEN / 2);
    }
}

fn rsa_identity() -> Keypair {
    let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    Keypair::rsa_from_pkcs8(&mut key.serialize_der()).unwrap()
}

#[test]
fn certificates_by_all_algorithms_hold() {
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ECDSA_P521_SHA512,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
        &rcgen::PKCS_RSA_SHA384,
        &rcgen::PKCS_RSA_SHA512,
    ] {
        let forge = Forge::by(algorithm);
        check_for(&forge.der(), Some(forge.identity.public().to_peer_id())).unwrap();
    }
}

#[test]
fn a_certificate_changed_or_cut_anywhere_is_refused() {
    let forge = Forge::new();
    let (der, peer) = (forge.der(), forge.identity.public().to_peer_id());
    let (_, x509) = X509Certificate::from_der(&der).unwrap();
    // The parser is lax with some tags around what is signed, which changes nothing about what is proved.
    let signed = 4..4 + x509.tbs_certificate.as_ref().len();
    let signature = der.len() - x509.signature_value.data.len() - 1..der.len();
    for at in 0..der.len() {
        for bit in 0..8 {
            let mut changed = der.clone();
            changed[at] ^= 1 << bit;
            let matters = signed.contains(&at) || signature.contains(&at);
            if let Ok(proof) = check_for(&changed, None) {
                assert!(!matters && proof.verified.peer() == peer, "byte {at}, bit {bit}");
            }
        }
        assert!(check_for(&der[..at], None).is_err(), "cut at {at}");
    }
    let longer = [&der[..], b"xy"].concat();
    assert!(matches!(refused(&longer), BadCertificate::Trailing { extra: 2 }));
}

#[test]
fn more_than_one_certificate_or_a_huge_one_is_refused_unseen() {
    let der = CertificateDer::from(Forge::new().der());
    let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
    let two = check(&der, std::slice::from_ref(&der), now, Verifier::new(None));
    assert!(matches!(two, Err(Refused::Certificate(BadCertificate::Count { found: 2 }))));
    assert!(matches!(refused(&vec![0x30; MAX_CERTIFICATE_LEN + 1]), BadCertificate::TooLarge { .. }));
}

#[test]
fn the_time_has_to_be_right() {
    let late = Forge::new().with(|params| params.not_before = rcgen::date_time_ymd(2024, 1, 1));
    let error = refused(&late.der());
    assert!(matches!(error, BadCertificate::NotYetValid { .. }));
    let text = error.to_string();
    assert!(text.contains("2024") && text.contains("2023"), "{text}");
    let past = Forge::new().with(|params| params.not_after = rcgen::date_time_ymd(2023, 1, 1));
    assert!(matches!(refused(&past.der()), BadCertificate::Expired { .. }));
}

#[test]
fn the_extension_has_to_be_there_once_and_well_formed() {
    let none = Forge::new().with(|params| params.custom_extensions.clear());
    assert!(matches!(refused(&none.der()), BadCertificate::NoExtension));
    let twice =
        Forge::new().with(|params| params.custom_extensions.push(params.custom_extensions[0].clone()));
    assert!(check_for(&twice.der(), None).is_err());
    let junk = CustomExtension::from_oid_content(&OID, b"junk".to_vec());
    let junk = Forge::new().with(|params| params.custom_extensions = vec![junk]);
    assert!(matches!(refused(&junk.der()), BadCertificate::BadExtension));
}

#[test]
fn the_extension_may_be_critical_or_stand_behind_others() {
    let critical = Forge::new().with(|params| params.custom_extensions[0].set_criticality(true));
    check_for(&critical.der(), None).unwrap();
    let behind = Forge::new().with(|params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let unknown = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        params.custom_extensions.insert(0, unknown);
    });
    check_for(&behind.der(), None).unwrap();
}

#[test]
fn critical_extensions_have_to_be_understood() {
    let mut unknown = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    unknown.set_criticality(true);
    let unknown = Forge::new().with(|params| params.custom_extensions.push(unknown));
    assert!(matches!(refused(&unknown.der()), BadCertificate::Critical { oid } if oid == "1.2.3.4"));
    let usage = Forge::new().with(|params| params.key_usages = vec![KeyUsagePurpose::CrlSign]);
    assert!(matches!(refused(&usage.der()), BadCertificate::KeyUsage));
    let extended =
        Forge::new().with(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    check_for(&extended.der(), None).unwrap();
}

#[test]
fn a_certificate_signed_by_another_key_is_refused() {
    let (forge, other) = (Forge::new(), KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap());
    let issuer = rcgen::Issuer::from_params(&forge.params, &other);
    let der = forge.params.signed_by(&forge.key, &issuer).unwrap().der().to_vec();
    assert!(matches!(refused(&der), BadCertificate::SelfSignature));
}

#[test]
fn the_identity_has_to_be_proved() {
    let (us, them) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let key = them.public().encode_protobuf();
    assert_eq!(kind(&Forge::signed_key(&key, b""), None), SecurityErrorKind::BadSignature);
    let elsewhere = them.sign(&signed_message(b"another key")).unwrap();
    assert_eq!(kind(&Forge::signed_key(&key, &elsewhere), None), SecurityErrorKind::BadSignature);
    assert_eq!(kind(&Forge::signed_key(b"no key", b"x"), None), SecurityErrorKind::BadIdentity);
    assert_eq!(kind(&Forge::signed_key(&vec![8; 2049], b"x"), None), SecurityErrorKind::BadIdentity);

    let forge = Forge::new();
    let by_us = us.sign(&signed_message(&forge.key.subject_public_key_info())).unwrap();
    let content = SignedKey { identity_key: &key, signature: &by_us }.encode();
    let extension = CustomExtension::from_oid_content(&OID, content);
    let der = forge.with(|params| params.custom_extensions = vec![extension]).der();
    assert_eq!(kind(&der, None), SecurityErrorKind::BadSignature);
}
