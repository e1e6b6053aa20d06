//! A security upgrade with real proofs of identity and a cipher that keeps nothing secret.
//!
//! Each end signs the nonces of both; records are masked and carry a checksum with their number. That is enough
//! to show what the suite looks for, and nothing that an attacker would mind.

use async_trait::async_trait;
use skep_api::{
    BoxIo, Keypair,
    security::{Evidence, Role, SecureCx, Secured, SecurityError, SecurityErrorKind, Upgrader},
};
use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    VerifiesItself,
    DialerSendsItsLastMessageFirst,
    EndStandsForTheTrailer,
    TrailerIsNotLookedAt,
    EndWithinALengthIsAnEnd,
    ChecksumCoversTheFirstHundredBytes,
    RecordsHaveNoNumbers,
    CipherIsOff,
    LongFramesWaitForEver,
    EmptyFramesAreSkipped,
    FlushKeepsTheLastMessage,
    ShutdownIsNotPassedOn,
    HandshakeRunsInATask,
    EachTakesItsOwnMuxer,
    AByteFarBehindIsChanged,
    OneByteReadsAreJunk,
}
use Fault as F;

/// Longest frame of a handshake.
const MAX_FRAME: usize = 1024;
const TRAILER: u8 = 0x17;

#[derive(Clone, Debug)]
pub(crate) struct Masked {
    pub(crate) fault: Fault,
    pub(crate) key: Keypair,
}

#[async_trait]
impl Upgrader for Masked {
    fn protocol(&self) -> &str {
        "/masked/1"
    }

    async fn secure(&self, io: BoxIo, cx: SecureCx) -> Result<Secured<BoxIo>, SecurityError> {
        let handshake = self.clone().shake(io, cx);
        match self.fault {
            F::HandshakeRunsInATask => tokio::spawn(handshake).await.unwrap(),
            _ => handshake.await,
        }
    }
}

impl Masked {
    async fn shake(self, mut io: BoxIo, cx: SecureCx) -> Result<Secured<BoxIo>, SecurityError> {
        // The bytes of a fresh public key are as random as any.
        let nonce = Keypair::generate_ed25519().public().try_into_ed25519().unwrap().to_bytes();
        let mut theirs = [0; 32];
        match cx.role {
            Role::Dialer => {
                io.write_all(&nonce).await.map_err(broke)?;
                io.read_exact(&mut theirs).await.map_err(broke)?;
                self.dialer(io, cx, [nonce, theirs].concat()).await
            }
            Role::Listener => {
                io.read_exact(&mut theirs).await.map_err(broke)?;
                io.write_all(&nonce).await.map_err(broke)?;
                self.listener(io, cx, [theirs, nonce].concat()).await
            }
        }
    }

    async fn dialer(
        self,
        mut io: BoxIo,
        cx: SecureCx,
        nonces: Vec<u8>,
    ) -> Result<Secured<BoxIo>, SecurityError> {
        let proof = self.hear_proof(&mut io).await?;
        let last = self.proof(&cx, &nonces, Role::Dialer);
        if self.fault == F::DialerSendsItsLastMessageFirst {
            io.write_all(&last).await.map_err(broke)?;
        }
        let muxer = self.agree(&cx, &proof.muxers);
        let verified = self.verify(cx, &proof, &nonces, Role::Listener)?;
        let mut channel = Channel::new(io, self.fault, Role::Dialer, &nonces);
        if self.fault != F::DialerSendsItsLastMessageFirst {
            channel.handshake = last;
        }
        Ok(Secured::new(verified, Box::new(channel) as BoxIo).with_early_muxer(muxer))
    }

    async fn listener(
        self,
        mut io: BoxIo,
        cx: SecureCx,
        nonces: Vec<u8>,
    ) -> Result<Secured<BoxIo>, SecurityError> {
        let ours = self.proof(&cx, &nonces, Role::Listener);
        io.write_all(&ours).await.map_err(broke)?;
        let proof = self.hear_proof(&mut io).await?;
        let muxer = self.agree(&cx, &proof.muxers);
        let verified = self.verify(cx, &proof, &nonces, Role::Dialer)?;
        let channel = Channel::new(io, self.fault, Role::Listener, &nonces);
        Ok(Secured::new(verified, Box::new(channel) as BoxIo).with_early_muxer(muxer))
    }

    fn proof(&self, cx: &SecureCx, nonces: &[u8], role: Role) -> Vec<u8> {
        let muxers = cx.muxers.join(",");
        let signature = self.key.sign(&message(nonces, role, muxers.as_bytes())).unwrap();
        let key = self.key.public().encode_protobuf();
        let mut bytes = Vec::new();
        for part in [key.as_slice(), muxers.as_bytes(), &signature] {
            // One is added so that an empty part is no empty frame.
            bytes.extend((part.len() as u16 + 1).to_be_bytes());
            bytes.extend(part);
        }
        bytes.push(TRAILER);
        bytes
    }

    async fn hear_proof(&self, io: &mut BoxIo) -> Result<Proof, SecurityError> {
        let key = self.frame(io).await?;
        let muxers = self.frame(io).await?;
        let signature = self.frame(io).await?;
        match io.read_u8().await {
            Ok(TRAILER) => {}
            Ok(_) if self.fault == F::TrailerIsNotLookedAt => {}
            Ok(_) => return Err(SecurityError::new(SecurityErrorKind::Malformed, "trailer")),
            Err(_) if self.fault == F::EndStandsForTheTrailer => {}
            Err(e) => return Err(broke(e)),
        }
        Ok(Proof { key, muxers, signature })
    }

    async fn frame(&self, io: &mut BoxIo) -> Result<Vec<u8>, SecurityError> {
        loop {
            match usize::from(io.read_u16().await.map_err(broke)?).checked_sub(1) {
                None if self.fault == F::EmptyFramesAreSkipped => {}
                Some(len) if len <= MAX_FRAME => {
                    let mut frame = vec![0; len];
                    io.read_exact(&mut frame).await.map_err(broke)?;
                    return Ok(frame);
                }
                _ if self.fault == F::LongFramesWaitForEver => std::future::pending().await,
                _ => return Err(SecurityError::new(SecurityErrorKind::Malformed, "length of a frame")),
            }
        }
    }

    fn verify(
        &self,
        cx: SecureCx,
        proof: &Proof,
        nonces: &[u8],
        signer: Role,
    ) -> Result<skep_api::security::Verified, SecurityError> {
        let message = message(nonces, signer, &proof.muxers);
        let theirs = Evidence { identity_key: &proof.key, message: &message, signature: &proof.signature };
        if self.fault != F::VerifiesItself {
            return cx.verifier.verify(theirs);
        }
        skep_api::security::Verifier::new(None).verify(theirs)?;
        let (key, signature) = (self.key.public().encode_protobuf(), self.key.sign(&message).unwrap());
        cx.verifier.verify(Evidence { identity_key: &key, message: &message, signature: &signature })
    }

    fn agree(&self, cx: &SecureCx, theirs: &[u8]) -> Option<String> {
        let theirs = String::from_utf8_lossy(theirs);
        let theirs: Vec<String> = theirs.split(',').filter(|m| !m.is_empty()).map(String::from).collect();
        match self.fault {
            F::EachTakesItsOwnMuxer => cx.muxers.iter().find(|m| theirs.contains(m)).cloned(),
            _ => cx.agree_on_muxer(&theirs),
        }
    }
}

struct Proof {
    key: Vec<u8>,
    muxers: Vec<u8>,
    signature: Vec<u8>,
}

fn message(nonces: &[u8], role: Role, muxers: &[u8]) -> Vec<u8> {
    [b"masked:", nonces, role.to_string().as_bytes(), muxers].concat()
}

fn broke(error: io::Error) -> SecurityError {
    SecurityError::new(SecurityErrorKind::Io, "").with_source(error)
}

/// Records of at most this many bytes: a length, the masked bytes, a checksum.
const MAX_RECORD: usize = 4096;

struct Channel {
    io: BoxIo,
    fault: Fault,
    sends: Lane,
    receives: Lane,
    /// What the handshake still has to send.
    handshake: Vec<u8>,
    out: VecDeque<u8>,
    arrived: Vec<u8>,
    plain: VecDeque<u8>,
    written: usize,
}

struct Lane {
    seed: u64,
    number: u64,
}

impl Lane {
    fn checksum(&self, plain: &[u8], fault: Fault) -> [u8; 8] {
        let covered =
            if fault == F::ChecksumCoversTheFirstHundredBytes { plain.len().min(100) } else { plain.len() };
        let number = if fault == F::RecordsHaveNoNumbers { 0 } else { self.number };
        let start = hash(self.seed, &number.to_be_bytes());
        hash(hash(start, &plain.len().to_be_bytes()), &plain[..covered]).to_be_bytes()
    }

    fn mask(&self, bytes: &mut [u8], fault: Fault) {
        if fault == F::CipherIsOff {
            return;
        }
        let mut x = self.seed ^ if fault == F::RecordsHaveNoNumbers { 0 } else { self.number };
        for byte in bytes {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte ^= (x >> 56) as u8;
        }
    }
}

/// FNV-1a.
fn hash(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

impl Channel {
    fn new(io: BoxIo, fault: Fault, role: Role, nonces: &[u8]) -> Self {
        let lane = |role: Role| Lane {
            seed: hash(hash(0xcbf2_9ce4_8422_2325, nonces), role.to_string().as_bytes()),
            number: 0,
        };
        let (sends, receives) = match role {
            Role::Dialer => (lane(Role::Dialer), lane(Role::Listener)),
            Role::Listener => (lane(Role::Listener), lane(Role::Dialer)),
        };
        let (handshake, out, arrived, plain) = (Vec::new(), VecDeque::new(), Vec::new(), VecDeque::new());
        Self { io, fault, sends, receives, handshake, out, arrived, plain, written: 0 }
    }

    fn seal(&mut self, plain: &[u8]) {
        let checksum = self.sends.checksum(plain, self.fault);
        let mut masked = plain.to_vec();
        if self.fault == F::AByteFarBehindIsChanged && self.written > 600_000 {
            self.written = 0;
            self.sends.number += 1;
        }
        self.written += plain.len();
        self.sends.mask(&mut masked, self.fault);
        self.sends.number += 1;
        self.out.extend((plain.len() as u16).to_be_bytes());
        self.out.extend(masked);
        self.out.extend(checksum);
    }

    /// Opens the first record if it is there.
    fn unseal(&mut self) -> io::Result<bool> {
        let Some(head) = self.arrived.first_chunk::<2>() else { return Ok(false) };
        let len = usize::from(u16::from_be_bytes(*head));
        if len == 0 || len > MAX_RECORD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if self.arrived.len() < 2 + len + 8 {
            return Ok(false);
        }
        let record: Vec<u8> = self.arrived.drain(..2 + len + 8).collect();
        let mut plain = record[2..2 + len].to_vec();
        self.receives.mask(&mut plain, self.fault);
        if self.receives.checksum(&plain, self.fault) != record[2 + len..] {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.receives.number += 1;
        self.plain.extend(plain);
        Ok(true)
    }

    fn send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let n = ready!(Pin::new(&mut self.io).poll_write(cx, self.out.as_slices().0))?;
            self.out.drain(..n);
        }
        Poll::Ready(Ok(()))
    }

    fn release_handshake(&mut self) {
        let rest = std::mem::take(&mut self.handshake);
        self.out.extend(rest);
    }
}

impl AsyncRead for Channel {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.plain.is_empty() && !this.unseal()? {
            let mut chunk = [0; 8192];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.io).poll_read(cx, &mut chunk))?;
            match chunk.filled().len() {
                0 if this.arrived.is_empty() => return Poll::Ready(Ok(())),
                0 if this.arrived.len() == 1 && this.fault == F::EndWithinALengthIsAnEnd => {
                    return Poll::Ready(Ok(()));
                }
                0 => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                1 if this.fault == F::OneByteReadsAreJunk => {
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
                _ => this.arrived.extend(chunk.filled()),
            }
        }
        let n = this.plain.as_slices().0.len().min(buf.remaining());
        buf.put_slice(&this.plain.as_slices().0[..n]);
        this.plain.drain(..n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Channel {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.release_handshake();
        ready!(this.send(cx))?;
        let n = buf.len().min(MAX_RECORD);
        this.seal(&buf[..n]);
        // What the stream below does not take now goes with the next write or flush.
        let _ = this.send(cx)?;
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.fault != F::FlushKeepsTheLastMessage {
            this.release_handshake();
        }
        ready!(this.send(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.send(cx))?;
        match this.fault {
            F::ShutdownIsNotPassedOn => Poll::Ready(Ok(())),
            _ => Pin::new(&mut this.io).poll_shutdown(cx),
        }
    }
}
