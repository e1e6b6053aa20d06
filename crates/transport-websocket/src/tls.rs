//! TLS around the WebSocket: what a listener presents, and whom a dialler trusts.

use crate::{
    address::Address,
    config::{Certificate, Config, Trust},
    error::UpgradeError,
};
use skep_api::{BoxIo, Problems};
use skep_tls::{
    Buffers, TlsStream, WebError,
    rustls::{ClientConfig, ServerConfig, pki_types::ServerName},
    web::{self, Roots},
};
use std::{
    error::Error,
    fmt,
    sync::{Arc, OnceLock},
};

/// Configurations of TLS for a transport.
pub(crate) struct Tls {
    /// `None` if there is nothing to listen with.
    server: Option<Arc<ServerConfig>>,
    roots: Roots,
    /// Made by the first dial: the system's authorities are in many files, and most nodes never need them.
    client: OnceLock<Arc<ClientConfig>>,
    buffers: Buffers,
}

impl Tls {
    /// Reads the files that the table names, and makes the certificate if it asks for that.
    pub(crate) fn of(config: &Config) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let server = server(config).unwrap_or_else(|error| {
            let key = match error {
                WebError::Key { .. } | WebError::Pair { .. } => "key_file",
                _ => "certificate_file",
            };
            note(&mut problems, key, &error);
            None
        });
        let roots = match config.roots {
            Trust::System => Roots::System,
            Trust::Files => Roots::Files(config.root_files.clone()),
            Trust::None => Roots::None,
        };
        let client = OnceLock::new();
        if roots != Roots::System {
            match web::client(&roots) {
                Ok(made) => drop(client.set(made)),
                Err(error) => note(&mut problems, "root_files", &error),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self { server, roots, client, buffers: Buffers::default() })
    }

    /// Whether there is a certificate to listen with.
    pub(crate) fn can_listen(&self) -> bool {
        self.server.is_some()
    }

    /// The dialler's side, up to the end of the handshake.
    pub(crate) async fn connect(&self, io: BoxIo, address: &Address) -> Result<TlsStream, UpgradeError> {
        let name = match &address.name {
            Some(name) => ServerName::try_from(name.clone()),
            None => Ok(ServerName::from(address.endpoint.ip)),
        };
        let name = name.map_err(|source| UpgradeError::Name {
            name: address.name.clone().unwrap_or_default(),
            source: source.into(),
        })?;
        let config = self.client().map_err(UpgradeError::Roots)?;
        Ok(TlsStream::connect(io, config, name, &self.buffers).await?)
    }

    /// What a dial takes. A failure is not kept: it may be gone by the next dial, as a lack of file descriptors is, or
    /// that of the package with the system's authorities.
    fn client(&self) -> Result<Arc<ClientConfig>, WebError> {
        if let Some(made) = self.client.get() {
            return Ok(Arc::clone(made));
        }
        let made = web::client(&self.roots)?;
        // Of dials at the same time, all take what one of them made.
        Ok(Arc::clone(self.client.get_or_init(|| made)))
    }

    /// The listener's side, up to the end of the handshake.
    pub(crate) async fn accept(&self, io: BoxIo) -> Result<TlsStream, UpgradeError> {
        let config = self.server.clone().ok_or(UpgradeError::NoCertificate)?;
        Ok(TlsStream::accept(io, config, &self.buffers).await?)
    }
}

fn server(config: &Config) -> Result<Option<Arc<ServerConfig>>, WebError> {
    match (config.certificate, &config.certificate_file, &config.key_file) {
        (Certificate::Files, Some(chain), Some(key)) => web::server_config(chain, key).map(Some),
        // Nobody who accepts it looks at the name.
        (Certificate::SelfSigned, ..) => Ok(Some(web::self_signed(&["localhost".into()])?.0)),
        _ => Ok(None),
    }
}

/// Notes what is wrong with a file, with all that is known of why.
fn note(problems: &mut Problems, key: &str, error: &WebError) {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    problems.add(key, text, "check the path, the permissions of the file and what is in it");
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("roots", &self.roots)
            .field("listens", &self.can_listen())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_api::Multiaddr;
    use std::{env, fs, process};

    /// Dials over a pipe whose other end is gone.
    async fn dial(tls: &Tls) -> UpgradeError {
        let addr: Multiaddr = "/ip4/127.0.0.1/tcp/443/tls/ws".parse().unwrap();
        let address = Address::parse(&addr).unwrap();
        let (io, _) = tokio::io::duplex(64);
        tls.connect(Box::new(io), &address).await.err().unwrap()
    }

    #[tokio::test]
    async fn authorities_that_could_not_be_read_are_looked_for_at_the_next_dial() {
        let path = env::temp_dir().join(format!("skep-websocket-roots-{}.pem", process::id()));
        let _ = fs::remove_file(&path);
        let tls = Tls {
            server: None,
            roots: Roots::Files(vec![path.clone()]),
            client: OnceLock::new(),
            buffers: Buffers::default(),
        };
        let error = dial(&tls).await;
        assert!(matches!(error, UpgradeError::Roots(_)), "{error}");

        fs::write(&path, include_str!("../testdata/tls/ca.pem")).unwrap();
        let error = dial(&tls).await;
        assert!(matches!(error, UpgradeError::Tls(_)), "{error}");

        // What has been read once is kept.
        fs::remove_file(&path).unwrap();
        let error = dial(&tls).await;
        assert!(matches!(error, UpgradeError::Tls(_)), "{error}");
    }
}
