//! A peer that speaks Noise by its own primitives and sends what it is told to, right or wrong.

use skep_api::{Keypair, security::Role};
use snow::{Builder, HandshakeState, TransportState};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// A peer in the middle of a handshake.
pub(crate) struct Peer {
    pub(crate) io: DuplexStream,
    pub(crate) identity: Keypair,
    pub(crate) static_public: Vec<u8>,
    pub(crate) state: HandshakeState,
}

impl Peer {
    /// A peer of this role with keys of its own.
    pub(crate) fn new(role: Role, io: DuplexStream) -> Self {
        let builder = || Builder::new("Noise_XX_25519_ChaChaPoly_SHA256".parse().unwrap());
        let keys = builder().generate_keypair().unwrap();
        let ready = builder().local_private_key(&keys.private).unwrap();
        let state = match role {
            Role::Dialer => ready.build_initiator(),
            Role::Listener => ready.build_responder(),
        };
        Self { io, identity: Keypair::generate_ed25519(), static_public: keys.public, state: state.unwrap() }
    }

    /// The payload of an honest peer.
    pub(crate) fn proof(&self) -> Vec<u8> {
        proof(&self.identity, &self.identity, &self.static_public)
    }

    /// The next message, with its length in front.
    pub(crate) fn message(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut message = vec![0; payload.len() + 200];
        let len = self.state.write_message(payload, &mut message).unwrap();
        message.truncate(len);
        framed(&message)
    }

    pub(crate) async fn send(&mut self, payload: &[u8]) {
        let message = self.message(payload);
        self.io.write_all(&message).await.unwrap();
    }

    /// The payload of the other's next message.
    pub(crate) async fn receive(&mut self) -> Vec<u8> {
        let message = read_frame(&mut self.io).await;
        let mut payload = vec![0; message.len()];
        let len = self.state.read_message(&message, &mut payload).unwrap();
        payload.truncate(len);
        payload
    }

    /// Runs the other side of a whole handshake with this payload, and returns the other's.
    pub(crate) async fn shake(mut self, role: Role, payload: &[u8]) -> (Session, Vec<u8>) {
        let theirs = match role {
            Role::Dialer => {
                self.send(b"").await;
                let theirs = self.receive().await;
                self.send(payload).await;
                theirs
            }
            Role::Listener => {
                self.receive().await;
                self.send(payload).await;
                self.receive().await
            }
        };
        (Session { io: self.io, state: self.state.into_transport_mode().unwrap() }, theirs)
    }
}

/// A peer after its handshake.
pub(crate) struct Session {
    pub(crate) io: DuplexStream,
    pub(crate) state: TransportState,
}

impl Session {
    /// The next frame, with its length in front.
    pub(crate) fn frame(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; plain.len() + 16];
        let len = self.state.write_message(plain, &mut frame).unwrap();
        assert_eq!(len, frame.len());
        framed(&frame)
    }

    pub(crate) async fn receive(&mut self) -> Vec<u8> {
        let frame = read_frame(&mut self.io).await;
        let mut plain = vec![0; frame.len()];
        let len = self.state.read_message(&frame, &mut plain).unwrap();
        plain.truncate(len);
        plain
    }
}

/// A payload that claims to be `claimed` with a signature of `signer` over `static_key`.
pub(crate) fn proof(claimed: &Keypair, signer: &Keypair, static_key: &[u8]) -> Vec<u8> {
    let signed = [b"noise-libp2p-static-key:", static_key].concat();
    let mut payload = field(1, &claimed.public().encode_protobuf());
    payload.extend(field(2, &signer.sign(&signed).unwrap()));
    payload
}

/// A payload's field 4 with a list of muxers.
pub(crate) fn muxers(names: &[&str]) -> Vec<u8> {
    field(4, &names.iter().flat_map(|name| field(2, name.as_bytes())).collect::<Vec<_>>())
}

/// A field of bytes in protobuf, shorter than 128.
pub(crate) fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let len = u8::try_from(bytes.len()).unwrap();
    assert!(len < 128);
    [&[number << 3 | 2, len], bytes].concat()
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

async fn read_frame(io: &mut DuplexStream) -> Vec<u8> {
    let len = io.read_u16().await.unwrap();
    let mut frame = vec![0; usize::from(len)];
    io.read_exact(&mut frame).await.unwrap();
    frame
}
