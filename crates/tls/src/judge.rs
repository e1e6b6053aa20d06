//! Judges a peer's certificate where rustls asks for it, and carries the verdict out of the handshake.

use crate::{
    error::handshake_error,
    verify::{Proof, Refused, check},
};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use skep_api::security::{SecurityError, SecurityErrorKind, Verified, Verifier};
use std::{
    fmt, mem,
    sync::{Arc, Mutex, PoisonError},
};

/// What a handshake found out about the peer. It belongs to the configuration of one connection.
#[derive(Clone, Debug)]
pub struct Outcome(Arc<Judge>);

impl Outcome {
    pub(crate) fn new(judge: Arc<Judge>) -> Self {
        Self(judge)
    }

    /// Takes the verdict, if there is one: who the peer is, after it proved that it holds the key of its certificate,
    /// or why it was refused. Ask when the handshake has ended, either way; a handshake that failed for another
    /// reason has no verdict, or one that is of no use.
    #[must_use]
    pub fn take(&self) -> Option<Result<Verified, SecurityError>> {
        match mem::replace(&mut *self.0.lock(), State::Taken) {
            State::Proved(verified) => Some(Ok(verified)),
            State::Refused(error) => Some(Err(error)),
            State::Waiting(_) | State::Presented(_) | State::Taken => None,
        }
    }

    /// What to report of a handshake that failed: the verdict, if that is the reason, and else this error.
    #[must_use]
    pub fn explain(&self, error: impl Into<SecurityError>) -> SecurityError {
        match self.take() {
            Some(Err(verdict)) => verdict,
            _ => error.into(),
        }
    }
}

/// The verifier of one connection, for either side.
pub(crate) struct Judge {
    state: Mutex<State>,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
enum State {
    /// No certificate was seen.
    Waiting(Verifier),
    /// The certificate is good; whether the peer holds its key is not known yet.
    Presented(Proof),
    /// The peer holds the key of its certificate.
    Proved(Verified),
    /// The certificate is not good, or not the peer's.
    Refused(SecurityError),
    /// The verdict was taken, or is in the making.
    Taken,
}

impl Judge {
    pub(crate) fn new(verifier: Verifier, algorithms: WebPkiSupportedAlgorithms) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::Waiting(verifier)), algorithms })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges the certificates. Whoever fails here never gets this side's last message.
    fn judge(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let mut state = self.lock();
        let State::Waiting(verifier) = mem::replace(&mut *state, State::Taken) else {
            return Err(Error::General("a second certificate within one handshake".into()));
        };
        let (next, result) = match check(certificate, others, now, verifier) {
            Ok(proof) => (State::Presented(proof), Ok(())),
            Err(Refused::Certificate(error)) => {
                let refusal = error.refusal();
                (State::Refused(error.into()), Err(refusal.into()))
            }
            Err(Refused::Identity(error)) => {
                let refusal = refusal(error.kind());
                (State::Refused(error), Err(refusal.into()))
            }
        };
        *state = next;
        result
    }

    /// Checks that the peer holds the key of the certificate that was judged.
    fn check_possession(
        &self,
        message: &[u8],
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let mut state = self.lock();
        let State::Presented(proof) = mem::replace(&mut *state, State::Taken) else {
            return Err(Error::General("a signature without a certificate".into()));
        };
        let key = SubjectPublicKeyInfoDer::from(proof.key.as_slice());
        let result = verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms);
        *state = match &result {
            Ok(_) => State::Proved(proof.verified),
            Err(error) => State::Refused(handshake_error(error.clone())),
        };
        result
    }
}

/// What the peer is told when its certificate is good and yet refused.
fn refusal(kind: SecurityErrorKind) -> CertificateError {
    match kind {
        SecurityErrorKind::BadSignature => CertificateError::BadSignature,
        SecurityErrorKind::BadIdentity => CertificateError::BadEncoding,
        _ => CertificateError::ApplicationVerificationFailure,
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge").finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(end_entity, intermediates, now).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        _certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_possession(message, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Judge {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(end_entity, intermediates, now).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        _certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_possession(message, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The configurations allow TLS 1.3 alone, so nothing asks.
fn tls12() -> Error {
    Error::General("TLS 1.3 is the only version".into())
}
