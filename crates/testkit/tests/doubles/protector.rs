//! A protector whose key stream is a hash: it keeps nothing secret from anybody who tries, and shows all that the
//! suite looks for.

use async_trait::async_trait;
use skep_api::{
    BoxIo, Keypair,
    protector::{Protector, ProtectorError, ProtectorErrorKind},
    security::Role,
};
use std::{
    fmt,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    KeyIsNotUsed,
    NoncesOfOnesAreWaitedOn,
    ClearPeersPass,
    MirrorsPass,
    EndWithinTheHeaderIsAnEnd,
    HeaderIsPassedOnAsItComes,
    HeaderIsHalfCompared,
    CipherIsOffAfterTheHeader,
    NonceIsThatOfTheRole,
    DebugShowsTheKey,
    ErrorsShowTheKey,
    FingerprintShowsTheKey,
    DialerTakesASecond,
    DialerSendsItsNonceFirst,
    NonceGoesAlone,
    AllNetworksLookTheSame,
    ShutdownIsNotPassedOn,
    ListenerRunsInATask,
    AByteFarBehindIsChanged,
    OneByteReadsAreJunk,
}
use Fault as F;

pub(crate) const KEY: &[u8] = b"qK7vXw0jR3nZ5tYb9LmD2sHc";
pub(crate) const OTHER_KEY: &[u8] = b"B8fGd1uQeV6oPzT4aJxN0iWk";

const HEADER: &[u8] = b"\x13/multistream/1.0.0\n";
const NONCE: usize = 32;
const OPENING: usize = NONCE + HEADER.len();

#[derive(Clone)]
pub(crate) struct Veil {
    pub(crate) fault: Fault,
    pub(crate) key: &'static [u8],
}

impl fmt::Debug for Veil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            F::DebugShowsTheKey => write!(f, "Veil({:?})", self.key),
            _ => f.write_str("Veil"),
        }
    }
}

#[async_trait]
impl Protector for Veil {
    fn fingerprints(&self) -> Vec<String> {
        vec![match self.fault {
            F::AllNetworksLookTheSame => "private".into(),
            F::FingerprintShowsTheKey => String::from_utf8_lossy(&self.key[..12]).into(),
            _ => format!("{:016x}", hash(1, self.key)),
        }]
    }

    async fn protect(&self, mut io: BoxIo, role: Role) -> Result<BoxIo, ProtectorError> {
        let mut nonce = Keypair::generate_ed25519().public().try_into_ed25519().unwrap().to_bytes();
        if self.fault == F::NonceIsThatOfTheRole {
            nonce = [role.to_string().as_bytes()[0]; NONCE];
        }
        if role == Role::Listener {
            io.write_all(&nonce).await.map_err(broke)?;
            let mut link = Veiled::new(self.clone(), io, nonce, true);
            let known = async move {
                poll_fn(|cx| link.poll_open(cx)).await?;
                Ok(Box::new(link) as BoxIo)
            };
            return match self.fault {
                F::ListenerRunsInATask => tokio::spawn(known).await.unwrap(),
                _ => known.await,
            };
        }
        if self.fault == F::DialerSendsItsNonceFirst {
            io.write_all(&nonce).await.map_err(broke)?;
        }
        if self.fault == F::DialerTakesASecond {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let sent = self.fault == F::DialerSendsItsNonceFirst;
        Ok(Box::new(Veiled::new(self.clone(), io, nonce, sent)))
    }
}

fn broke(error: io::Error) -> ProtectorError {
    ProtectorError::new(ProtectorErrorKind::Io, "").with_source(error)
}

struct Veiled {
    veil: Veil,
    io: BoxIo,
    own: [u8; NONCE],
    out: Vec<u8>,
    nonce_sent: bool,
    written: u64,
    opening: Vec<u8>,
    /// What of the opening is passed on, and how much of it was.
    passed: usize,
    in_clear: bool,
    known: bool,
    read: u64,
}

impl Veiled {
    fn new(veil: Veil, io: BoxIo, own: [u8; NONCE], nonce_sent: bool) -> Self {
        let (out, opening) = (Vec::new(), Vec::new());
        Self {
            veil,
            io,
            own,
            out,
            nonce_sent,
            written: 0,
            opening,
            passed: 0,
            in_clear: false,
            known: false,
            read: 0,
        }
    }

    /// What the key stream under a nonce is made from.
    fn seed(veil: &Veil, nonce: &[u8]) -> u64 {
        let key = if veil.fault == F::KeyIsNotUsed { b"" } else { veil.key };
        hash(hash(0xcbf2_9ce4_8422_2325, key), nonce)
    }

    /// The byte number `at` of a key stream.
    fn stream(&self, seed: u64, at: u64) -> u8 {
        if self.veil.fault == F::CipherIsOffAfterTheHeader && at >= HEADER.len() as u64 {
            return 0;
        }
        let mut x = seed.wrapping_add(at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        (x >> 56) as u8
    }

    fn wrong(&self) -> ProtectorError {
        let detail = match self.veil.fault {
            F::ErrorsShowTheKey => format!("{:02x?}", self.veil.key).replace(", ", ""),
            _ => String::new(),
        };
        ProtectorError::new(ProtectorErrorKind::WrongNetwork, detail)
    }

    /// The header as far as it has come.
    fn header(&self) -> Vec<u8> {
        let (nonce, header) = self.opening.split_at(NONCE.min(self.opening.len()));
        let seed = Self::seed(&self.veil, nonce);
        header.iter().zip(0..).map(|(byte, at)| byte ^ self.stream(seed, at)).collect()
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProtectorError>> {
        let fault = self.veil.fault;
        while !self.known {
            if fault == F::NoncesOfOnesAreWaitedOn && self.opening.starts_with(&[0xff; NONCE]) {
                return Poll::Pending;
            }
            if self.opening.starts_with(HEADER) {
                if fault != F::ClearPeersPass {
                    return Poll::Ready(Err(self.wrong()));
                }
                self.in_clear = true;
                self.known = true;
                break;
            }
            let header = self.header();
            let compared = if fault == F::HeaderIsHalfCompared { header.len().min(10) } else { header.len() };
            if self.opening.len() >= NONCE {
                let mirror = self.opening[..NONCE] == self.own && fault != F::MirrorsPass;
                if mirror || header[..compared] != HEADER[..compared] {
                    return Poll::Ready(Err(self.wrong()));
                }
            }
            if header.len() == HEADER.len() {
                self.read = HEADER.len() as u64;
                self.known = true;
                break;
            }
            let mut chunk = vec![0; OPENING - self.opening.len()];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut chunk)).map_err(broke)?;
            if chunk.filled().is_empty() {
                return Poll::Ready(Err(broke(io::ErrorKind::UnexpectedEof.into())));
            }
            self.opening.extend(chunk.filled());
        }
        Poll::Ready(Ok(()))
    }

    /// Passes on what of the opening is for the inside.
    fn pass(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let inside = if self.in_clear { self.opening.clone() } else { self.header() };
        let rest = &inside[self.passed.min(inside.len())..];
        let count = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..count]);
        self.passed += count;
        count > 0
    }

    fn send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let n = ready!(Pin::new(&mut self.io).poll_write(cx, &self.out))?;
            self.out.drain(..n);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Veiled {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let fault = this.veil.fault;
        match this.poll_open(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(e)) => {
                if fault == F::EndWithinTheHeaderIsAnEnd && e.kind() == ProtectorErrorKind::Io {
                    return Poll::Ready(Ok(()));
                }
                return Poll::Ready(Err(io::Error::other(e)));
            }
            Poll::Pending if fault == F::HeaderIsPassedOnAsItComes && this.pass(buf) => {
                return Poll::Ready(Ok(()));
            }
            Poll::Pending => return Poll::Pending,
        }
        if this.pass(buf) {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        if fault == F::OneByteReadsAreJunk && buf.filled().len() - before == 1 {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        if !this.in_clear {
            let seed = Self::seed(&this.veil, &this.opening[..NONCE]);
            for byte in &mut buf.filled_mut()[before..] {
                *byte ^= this.stream(seed, this.read);
                this.read += 1;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Veiled {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.send(cx))?;
        if !this.nonce_sent {
            this.nonce_sent = true;
            this.out.extend(this.own);
            if this.veil.fault == F::NonceGoesAlone {
                ready!(this.send(cx))?;
            }
        }
        let seed = Self::seed(&this.veil, &this.own);
        let taken = buf.len().min(8_192);
        for byte in &buf[..taken] {
            let byte = if this.veil.fault == F::AByteFarBehindIsChanged && this.written == 600_000 {
                !byte
            } else {
                *byte
            };
            this.out.push(byte ^ this.stream(seed, this.written));
            this.written += 1;
        }
        // What the stream below does not take now goes with the next write or flush.
        let _ = this.send(cx)?;
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.send(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.send(cx))?;
        match this.veil.fault {
            F::ShutdownIsNotPassedOn => Poll::Ready(Ok(())),
            _ => Pin::new(&mut this.io).poll_shutdown(cx),
        }
    }
}

/// FNV-1a.
fn hash(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
