//! The model as services see it.

use super::{
    Closed, Dialled, FakeNode, Held, Opened, Outcome, Reach, Streams, addr, stream::FakeStream, stream::Pipe,
};
use async_trait::async_trait;
use skep_api::{
    CloseReason, Code, Multiaddr, NodeView, PeerId, PublicKey, Side, TaskScope,
    peerstore::PeerStore,
    protocol::{NegotiatedStream, ProtocolError, ProtocolErrorKind},
    security::Role,
    selector::ConnectionView,
    service::{Changes, DialFailed, DialManner, NodeControl},
    tags::Tags,
};
use std::{collections::BTreeSet, io, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// `[dial] timeout` of the model.
const DIAL_TIMEOUT: Duration = Duration::from_secs(60);

/// `[swarm] stream_timeout` of the model.
const STREAM_TIMEOUT: Duration = Duration::from_secs(10);

impl NodeView for FakeNode {
    fn public_key(&self) -> PublicKey {
        self.key.public()
    }

    fn listen_addrs(&self) -> Vec<Multiaddr> {
        Vec::new()
    }

    fn protocols(&self) -> Vec<String> {
        Vec::new()
    }
}

#[async_trait]
impl NodeControl for FakeNode {
    fn local_peer(&self) -> PeerId {
        self.key.public().to_peer_id()
    }

    fn connections(&self) -> Vec<ConnectionView> {
        let view = |held: &Held| {
            let mut view = held.view.clone();
            view.age = held.since.elapsed();
            view
        };
        self.lock().connections.values().map(view).collect()
    }

    fn is_connected(&self, peer: &PeerId) -> bool {
        self.lock().connections.values().any(|held| held.view.peer == *peer)
    }

    fn connected_peers(&self) -> usize {
        self.lock().connections.values().map(|held| held.view.peer).collect::<BTreeSet<_>>().len()
    }

    fn tags(&self) -> Arc<dyn Tags> {
        Arc::clone(&self.tags) as Arc<dyn Tags>
    }

    fn peerstore(&self) -> Option<Arc<dyn PeerStore>> {
        self.store.clone()
    }

    fn tasks(&self) -> TaskScope {
        self.tasks.scope()
    }

    fn changes(&self) -> Box<dyn Changes> {
        let discoveries = self.store.as_ref().map(|store| store.discoveries());
        Box::new(self.lock().subscribers.add(discoveries))
    }

    async fn dial(&self, peer: &PeerId, manner: DialManner) -> Result<u64, DialFailed> {
        let mut log = Log::begin(self, peer, manner);
        let result = self.reached(peer, manner).await;
        log.end(match &result {
            Ok(id) => Outcome::Connected(*id),
            Err(e) => Outcome::Failed(e.code),
        });
        result
    }

    async fn open(
        &self,
        connection: u64,
        protocols: &[String],
    ) -> Result<Box<dyn NegotiatedStream>, ProtocolError> {
        self.lock().opens.push(Opened { at: self.now(), connection, protocols: protocols.to_vec() });
        let script = self.script_of(connection)?;
        match script {
            Streams::Refused => return failed(ProtocolErrorKind::NotSupported),
            Streams::Breaks => return failed(ProtocolErrorKind::Io),
            Streams::Never => {
                self.opening_ends(connection).await;
                self.script_of(connection)?;
                return failed(ProtocolErrorKind::TimedOut);
            }
            Streams::Echo(_) | Streams::Silent | Streams::Resets(_) => {}
        }
        let pipe = Pipe::new(script);
        if let Some(held) = self.lock().connections.get_mut(&connection) {
            held.pipes.retain(|pipe| pipe.strong_count() > 0);
            held.pipes.push(Arc::downgrade(&pipe));
        }
        Ok(Box::new(FakeStream::new(pipe)))
    }

    async fn close(&self, connection: u64, code: Code, why: &str) -> bool {
        let Some(peer) = self.lock().connections.get(&connection).map(|held| held.view.peer) else {
            return false;
        };
        let closed = Closed { at: self.now(), connection, peer, code, why: why.to_string() };
        self.lock().closes.push(closed);
        self.disconnect(connection, CloseReason::Closed { by: Side::Local, code, text: why.to_string() })
    }
}

impl FakeNode {
    async fn reached(&self, peer: &PeerId, manner: DialManner) -> Result<u64, DialFailed> {
        if self.lock().ended {
            return not_reached("shutting_down", false);
        }
        if *peer == self.local_peer() {
            return not_reached("own_address", false);
        }
        if let Some(id) = self.ids(peer).first().filter(|_| !manner.another) {
            return Ok(*id);
        }
        let most = manner.timeout.unwrap_or(DIAL_TIMEOUT).min(DIAL_TIMEOUT);
        let reach = self.lock().reach.get(peer).copied().unwrap_or(Reach::NotTried("no_addresses"));
        let (takes, result) = match reach {
            Reach::After(takes) => (takes, Ok(())),
            Reach::Fails(code, takes) => (takes, Err(code)),
            Reach::Never => (Duration::MAX, Err("timed_out")),
            Reach::NotTried(code) => return not_reached(code, false),
        };
        sleep(takes.min(most)).await;
        match result {
            _ if takes > most => not_reached("timed_out", true),
            Err(code) => not_reached(code, true),
            // Somebody else may have connected meanwhile.
            Ok(()) => match self.ids(peer).first().filter(|_| !manner.another) {
                Some(id) => Ok(*id),
                None => Ok(self.connect(peer, Role::Dialer, self.addr_of(peer))),
            },
        }
    }

    /// An address that a dial would have tried.
    fn addr_of(&self, peer: &PeerId) -> Multiaddr {
        let known = self.store.as_ref().and_then(|store| store.addrs(peer).into_iter().next());
        known.map_or_else(|| addr("/memory/1"), |known| known.addr)
    }

    fn script_of(&self, connection: u64) -> Result<Streams, ProtocolError> {
        let state = self.lock();
        let Some(held) = state.connections.get(&connection) else {
            let error = ProtocolError::new(ProtocolErrorKind::Io, "the connection has ended");
            return Err(error);
        };
        let of_peer = state.streams.get(&held.view.peer).copied();
        Ok(held.streams.or(of_peer).unwrap_or(Streams::Echo(Duration::from_millis(10))))
    }

    /// Waits for the end of the time that an opening has, or of the connection.
    async fn opening_ends(&self, connection: u64) {
        let until = Instant::now().checked_add(STREAM_TIMEOUT).unwrap_or_else(Instant::now);
        let mut changes = self.changes();
        while self.script_of(connection).is_ok() {
            match tokio::time::timeout_at(until, changes.next()).await {
                Ok(Some(_)) => {}
                Ok(None) => tokio::time::sleep_until(until).await,
                Err(_) => return,
            }
        }
    }
}

fn failed<T>(kind: ProtocolErrorKind) -> Result<T, ProtocolError> {
    Err(ProtocolError::new(kind, "as scripted"))
}

fn not_reached<T>(code: &'static str, tried: bool) -> Result<T, DialFailed> {
    Err(DialFailed::new(code, tried, Arc::new(io::Error::other("as scripted"))))
}

/// The line of a dial in the log; dropped before its end, the dial was.
struct Log<'a> {
    node: &'a FakeNode,
    at: Option<usize>,
}

impl<'a> Log<'a> {
    fn begin(node: &'a FakeNode, peer: &PeerId, manner: DialManner) -> Self {
        let mut state = node.lock();
        let at = Some(state.dials.len());
        let (outcome, ended) = (Outcome::Pending, None);
        state.dials.push(Dialled { at: node.now(), peer: *peer, manner, outcome, ended });
        state.most_dialling = state.most_dialling.max(state.dialling());
        Self { node, at }
    }

    fn end(&mut self, outcome: Outcome) {
        let Some(at) = self.at.take() else { return };
        let now = self.node.now();
        if let Some(dial) = self.node.lock().dials.get_mut(at) {
            (dial.outcome, dial.ended) = (outcome, Some(now));
        }
    }
}

impl Drop for Log<'_> {
    fn drop(&mut self) {
        self.end(Outcome::Dropped);
    }
}
