use super::*;
use crate::{Buffers, HandshakeError, TlsStream};
use rustls::CertificateError;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

/// A folder that is gone when the test is.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("skep-tls-web-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A certificate for `localhost` and its key, in PEM.
fn certificate() -> (String, String) {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

async fn connect(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    name: &'static str,
) -> Result<(TlsStream, TlsStream), HandshakeError> {
    let (a, b) = duplex(1 << 16);
    let buffers = Buffers::new(0);
    let name = ServerName::try_from(name).unwrap();
    let (client, server) = tokio::join!(
        async {
            let mut stream = TlsStream::connect(Box::new(a), client, name, &buffers).await?;
            stream.flush().await.unwrap();
            Ok::<_, HandshakeError>(stream)
        },
        TlsStream::accept(Box::new(b), server, &buffers)
    );
    Ok((client?, server?))
}

fn refusal(result: Result<(TlsStream, TlsStream), HandshakeError>) -> CertificateError {
    match result {
        Err(HandshakeError::Tls(Error::InvalidCertificate(error))) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_certificate_from_files_is_trusted_for_its_name() {
    let folder = Folder::new("trusted");
    let (certificate, key) = certificate();
    let chain = folder.file("chain.pem", &certificate);
    let server = server_config(&chain, &folder.file("key.pem", &key)).unwrap();
    let trusting = client(&Roots::Files(vec![chain])).unwrap();
    let (mut a, mut b) = connect(Arc::clone(&trusting), Arc::clone(&server), "localhost").await.unwrap();
    assert_eq!(a.alpn(), Some(ALPN));
    a.write_all(b"GET /").await.unwrap();
    a.shutdown().await.unwrap();
    let mut got = String::new();
    b.read_to_string(&mut got).await.unwrap();
    assert_eq!(got, "GET /");

    let elsewhere = connect(trusting, server, "example.com").await;
    assert!(matches!(refusal(elsewhere), CertificateError::NotValidForNameContext { .. }));
}

#[tokio::test]
async fn a_certificate_that_nobody_signed_is_taken_only_on_demand() {
    let (server, der) = self_signed(&["localhost".to_owned()]).unwrap();
    assert!(!der.is_empty());
    let folder = Folder::new("untrusted");
    let other = folder.file("other.pem", &certificate().0);
    let strict = client(&Roots::Files(vec![other])).unwrap();
    let refused = connect(strict, Arc::clone(&server), "localhost").await;
    // The authority goes by the same name and has another key.
    assert_eq!(refusal(refused), CertificateError::BadSignature);
    let anyone = client(&Roots::None).unwrap();
    connect(anyone, server, "elsewhere.example").await.unwrap();
}

#[test]
fn every_mistake_names_its_file() {
    let folder = Folder::new("mistakes");
    let ((certificate, key), (_, other)) = (certificate(), certificate());
    let chain = folder.file("chain.pem", &certificate);
    let key = folder.file("key.pem", &key);
    let empty = folder.file("empty.pem", "nothing\n");
    let missing = folder.0.join("missing.pem");
    let cases = [
        (server_config(&missing, &key).unwrap_err(), "missing.pem"),
        (server_config(&empty, &key).unwrap_err(), "no certificate in"),
        (server_config(&chain, &empty).unwrap_err(), "no private key can be read from"),
        (server_config(&chain, &folder.file("other.pem", &other)).unwrap_err(), "other.pem"),
        (client(&Roots::Files(vec![missing])).unwrap_err(), "missing.pem"),
        (client(&Roots::Files(vec![empty])).unwrap_err(), "empty.pem"),
        (self_signed(&["näme".to_owned()]).unwrap_err(), "domain or an IP address"),
    ];
    for (error, part) in cases {
        assert!(error.to_string().contains(part), "{error}");
    }
}
