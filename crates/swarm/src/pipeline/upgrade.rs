//! From an admitted link to a connection whose peer is proven and whose streams can be opened.

use super::{admit, negotiate, progress::Progress};
use crate::{
    error::{AttemptError, Cause, Stage},
    permits::Permit,
    stack::Stack,
    swarm::Inner,
};
use admit::Admitted;
use multistream_select::NegotiationError;
use skep_api::{
    BoxIo, Multiaddr, PeerId, PublicKey,
    error::BoxError,
    escape,
    gate::Checkpoint,
    muxer::{Muxed, MuxerError, MuxerErrorKind},
    protector::ProtectorError,
    security::{Role, SecureCx, Secured, SecurityError, SecurityErrorKind, Verifier},
    transport::{Link, RawLink},
};
use std::sync::Arc;
use tokio::time::Instant;

/// A connection at the end of the road, not yet registered.
#[derive(Debug)]
pub(crate) struct Established {
    pub(crate) muxed: Muxed,
    pub(crate) permit: Permit,
    pub(crate) info: ConnectionInfo,
    /// When its socket was dialled or accepted.
    pub(crate) begun: Instant,
}

/// What is known of a connection from its making.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// This node's side.
    pub role: Role,
    /// The peer, proven.
    pub peer: PeerId,
    /// The key it proved.
    pub peer_key: PublicKey,
    /// This end, from the socket.
    pub local: Multiaddr,
    /// The peer's end, from the socket.
    pub remote: Multiaddr,
    /// The transport plugin; `given` where the link was made elsewhere.
    pub transport: String,
    /// The security plugin; `None` where the transport brings its own.
    pub security: Option<String>,
    /// The muxer plugin; `None` where the transport brings its own.
    pub muxer: Option<String>,
    /// Whether the muxer was agreed on within the security handshake.
    pub early_muxer: bool,
}

/// What upgrading needs beside the link.
#[derive(Debug)]
pub(crate) struct Upgrade<'a> {
    pub(crate) node: &'a Inner,
    /// The layers as they were when the connection began.
    pub(crate) stack: Arc<Stack>,
    /// The plugin that made the link.
    pub(crate) transport: &'a str,
    pub(crate) role: Role,
    pub(crate) expected: Option<PeerId>,
    pub(crate) begun: Instant,
    pub(crate) progress: &'a Progress,
}

impl Upgrade<'_> {
    pub(crate) async fn run(self, link: Admitted<Link>) -> Result<Established, AttemptError> {
        let (link, permit) = link.into_parts();
        match link {
            Link::Raw(raw) => self.raw(raw, permit).await,
            Link::Muxed(link) => {
                let (muxed, verified, _) = link.muxed.into_parts();
                self.check_peer(verified.peer(), &link.remote, permit.seat())?;
                let info = ConnectionInfo {
                    role: self.role,
                    peer: verified.peer(),
                    peer_key: verified.key().clone(),
                    local: link.local,
                    remote: link.remote,
                    transport: self.transport.into(),
                    security: None,
                    muxer: None,
                    early_muxer: false,
                };
                Ok(Established { muxed, permit, info, begun: self.begun })
            }
            _ => Err(AttemptError::new(Stage::Connect, "", Cause::NoTransport(String::new()))),
        }
    }

    async fn raw(self, link: RawLink, permit: Permit) -> Result<Established, AttemptError> {
        let link = self.node.meters.count_bytes(link, self.transport);
        let io = self.protect(link.io).await?;
        self.progress.at(Stage::Security, "");
        let step = (Stage::Security, self.role);
        let (security, secured) = self.node.meters.handshake(step, self.progress, self.secure(io)).await?;
        let peer = secured.verified().peer();
        self.progress.at(Stage::Peer, "");
        self.check_peer(peer, &link.remote, permit.seat())?;
        self.progress.at(Stage::Muxer, "");
        self.check_muxers(secured.peer_muxers())?;
        let (io, verified, early) = secured.into_parts();
        let (step, mux) = ((Stage::Muxer, self.role), self.mux(io, early.as_deref()));
        let (muxer, muxed) = self.node.meters.handshake(step, self.progress, mux).await?;
        let info = ConnectionInfo {
            role: self.role,
            peer,
            peer_key: verified.key().clone(),
            local: link.local,
            remote: link.remote,
            transport: self.transport.into(),
            security: Some(security),
            muxer: Some(muxer),
            early_muxer: early.is_some(),
        };
        Ok(Established { muxed, permit, info, begun: self.begun })
    }

    /// Goes first on a raw link: outside of the private network nothing else is said.
    async fn protect(&self, io: BoxIo) -> Result<BoxIo, AttemptError> {
        let Some(protector) = &self.stack.protector else { return Ok(io) };
        self.progress.at(Stage::Protector, &protector.name);
        let protected = protector.object.protect(io, self.role).await;
        protected.map_err(|e| AttemptError::new(Stage::Protector, &protector.name, Cause::Protector(e)))
    }

    /// A failed handshake. That the peer is not of the private network shows in the first read, which is the handshake's.
    fn handshake_failed(&self, plugin: &str, error: SecurityError) -> AttemptError {
        let stranger = negotiate::find(&error, |e| {
            e.downcast_ref().map(|e: &ProtectorError| ProtectorError::new(e.kind(), e.detail()))
        });
        match (&self.stack.protector, stranger) {
            (Some(protector), Some(stranger)) => {
                let cause = Cause::Protector(stranger.with_source(error));
                AttemptError::new(Stage::Protector, &protector.name, cause)
            }
            _ => AttemptError::new(Stage::Security, plugin, Cause::Security(error)),
        }
    }

    async fn secure(&self, io: BoxIo) -> Result<(String, Secured<BoxIo>), AttemptError> {
        let upgraders = &self.stack.security;
        let fail = |plugin: &str, e| self.handshake_failed(plugin, e);
        let ids = upgraders.iter().map(|u| u.object.protocol());
        let (id, io) = negotiate::negotiate(io, self.role, ids)
            .await
            .map_err(|e| fail("", security_negotiation(e, &names(upgraders.iter().map(|u| &u.name)))))?;
        let Some(upgrader) = upgraders.iter().find(|u| u.object.protocol() == id) else {
            return Err(fail("", SecurityError::new(SecurityErrorKind::NoCommonProtocol, id)));
        };
        self.progress.at(Stage::Security, &upgrader.name);
        let muxers = self.stack.muxers.iter().map(|m| m.object.protocol().to_string()).collect();
        let cx = SecureCx::new(self.role, self.verifier(), muxers);
        match upgrader.object.secure(Box::new(io), cx).await {
            Ok(secured) => Ok((upgrader.name.clone(), secured)),
            Err(e) if negotiate::refused(&e) => {
                let detail = format!("the peer does not take {}", upgrader.object.protocol());
                let e = SecurityError::new(SecurityErrorKind::NoCommonProtocol, detail).with_source(e);
                Err(fail(&upgrader.name, e))
            }
            Err(e) => Err(fail(&upgrader.name, e)),
        }
    }

    fn verifier(&self) -> Verifier {
        let verifier = Verifier::new(self.expected);
        if self.node.live().settings.allow_insecure { verifier.allowing_insecure() } else { verifier }
    }

    /// Who it is must not be this node itself, and the gates must agree.
    fn check_peer(&self, peer: PeerId, remote: &Multiaddr, seat: Option<u64>) -> Result<(), AttemptError> {
        if peer == self.node.local_peer {
            return Err(AttemptError::new(Stage::Peer, "", Cause::OwnAddress));
        }
        // The verifier has compared them, but for a link that was made elsewhere.
        if let Some(expected) = self.expected.filter(|expected| *expected != peer) {
            let detail = format!("expected {expected}, found {peer}");
            let error = SecurityError::new(SecurityErrorKind::WrongPeer, detail);
            return Err(AttemptError::new(Stage::Peer, "", Cause::Security(error)));
        }
        self.node.ask(&Checkpoint::Peer { role: self.role, peer: &peer, remote }, seat)
    }

    /// What the peer has said of its muxers is known before a proposal would be refused; and a single proposal is not
    /// waited for, so that its refusal would be seen only after the dial.
    fn check_muxers(&self, theirs: &[String]) -> Result<(), AttemptError> {
        let ours = &self.stack.muxers;
        if theirs.is_empty() || ours.iter().any(|m| theirs.iter().any(|id| id == m.object.protocol())) {
            return Ok(());
        }
        let theirs: Vec<_> = theirs.iter().map(|id| escape::remote(id)).collect();
        let ours = names(ours.iter().map(|m| &m.name));
        let detail = format!("this node has {ours}; the peer has {}", theirs.join(", "));
        let error = MuxerError::new(MuxerErrorKind::NoCommonProtocol, detail);
        Err(AttemptError::new(Stage::Muxer, "", Cause::Muxer(error)))
    }

    async fn mux(&self, io: BoxIo, early: Option<&str>) -> Result<(String, Muxed), AttemptError> {
        let muxers = &self.stack.muxers;
        let fail = |e| AttemptError::new(Stage::Muxer, "", Cause::Muxer(e));
        let (id, io): (String, BoxIo) = match early {
            Some(id) => (id.to_string(), io),
            None => {
                let ids = muxers.iter().map(|m| m.object.protocol());
                let (id, io) = negotiate::negotiate(io, self.role, ids)
                    .await
                    .map_err(|e| fail(muxer_negotiation(e, &names(muxers.iter().map(|m| &m.name)))))?;
                (id.to_string(), Box::new(io))
            }
        };
        match muxers.iter().find(|m| m.object.protocol() == id) {
            Some(muxer) => Ok((muxer.name.clone(), muxer.object.mux(io, self.role))),
            None => Err(fail(MuxerError::new(MuxerErrorKind::NoCommonProtocol, id))),
        }
    }
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn security_negotiation(error: NegotiationError, ours: &str) -> SecurityError {
    match error {
        NegotiationError::Failed => {
            let detail = format!("this node has {ours}; the peer proposed or took none of it");
            SecurityError::new(SecurityErrorKind::NoCommonProtocol, detail)
        }
        NegotiationError::ProtocolError(e) => {
            let kind = if is_io(&e) { SecurityErrorKind::Io } else { SecurityErrorKind::Malformed };
            SecurityError::new(kind, "while agreeing on a security protocol").with_source(BoxError::from(e))
        }
    }
}

fn muxer_negotiation(error: NegotiationError, ours: &str) -> MuxerError {
    match error {
        NegotiationError::Failed => {
            let detail = format!("this node has {ours}; the peer proposed or took none of it");
            MuxerError::new(MuxerErrorKind::NoCommonProtocol, detail)
        }
        NegotiationError::ProtocolError(e) => {
            MuxerError::new(MuxerErrorKind::Io, "while agreeing on a muxer").with_source(BoxError::from(e))
        }
    }
}

/// A broken stream, in contrast to bytes that are no negotiation.
fn is_io(error: &multistream_select::ProtocolError) -> bool {
    use std::io::ErrorKind as E;
    match error {
        multistream_select::ProtocolError::IoError(e) => {
            !matches!(e.kind(), E::InvalidData | E::InvalidInput)
        }
        _ => false,
    }
}
