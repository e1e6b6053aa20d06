//! Bad peers that speak TLS over TCP.

use crate::{
    attack::Wire,
    bend::Guise,
    certificate::{client, honest_guise, server},
    honest::Layers,
    knock::{Reached, YAMUX, over},
    noise::{agree, tcp},
};
use skep::api::{Multiaddr, security::Role};
use skep_tls::rustls::{ClientConnection, Connection, ServerConnection, pki_types::ServerName};
use std::{
    io::{self, Read, Write},
    sync::Arc,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    net::{TcpListener, TcpStream},
};

const PROPOSAL: &[u8] = b"\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n";
const MUXER: &[u8] = b"\x13/multistream/1.0.0\n\x0d/yamux/1.0.0\n";
const ALPN: &[&str] = &[YAMUX, "libp2p"];

pub(crate) struct Tls;

impl Wire for Tls {
    fn layers(&self) -> Layers {
        Layers {
            transport: skep::transport_tcp::PLUGIN,
            upgrades: Some((skep::security_tls::PLUGIN, skep::muxer_yamux::PLUGIN)),
            listen: "/ip4/127.0.0.1/tcp/0",
        }
    }

    async fn record(&self, at: &Multiaddr) -> Vec<u8> {
        let io = TcpStream::connect(tcp(at)).await.unwrap();
        let shaken = shake(io, Role::Dialer, &honest_guise()).await.unwrap();
        shaken.tls.peer_certificates().unwrap()[0].to_vec()
    }

    async fn dial(&self, guise: Guise, at: &Multiaddr) -> Reached {
        let io = TcpStream::connect(tcp(at)).await.unwrap();
        attack(io, Role::Dialer, guise).await
    }

    async fn listen(&self, guise: Guise) -> (Multiaddr, impl Future<Output = Reached> + Send + 'static) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accept = async move {
            let (io, _) = listener.accept().await.unwrap();
            attack(io, Role::Listener, guise).await
        };
        (format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap(), accept)
    }
}

/// A dialler is through before the listener has judged it: then it asks all the same.
async fn attack(io: TcpStream, role: Role, guise: Guise) -> Reached {
    let shaken = match shake(io, role, &guise).await {
        Ok(shaken) => shaken,
        Err(e) => return Reached::stopped(e),
    };
    let early = shaken.tls.alpn_protocol() == Some(YAMUX.as_bytes());
    let mut io = shaken.pump();
    if !early && let Err(e) = agree(&mut io, role, MUXER).await {
        return Reached::stopped(e);
    }
    over(Box::new(io), role).await
}

/// A connection whose handshake this end takes for done.
struct Shaken {
    io: TcpStream,
    tls: Connection,
}

async fn shake(mut io: TcpStream, role: Role, guise: &Guise) -> io::Result<Shaken> {
    agree(&mut io, role, PROPOSAL).await?;
    let tls = match role {
        Role::Dialer => {
            let name = ServerName::try_from("libp2p").unwrap();
            ClientConnection::new(Arc::new(client(guise, ALPN)), name).unwrap().into()
        }
        Role::Listener => ServerConnection::new(Arc::new(server(guise, ALPN))).unwrap().into(),
    };
    let mut shaken = Shaken { io, tls };
    while shaken.tls.is_handshaking() {
        shaken.send().await?;
        if shaken.tls.is_handshaking() {
            let mut bytes = vec![0; 16_384];
            let len = shaken.io.read(&mut bytes).await?;
            let taken = shaken.take(&bytes[..len]);
            shaken.send().await?;
            taken?;
        }
    }
    shaken.send().await?;
    Ok(shaken)
}

impl Shaken {
    /// Sends what waits to be sent.
    async fn send(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes)?;
        }
        self.io.write_all(&bytes).await
    }

    /// Takes what came; nothing is the end.
    fn take(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while !bytes.is_empty() {
            self.tls.read_tls(&mut bytes)?;
            self.tls.process_new_packets().map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// The connection as a byte stream. Either direction ends both.
    fn pump(self) -> DuplexStream {
        let (near, far) = duplex(1 << 16);
        tokio::spawn(self.run(far));
        near
    }

    async fn run(mut self, mut far: DuplexStream) -> io::Result<()> {
        let (mut sealed, mut plain) = (vec![0; 16_384], vec![0; 16_384]);
        loop {
            self.send().await?;
            let mut came = Vec::new();
            // There may be no more for now.
            let _ = self.tls.reader().read_to_end(&mut came);
            far.write_all(&came).await?;
            tokio::select! {
                len = self.io.read(&mut sealed) => self.take(&sealed[..len?])?,
                len = far.read(&mut plain) => match len? {
                    0 => return Ok(()),
                    len => self.tls.writer().write_all(&plain[..len])?,
                },
            }
        }
    }
}
