//! A node in the middle of everything: it serves transfers, is sent to, dials, looks names up, shakes hands, listens.

use super::{
    ECHO, FLOOD, layers,
    meter::{Guards, Metered},
    strangers::{Manner, Tools, raw_pair},
};
use async_trait::async_trait;
use skep::{
    DialOptions, Swarm, SwarmBuilder, SwarmConn,
    api::{
        Code, Multiaddr, PeerId,
        multiaddr::Protocol,
        protocol::{InboundStream, ProtocolError, ProtocolHandler},
        resolver::{ResolveError, ResolveErrorKind, Resolver},
        transport::Transport,
    },
    swarm::{Settings, events::Notifee},
};
use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::{JoinHandle, JoinSet},
    time::sleep,
};

/// Sends a number, a length, and so many bytes.
const GIVE: &str = "/test/give/1";
/// Reads until the end, and says so.
const SINK: &str = "/test/sink/1";

/// What becomes of transfers: those that the node has finished, and those that have come to the peer as a whole.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    next: AtomicU64,
    finished: Mutex<Vec<u64>>,
    arrived: Mutex<HashMap<u64, bool>>,
}

impl Ledger {
    /// The transfers of which `finish` has returned.
    pub(crate) fn finished(&self) -> Vec<u64> {
        self.finished.lock().unwrap().clone()
    }

    /// Those among them that have not arrived as a whole.
    pub(crate) fn missing(&self, finished: &[u64]) -> Vec<u64> {
        let arrived = self.arrived.lock().unwrap();
        finished.iter().filter(|id| arrived.get(id) != Some(&true)).copied().collect()
    }
}

#[derive(Debug)]
struct Transfers(Arc<Ledger>, u64);

#[async_trait]
impl ProtocolHandler for Transfers {
    fn protocols(&self) -> Vec<String> {
        vec![GIVE.into(), SINK.into()]
    }

    async fn serve(&self, inbound: InboundStream) -> Result<(), ProtocolError> {
        let mut stream = inbound.stream;
        if inbound.protocol == SINK {
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
            stream.shutdown().await?;
            return Ok(());
        }
        let id = self.0.next.fetch_add(1, Ordering::SeqCst);
        let len = fastrand::Rng::with_seed(id).u64(0..4 * self.1);
        stream.write_u64(id).await?;
        stream.write_u64(len).await?;
        tokio::io::copy(&mut tokio::io::repeat(7).take(len), &mut stream).await?;
        stream.shutdown().await?;
        self.0.finished.lock().unwrap().push(id);
        Ok(())
    }
}

/// Looks names up for a while, and finds nothing, or never comes back.
#[derive(Debug)]
struct Slow;

#[async_trait]
impl Resolver for Slow {
    async fn resolve(&self, addr: &Multiaddr) -> Result<Vec<Multiaddr>, ResolveError> {
        if addr.to_string().contains("never") {
            std::future::pending::<()>().await;
        }
        if addr.to_string().contains("slow") {
            sleep(Duration::from_millis(5)).await;
            return Err(ResolveError::new(ResolveErrorKind::NotFound, addr.to_string()));
        }
        Ok(vec![addr.clone()])
    }
}

/// Is told everything.
struct Told;

impl Notifee for Told {}

/// Makes the transport of a node.
pub(crate) type MakeTransport = Arc<dyn Fn(&SwarmBuilder) -> Arc<dyn Transport>>;

/// Where nodes meet.
pub(crate) struct Net {
    pub(crate) transport: MakeTransport,
    pub(crate) at: Multiaddr,
    /// The size of what is moved.
    pub(crate) bulk: u64,
}

/// The node, its peer, and what both are doing.
pub(crate) struct Lively {
    pub(crate) node: Swarm,
    pub(crate) at: Multiaddr,
    pub(crate) net: Arc<Metered<dyn Transport>>,
    pub(crate) guards: Guards,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) callers: JoinSet<()>,
    registration: skep::swarm::events::Registration,
    peer: Swarm,
    doings: JoinSet<()>,
    door: Option<JoinHandle<()>>,
    over: Arc<AtomicBool>,
}

impl Lively {
    pub(crate) async fn new(net: &Net, rogue: bool) -> Self {
        let ledger = Arc::new(Ledger::default());
        let guards = Guards::default();
        let builder = layers();
        if rogue {
            builder.build_cx().tasks.spawn("rogue", std::future::pending());
        }
        let metered = Metered::new((net.transport)(&builder), &guards);
        // Enough for a machine that is busy.
        let settings = Settings {
            close_timeout: skep::api::config::DurationText::secs(10),
            max_connections_per_peer: 8,
            ..Settings::default()
        };
        let node = builder
            .transport("net", Arc::clone(&metered) as _)
            .resolver("slow", Arc::new(Slow))
            .resources("guards", Arc::new(guards.clone()))
            .protocol("transfers", Arc::new(Transfers(Arc::clone(&ledger), net.bulk)))
            .settings(settings.clone())
            .build()
            .unwrap();
        let at = node.listen(&net.at).await.unwrap()[0].clone();
        let builder = layers();
        let transport = (net.transport)(&builder);
        let peer = builder.transport("net", Arc::clone(&transport)).settings(settings).build().unwrap();
        let peer_at = peer.listen(&net.at).await.unwrap()[0].clone();
        let mut lively = Self {
            registration: node.register_notifee(Arc::new(Told)),
            node,
            at,
            net: metered,
            guards,
            ledger,
            callers: JoinSet::new(),
            peer,
            doings: JoinSet::new(),
            door: None,
            over: Arc::default(),
        };
        lively.transfer(net.bulk).await;
        lively.call(net, transport, peer_at).await;
        lively
    }

    /// The peer takes and gives.
    async fn transfer(&mut self, bulk: u64) {
        let conn = self.peer.dial_addr(&self.at).await.unwrap();
        for _ in 0..3 {
            self.doings.spawn(take(conn.clone(), Arc::clone(&self.ledger)));
            self.doings.spawn(give(conn.clone(), bulk));
        }
        let flooded = conn.clone();
        self.doings.spawn(async move {
            let Ok(mut stream) = flooded.open_stream(&[FLOOD.into()]).await else { return };
            // Never reads more than this.
            let _ = stream.read(&mut [0; 1000]).await;
            flooded.closed().await;
        });
        let (peer, at) = (self.peer.clone(), self.at.clone());
        self.doings.spawn(async move {
            let always = || DialOptions::default().always().ignore_backoff();
            while let Ok(dialed) = peer.dial_addr_with(&at, always()).await {
                dialed.connection.close(Code::NONE).await;
            }
        });
    }

    /// What is asked of the node while it ends.
    async fn call(&mut self, net: &Net, transport: Arc<dyn Transport>, peer_at: Multiaddr) {
        let stranger = Tools::of(&layers());
        let (silent, door) = stranger.listen(&transport, &net.at.to_string(), Manner::Silent).await;
        self.door = Some(door);
        let port = || Protocol::Tcp(9);
        let named = |name: &str| Multiaddr::empty().with(Protocol::Dns(name.to_string().into())).with(port());
        let peer = self.peer.peer_id();
        for addr in [peer_at.clone(), silent, named("slow.test"), named("never.test")] {
            self.caller(move |node| {
                let addr = addr.clone();
                async move {
                    let options = DialOptions::default().always().ignore_backoff();
                    let Ok(dialed) = node.dial_addr_with(&addr, options).await else { return false };
                    dialed.connection.close(Code::NONE).await;
                    true
                }
            });
        }
        self.caller(move |node| echo(node, peer, peer_at.clone()));
        let at = net.at.clone();
        let elsewhere = at.clone();
        self.caller(move |node| {
            let at = at.clone();
            async move {
                // Where this takes no time, time has to pass elsewhere.
                let Ok(addrs) = node.listen(&at).await else { return false };
                !node.remove_listener(&addrs[0]).await
            }
        });
        self.caller(move |node| {
            let (transport, at) = (Arc::clone(&transport), elsewhere.clone());
            async move {
                // Nobody says a word at the other end.
                let (near, _far) = raw_pair(&*transport, &at).await;
                node.upgrade_inbound_raw_conn(near).await.is_ok()
            }
        });
    }

    /// Does something again and again, until the scene is over.
    fn caller<F, R>(&mut self, call: F)
    where
        F: Fn(Swarm) -> R + Send + 'static,
        R: Future<Output = bool> + Send + 'static,
    {
        let (node, over) = (self.node.clone(), Arc::clone(&self.over));
        self.callers.spawn(async move {
            while !over.load(Ordering::SeqCst) {
                if !call(node.clone()).await {
                    sleep(Duration::from_millis(1)).await;
                }
            }
        });
    }

    /// The node has ended: all callers come back, and the peer's side comes to its end.
    pub(crate) async fn end(mut self) {
        self.over.store(true, Ordering::SeqCst);
        while self.callers.join_next().await.is_some() {}
        // What is on its way to the peer arrives first.
        while self.doings.join_next().await.is_some() {}
        let report = self.peer.shutdown(Duration::from_secs(60)).await;
        assert!(report.forced.is_empty(), "at the peer: {report:?}");
        self.door.iter().for_each(JoinHandle::abort);
        self.registration.unregister();
    }
}

/// Echoes of the peer's, to the node.
async fn echo(node: Swarm, peer: PeerId, at: Multiaddr) -> bool {
    let options = DialOptions::default().addresses([at]).ignore_backoff();
    let Ok(dialed) = node.dial_peer_with(peer, options).await else { return false };
    let Ok(mut stream) = dialed.connection.open_stream(&[ECHO.into()]).await else { return false };
    let round = async {
        stream.write_all(&[1; 1000]).await?;
        stream.finish().await?;
        stream.read_to_end(&mut Vec::new()).await
    };
    round.await.is_ok()
}

/// Takes one transfer after the other, and notes which have come as a whole.
async fn take(conn: SwarmConn, ledger: Arc<Ledger>) {
    while let Ok(mut stream) = conn.open_stream(&[GIVE.into()]).await {
        let head = async { Ok::<_, std::io::Error>((stream.read_u64().await?, stream.read_u64().await?)) };
        let Ok((id, len)) = head.await else { continue };
        let mut body = Vec::new();
        let ended = stream.read_to_end(&mut body).await.is_ok();
        ledger.arrived.lock().unwrap().insert(id, ended && body.len() as u64 == len);
    }
}

/// Gives without an end, some of it in streams that it finishes.
async fn give(conn: SwarmConn, bulk: u64) {
    let data = vec![9; bulk as usize];
    while let Ok(mut stream) = conn.open_stream(&[SINK.into()]).await {
        for _ in 0..20 {
            if stream.write_all(&data).await.is_err() {
                break;
            }
        }
        let _ = stream.finish().await;
        let _ = stream.read(&mut [0; 1]).await;
    }
}
