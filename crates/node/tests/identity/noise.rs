//! Bad peers that speak Noise over TCP, on primitives other than the node's.

use crate::{
    attack::Wire,
    bend::{Bend, Guise, field},
    honest::Layers,
    knock::{Reached, YAMUX, over},
};
use skep::api::{Keypair, Multiaddr, multiaddr::Protocol, security::Role};
use snow::{Builder, HandshakeState, TransportState};
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex, split},
    net::{TcpListener, TcpStream},
};

/// What a dialler sends to propose Noise, before its first Noise message, and a listener to accept it.
const PROPOSAL: &[u8] = b"\x13/multistream/1.0.0\n\x07/noise\n";
/// What is signed before a static key.
const PREFIX: &[u8] = b"noise-libp2p-static-key:";

pub(crate) struct Noise;

impl Wire for Noise {
    fn layers(&self) -> Layers {
        Layers {
            transport: skep::transport_tcp::PLUGIN,
            upgrades: Some((skep::security_noise::PLUGIN, skep::muxer_yamux::PLUGIN)),
            listen: "/ip4/127.0.0.1/tcp/0",
        }
    }

    async fn record(&self, at: &Multiaddr) -> Vec<u8> {
        let io = TcpStream::connect(tcp(at)).await.unwrap();
        let own = Keypair::generate_ed25519();
        let guise = Guise { bend: Bend::Nothing, third: own.clone(), own, recorded: Vec::new() };
        Shaking::new(io, Role::Dialer).shake(Role::Dialer, &guise).await.unwrap().1
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

/// The socket address in a multiaddr of TCP.
pub(crate) fn tcp(at: &Multiaddr) -> SocketAddr {
    let parts: Vec<_> = at.iter().collect();
    let [Protocol::Ip4(ip), Protocol::Tcp(port), ..] = parts[..] else { panic!("{at}") };
    (ip, port).into()
}

/// The handshake, and on with it if the other end has not hung up.
async fn attack(io: TcpStream, role: Role, guise: Guise) -> Reached {
    match Shaking::new(io, role).shake(role, &guise).await {
        Ok((session, _)) => over(Box::new(session), role).await,
        Err(e) => Reached::stopped(e),
    }
}

/// Agrees on a protocol by multistream-select, of which there is one only.
pub(crate) async fn agree(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    role: Role,
    proposal: &[u8],
) -> io::Result<()> {
    let mut said = vec![0; proposal.len()];
    if role == Role::Dialer {
        io.write_all(proposal).await?;
    }
    io.read_exact(&mut said).await?;
    assert_eq!(said, proposal);
    if role == Role::Listener {
        io.write_all(proposal).await?;
    }
    Ok(())
}

/// A handshake under way.
struct Shaking {
    io: TcpStream,
    static_key: Vec<u8>,
    state: HandshakeState,
}

impl Shaking {
    fn new(io: TcpStream, role: Role) -> Self {
        let builder = || Builder::new("Noise_XX_25519_ChaChaPoly_SHA256".parse().unwrap());
        let keys = builder().generate_keypair().unwrap();
        let ready = builder().local_private_key(&keys.private).unwrap();
        let state = match role {
            Role::Dialer => ready.build_initiator(),
            Role::Listener => ready.build_responder(),
        };
        Self { io, static_key: keys.public, state: state.unwrap() }
    }

    /// All of it; the session, and the other end's payload.
    async fn shake(mut self, role: Role, guise: &Guise) -> io::Result<(DuplexStream, Vec<u8>)> {
        agree(&mut self.io, role, PROPOSAL).await?;
        let payload = self.payload(guise);
        let theirs = match role {
            Role::Dialer => {
                self.send(b"").await?;
                let theirs = self.receive().await?;
                self.send(&payload).await?;
                theirs
            }
            Role::Listener => {
                self.receive().await?;
                self.send(&payload).await?;
                self.receive().await?
            }
        };
        Ok((pump(self.io, self.state.into_transport_mode().unwrap()), theirs))
    }

    /// A `NoiseHandshakePayload`: the proof, and the offer of yamux.
    fn payload(&self, guise: &Guise) -> Vec<u8> {
        if guise.bend == Bend::Replayed {
            return guise.recorded.clone();
        }
        let proof = guise.proof(PREFIX, &self.static_key);
        let mut payload = field(4, &field(2, YAMUX.as_bytes()));
        if guise.bend != Bend::NoProof {
            payload.extend(field(1, &proof.key));
            payload.extend(field(2, &proof.signature));
        }
        payload
    }

    async fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        let mut message = vec![0; payload.len() + 200];
        let len = self.state.write_message(payload, &mut message).unwrap();
        self.io.write_all(&framed(&message[..len])).await
    }

    async fn receive(&mut self) -> io::Result<Vec<u8>> {
        let message = read_frame(&mut self.io).await?;
        let mut payload = vec![0; message.len()];
        let len = self.state.read_message(&message, &mut payload).map_err(io::Error::other)?;
        payload.truncate(len);
        Ok(payload)
    }
}

/// A session as a byte stream. Either direction ends both.
fn pump(io: TcpStream, state: TransportState) -> DuplexStream {
    let (near, far) = duplex(1 << 16);
    let state = Arc::new(Mutex::new(state));
    let ((from_peer, to_peer), (from_us, to_us)) = (split(io), split(far));
    tokio::spawn(async move {
        tokio::select! {
            _ = open(from_peer, &state, to_us) => {}
            _ = seal(from_us, &state, to_peer) => {}
        }
    });
    near
}

async fn open(
    mut from: impl AsyncRead + Unpin,
    state: &Mutex<TransportState>,
    mut to: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    loop {
        let frame = read_frame(&mut from).await?;
        let mut plain = vec![0; frame.len()];
        let len = state.lock().unwrap().read_message(&frame, &mut plain).map_err(io::Error::other)?;
        to.write_all(&plain[..len]).await?;
    }
}

async fn seal(
    mut from: impl AsyncRead + Unpin,
    state: &Mutex<TransportState>,
    mut to: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut plain = vec![0; 16_384];
    loop {
        let len = from.read(&mut plain).await?;
        if len == 0 {
            return Ok(());
        }
        let mut frame = vec![0; len + 16];
        state.lock().unwrap().write_message(&plain[..len], &mut frame).map_err(io::Error::other)?;
        to.write_all(&framed(&frame)).await?;
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

async fn read_frame(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let len = io.read_u16().await?;
    let mut frame = vec![0; usize::from(len)];
    io.read_exact(&mut frame).await?;
    Ok(frame)
}
