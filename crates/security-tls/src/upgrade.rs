//! The plugin: an instance, and what one upgrade does.

use crate::{Config, KeyExchange, negotiate};
use async_trait::async_trait;
use skep_api::{
    BoxIo, BuildCx, Problems,
    error::chain,
    security::{Role, SecureCx, Secured, SecurityError, SecurityErrorKind, Upgrader, Verifier},
};
use skep_tls::{
    Buffers, CertificateError, HandshakeError, Identity, Offer, Options, Outcome, TlsStream, client_config,
    has_fast_aes, rustls::pki_types::ServerName, server_config,
};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

/// The multistream-select id of TLS.
pub const PROTOCOL: &str = "/tls/1.0.0";

/// One instance of the plugin.
#[derive(Debug)]
struct Tls {
    identity: Identity,
    early_muxer: bool,
}

/// Makes an instance. Its certificate lives as long as it does.
pub(crate) fn build(config: Config, cx: &BuildCx) -> Result<Arc<dyn Upgrader>, Problems> {
    let mut options = Options::default();
    options.key_exchange = match config.key_exchange {
        KeyExchange::Classical => skep_tls::KeyExchange::Classical,
        KeyExchange::PostQuantum => skep_tls::KeyExchange::PostQuantum,
    };
    options.buffers = Buffers::new(usize::try_from(config.max_idle_buffers).unwrap_or(usize::MAX));
    let identity = Identity::with(cx.identity.keypair(), options).map_err(|error| problem(&error))?;
    Ok(Arc::new(Tls { identity, early_muxer: config.early_muxer }))
}

fn problem(error: &CertificateError) -> Problems {
    Problems::one("", chain(error), error.help())
}

#[async_trait]
impl Upgrader for Tls {
    fn protocol(&self) -> &str {
        PROTOCOL
    }

    fn at_full_speed(&self) -> bool {
        has_fast_aes()
    }

    async fn secure(&self, io: BoxIo, mut cx: SecureCx) -> Result<Secured<BoxIo>, SecurityError> {
        if !self.early_muxer {
            cx.muxers.clear();
        }
        let (stream, outcome) = match cx.role {
            Role::Dialer => self.dial(io, &mut cx).await?,
            Role::Listener => self.accept(io, &mut cx).await?,
        };
        // A handshake that ended well has verified a certificate, or this fails.
        let missing =
            || SecurityError::new(SecurityErrorKind::Internal, "TLS handshake without a certificate");
        let verified = outcome.take().unwrap_or_else(|| Err(missing()))?;
        let early_muxer = negotiate::muxer(&cx, stream.alpn());
        Ok(Secured::new(verified, Box::new(stream) as BoxIo).with_early_muxer(early_muxer))
    }
}

impl Tls {
    async fn dial(&self, io: BoxIo, cx: &mut SecureCx) -> Result<(TlsStream, Outcome), SecurityError> {
        let (config, outcome) = client_config(&self.identity, take_verifier(cx), &negotiate::offer(cx));
        // Nothing is sent of it, and nothing compared with it.
        let nobody = ServerName::from(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let stream = TlsStream::connect(io, config, nobody, self.identity.buffers()).await;
        finish(stream, outcome)
    }

    async fn accept(&self, io: BoxIo, cx: &mut SecureCx) -> Result<(TlsStream, Outcome), SecurityError> {
        let verifier = take_verifier(cx);
        let buffers = self.identity.buffers();
        // With one muxer there is no order to follow.
        if cx.muxers.len() <= 1 {
            let (config, outcome) = server_config(&self.identity, verifier, &negotiate::offer(cx));
            return finish(TlsStream::accept(io, config, buffers).await, outcome);
        }
        let offer = Offer::read(io).await?;
        let alpn = negotiate::answer(cx, offer.alpn());
        let (config, outcome) = server_config(&self.identity, verifier, &alpn);
        finish(offer.accept(config, buffers).await, outcome)
    }
}

fn take_verifier(cx: &mut SecureCx) -> Verifier {
    std::mem::replace(&mut cx.verifier, Verifier::new(None))
}

fn finish(
    stream: Result<TlsStream, HandshakeError>,
    outcome: Outcome,
) -> Result<(TlsStream, Outcome), SecurityError> {
    match stream {
        Ok(stream) => Ok((stream, outcome)),
        Err(error) => Err(outcome.explain(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_api::ConfigSection;

    #[test]
    fn the_help_for_a_certificate_that_cannot_be_made_is_about_what_failed() {
        let text = |error| problem(&error).at(&ConfigSection::empty("security.tls")).to_string();
        let sign = text(CertificateError::Sign("it is locked".into()));
        assert_eq!(sign.matches("use another identity key").count(), 1, "{sign}");
        let library = skep_tls::rustls::Error::FailedToGetRandomBytes;
        for error in [CertificateError::Make("no randomness".into()), CertificateError::Key(library)] {
            let other = text(error);
            assert!(!other.contains("another identity key"), "{other}");
        }
    }
}
