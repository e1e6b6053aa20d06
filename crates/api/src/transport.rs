//! Transports: from an address to a link.

use crate::{BoxIo, Multiaddr, error::layer_error, muxer::Muxed, security::Secured};
use async_trait::async_trait;
use std::fmt::Debug;

/// Dials and listens on the addresses it supports.
///
/// # Obligations
///
/// * T1. `supports(addr)` is pure and cheap, and true exactly if `dial` and `listen` can serve an address of
///   this form. `dial` and `listen` answer any other with [`TransportErrorKind::Unsupported`].
/// * T2. `dial` returns a link whose `remote` is the address dialled (without `/p2p/…`) and whose `local` is
///   the socket's own.
/// * T3. Dropping the future of `dial` closes its socket.
/// * T4. `listen` returns once the address is bound; port 0 is resolved and wildcards are expanded in
///   [`Listener::local_addrs`].
/// * T5. A failure says which address and keeps the system's error as its source.
/// * T6. A trailing `/p2p/…` is accepted. A transport of raw links ignores it: who answers is checked by the security
///   layer. One whose links come secured fails if another peer answers, before that peer is told that the handshake is
///   complete: [`TransportErrorKind::Handshake`] with the [`SecurityError`](crate::security::SecurityError) of the
///   verifier as its source.
#[async_trait]
pub trait Transport: Debug + Send + Sync + 'static {
    /// Whether this transport serves addresses of this form.
    fn supports(&self, addr: &Multiaddr) -> bool;

    /// What the framework and the tests may expect of it.
    fn capabilities(&self) -> TransportCapabilities;

    /// Connects to `addr`. The caller bounds it in time by dropping the future.
    ///
    /// # Errors
    /// [`TransportError`] with the address in its detail.
    async fn dial(&self, addr: &Multiaddr) -> Result<Link, TransportError>;

    /// Binds `addr`.
    ///
    /// # Errors
    /// [`TransportErrorKind::AddressInUse`], [`TransportErrorKind::AddressUnavailable`] and the like.
    async fn listen(&self, addr: &Multiaddr) -> Result<Box<dyn Listener>, TransportError>;

    /// What the profile lacks for listening on `addr`, such as a certificate. It is asked when a profile is checked, opens
    /// nothing, and knows nothing of what `listen` finds out from the system.
    ///
    /// # Errors
    /// What `listen` would answer for lack of configuration.
    fn check_listen(&self, addr: &Multiaddr) -> Result<(), TransportError> {
        let _ = addr;
        Ok(())
    }
}

/// Facts about a transport. The default is the weaker claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportCapabilities {
    /// Links come secured and multiplexed ([`Link::Muxed`]).
    pub muxed: bool,
    /// The end of one direction reaches the peer while the other stays open.
    pub half_close: bool,
}

impl TransportCapabilities {
    /// The claims of a raw, reliable byte stream with half-close.
    #[must_use]
    pub fn raw_stream() -> Self {
        Self { muxed: false, half_close: true }
    }

    /// The claims of a transport that secures and multiplexes by itself.
    #[must_use]
    pub fn muxed() -> Self {
        Self { muxed: true, half_close: true }
    }
}

/// A bound address.
///
/// # Obligations
///
/// * L1. `accept` is cancel-safe: a dropped future loses no connection.
/// * L2. Running out of file descriptors or a connection that died in the queue is no error of `accept`: it
///   waits and goes on. An error means that the listener is dead.
/// * L3. Dropping the listener frees the address.
#[async_trait]
pub trait Listener: Debug + Send + 'static {
    /// The addresses that can be dialled, port resolved and wildcard expanded, without `/p2p/…`.
    fn local_addrs(&self) -> Vec<Multiaddr>;

    /// The next connection, of which nothing has been read or answered yet.
    ///
    /// # Errors
    /// When the listener cannot accept any more, for good.
    async fn accept(&mut self) -> Result<Box<dyn Incoming>, TransportError>;
}

/// A connection that a peer wants, before any handshake byte.
///
/// # Obligations
///
/// * N1. Before `accept` no byte is sent and none of the peer's is interpreted.
/// * N2. Dropping it, or `refuse`, ends the connection: the dialler's link fails.
#[async_trait]
pub trait Incoming: Debug + Send + 'static {
    /// Where it comes from.
    fn remote_addr(&self) -> &Multiaddr;

    /// Which of the listener's addresses it came to.
    fn local_addr(&self) -> &Multiaddr;

    /// Takes the connection.
    ///
    /// # Errors
    /// When the peer is gone, or, for [`Link::Muxed`], when its handshake fails.
    async fn accept(self: Box<Self>) -> Result<Link, TransportError>;

    /// Turns it away.
    fn refuse(self: Box<Self>);
}

/// What a transport produces.
#[derive(Debug)]
#[non_exhaustive]
pub enum Link {
    /// A plain byte stream that still needs a security upgrade and a muxer.
    Raw(RawLink),
    /// A connection that came secured and multiplexed, as QUIC's do.
    Muxed(Box<MuxedLink>),
}

impl Link {
    /// The address of the peer's end, from the socket.
    #[must_use]
    pub fn remote(&self) -> &Multiaddr {
        match self {
            Self::Raw(link) => &link.remote,
            Self::Muxed(link) => &link.remote,
        }
    }

    /// The address of this end, from the socket.
    #[must_use]
    pub fn local(&self) -> &Multiaddr {
        match self {
            Self::Raw(link) => &link.local,
            Self::Muxed(link) => &link.local,
        }
    }
}

/// A byte stream and its two ends.
#[derive(Debug)]
pub struct RawLink {
    /// The stream.
    pub io: BoxIo,
    /// This end.
    pub local: Multiaddr,
    /// The peer's end.
    pub remote: Multiaddr,
}

/// A secured and multiplexed connection and its two ends.
#[derive(Debug)]
pub struct MuxedLink {
    /// The connection with the evidence of who the peer is.
    pub muxed: Secured<Muxed>,
    /// This end.
    pub local: Multiaddr,
    /// The peer's end.
    pub remote: Multiaddr,
}

layer_error! {
    /// A dial, a listen or an accept that failed.
    TransportError,
    /// What went wrong in a transport.
    TransportErrorKind {
        /// The transport does not serve such addresses.
        Unsupported => "unsupported_address", Local, Permanent, "this transport does not serve the address",
            "give an address of a linked transport (see `skep plugins`)";
        /// The host answered that nobody listens there.
        Refused => "refused", Remote, Later, "the address refused the connection",
            "check that the peer runs and listens on this address and port";
        /// No route, network or host down.
        Unreachable => "unreachable", Network, Later, "the address cannot be reached from here",
            "check the route to the address, and whether this host has that address family";
        /// No answer in time.
        TimedOut => "timed_out", Network, Later, "no answer in time",
            "check for a firewall on the way, or give the dial more time";
        /// The connection broke.
        Reset => "reset", Remote, Soon, "the connection broke while it was set up",
            "the peer or something on the way closed it; look at the peer's log";
        /// Something else is bound there.
        AddressInUse => "address_in_use", Local, Permanent, "the address is in use",
            "stop the other program or listen on another port; port 0 takes a free one";
        /// Not an address of this host.
        AddressUnavailable => "address_unavailable", Local, Permanent, "the address is not one of this host",
            "listen on 0.0.0.0, on ::, or on an address that `ip address` lists";
        /// The system forbids it.
        PermissionDenied => "permission_denied", Local, Permanent, "the system does not permit it",
            "ports below 1024 need a privilege; check the firewall's local rules";
        /// The profile lacks what such an address takes, as a certificate.
        Unconfigured => "not_configured", Local, Permanent, "the profile lacks what this address takes",
            "set the keys that the detail names";
        /// Too many open files.
        FdLimit => "fd_limit", Local, Soon, "no file descriptor is left",
            "raise `ulimit -n` or lower the connection limits";
        /// The listener or transport has ended.
        Closed => "closed", Local, Permanent, "the listener has ended",
            "listen again";
        /// A secured transport could not authenticate the peer.
        Handshake => "handshake", Remote, Permanent, "the transport's own handshake failed",
            "check that the peer speaks the same version and has the expected peer id";
        /// None of the above.
        Other => "other", Network, Later, "the system reported an error",
            "see the cause";
    }
}

impl TransportError {
    /// The kind that fits an error of the operating system, with the address as detail.
    #[must_use]
    pub fn from_io(addr: &Multiaddr, error: std::io::Error) -> Self {
        use std::io::ErrorKind as E;
        let kind = match error.kind() {
            E::ConnectionRefused => TransportErrorKind::Refused,
            E::TimedOut => TransportErrorKind::TimedOut,
            E::ConnectionReset | E::ConnectionAborted | E::BrokenPipe | E::UnexpectedEof => {
                TransportErrorKind::Reset
            }
            E::AddrInUse => TransportErrorKind::AddressInUse,
            E::AddrNotAvailable => TransportErrorKind::AddressUnavailable,
            E::PermissionDenied => TransportErrorKind::PermissionDenied,
            E::HostUnreachable | E::NetworkUnreachable | E::NetworkDown => TransportErrorKind::Unreachable,
            // EAFNOSUPPORT: the host lacks the address family, such as IPv6. It has no kind of its own.
            _ if error.raw_os_error() == Some(97) => TransportErrorKind::Unreachable,
            // EMFILE and ENFILE have no kind of their own.
            _ if matches!(error.raw_os_error(), Some(23 | 24)) => TransportErrorKind::FdLimit,
            _ => TransportErrorKind::Other,
        };
        Self::new(kind, addr.to_string()).with_source(error)
    }
}
