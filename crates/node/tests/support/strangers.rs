//! Peers that are no nodes: they do a part of the road by hand, or none of it, at either end of a link.

use skep::{
    SwarmBuilder,
    api::{
        BoxIo, ConfigSection, Multiaddr, PeerId,
        muxer::Muxer,
        security::{Role, SecureCx, Secured, Upgrader, Verifier},
        transport::{Link, MuxedLink, RawLink, Transport},
    },
};
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
};

/// What a dialler sends to propose Noise, before its first Noise message, and a listener to accept it.
pub(crate) const PROPOSAL: &[u8] = b"\x13/multistream/1.0.0\n\x07/noise\n";

/// What a stranger does with a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Reads, and says nothing.
    Silent,
    /// Writes what is no handshake.
    Garbage,
    /// Hangs up at once.
    Leaves,
    /// Hangs up in the middle of the handshake.
    Halfway,
    /// Proves who it is, and has no muxer that nodes have.
    OtherMuxer,
    /// Does all that a node does, but for serving streams.
    Good,
}

/// All of them but the last.
pub(crate) const BAD: [Manner; 5] =
    [Manner::Silent, Manner::Garbage, Manner::Leaves, Manner::Halfway, Manner::OtherMuxer];

/// The layers of a node, or of a stranger, to be used by hand.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    pub(crate) peer: PeerId,
    noise: Arc<dyn Upgrader>,
    yamux: Arc<dyn Muxer>,
}

impl Tools {
    /// Those of the node that this builder will build.
    pub(crate) fn of(builder: &SwarmBuilder) -> Self {
        let cx = builder.build_cx();
        Self {
            peer: cx.identity.peer_id(),
            noise: (skep::security_noise::PLUGIN.build)(&ConfigSection::empty("security.noise"), cx).unwrap(),
            yamux: (skep::muxer_yamux::PLUGIN.build)(&ConfigSection::empty("muxer.yamux"), cx).unwrap(),
        }
    }

    /// Secures a link without negotiation.
    async fn secure(&self, io: BoxIo, role: Role, muxers: &[&str]) -> Option<Secured<BoxIo>> {
        let muxers = muxers.iter().map(|id| (*id).to_string()).collect();
        let secured = self.noise.secure(io, SecureCx::new(role, Verifier::new(None), muxers)).await.ok()?;
        let (early, proof) = (secured.early_muxer().map(String::from), secured.verified().clone());
        let (mut io, _, _) = secured.into_parts();
        io.flush().await.ok()?;
        Some(Secured::new(proof, io).with_early_muxer(early))
    }

    /// Behaves on one end of a link, until there is no more to do.
    pub(crate) async fn behave(self, mut io: BoxIo, role: Role, manner: Manner) {
        match manner {
            Manner::Silent => drop(tokio::io::copy(&mut io, &mut tokio::io::sink()).await),
            Manner::Garbage => {
                let _ = io.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
                let _ = io.flush().await;
                let _ = io.read_to_end(&mut Vec::new()).await;
            }
            Manner::Leaves => {}
            Manner::Halfway => {
                let _ = io.write_all(PROPOSAL).await;
                let _ = io.write_all(&[0, 32, 1, 2, 3]).await;
                let _ = io.flush().await;
                let _ = io.read_exact(&mut [0; PROPOSAL.len()]).await;
            }
            Manner::OtherMuxer => drop(self.agree(io, role, &["/other/1.0.0"]).await),
            Manner::Good => {
                let Some(secured) = self.agree(io, role, &["/yamux/1.0.0"]).await else { return };
                let (io, _, _) = secured.into_parts();
                self.yamux.mux(io, role).driver.await;
            }
        }
    }

    /// Agrees on Noise, secures, and waits for the peer's next word if there is no muxer in common.
    async fn agree(&self, mut io: BoxIo, role: Role, muxers: &[&str]) -> Option<Secured<BoxIo>> {
        if role == Role::Dialer {
            io.write_all(PROPOSAL).await.ok()?;
            io.flush().await.ok()?;
        }
        let mut said = [0; PROPOSAL.len()];
        io.read_exact(&mut said).await.ok()?;
        if role == Role::Listener {
            io.write_all(PROPOSAL).await.ok()?;
            io.flush().await.ok()?;
        }
        let secured = self.secure(io, role, muxers).await?;
        if secured.early_muxer().is_some() {
            return Some(secured);
        }
        let (mut io, _, _) = secured.into_parts();
        let _ = io.read_to_end(&mut Vec::new()).await;
        None
    }

    /// Listens and behaves on each link that comes.
    pub(crate) async fn listen(
        &self,
        transport: &Arc<dyn Transport>,
        at: &str,
        manner: Manner,
    ) -> (Multiaddr, JoinHandle<()>) {
        let mut listener = transport.listen(&at.parse().unwrap()).await.unwrap();
        let (addr, tools) = (listener.local_addrs()[0].clone(), self.clone());
        let accept = async move {
            // Links go with the listener.
            let mut links = tokio::task::JoinSet::new();
            while let Ok(incoming) = listener.accept().await {
                if let Ok(Link::Raw(raw)) = incoming.accept().await {
                    links.spawn(tools.clone().behave(raw.io, Role::Listener, manner));
                }
                while links.try_join_next().is_some() {}
            }
        };
        (addr, tokio::spawn(accept))
    }
}

/// Two ends of a link that no node has made: the dialler's, and the listener's.
pub(crate) async fn raw_pair(transport: &dyn Transport, at: &Multiaddr) -> (RawLink, RawLink) {
    let mut listener = transport.listen(at).await.unwrap();
    let addr = listener.local_addrs()[0].clone();
    let accept = async { listener.accept().await.unwrap().accept().await };
    match tokio::join!(transport.dial(&addr), accept) {
        (Ok(Link::Raw(near)), Ok(Link::Raw(far))) => (near, far),
        other => panic!("{other:?}"),
    }
}

/// The same link, secured and multiplexed by hand.
pub(crate) async fn muxed_pair(near: (&Tools, RawLink), far: (&Tools, RawLink)) -> (MuxedLink, MuxedLink) {
    let end = async |(tools, raw): (&Tools, RawLink), role| {
        let (io, proof, _) = tools.secure(raw.io, role, &[]).await.unwrap().into_parts();
        MuxedLink {
            muxed: Secured::new(proof, tools.yamux.mux(io, role)),
            local: raw.local,
            remote: raw.remote,
        }
    };
    tokio::join!(end(near, Role::Dialer), end(far, Role::Listener))
}
