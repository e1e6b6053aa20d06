//! The two scenes that every bad peer goes through, and what has to hold in each.

use crate::{
    bend::{Bend, Guise},
    honest::{Honest, Layers, is_served},
    knock::Reached,
};
use skep::{
    api::{Keypair, Multiaddr, multiaddr::Protocol, security::Role},
    swarm::{
        error::AttemptError,
        events::{Event, Events},
    },
};
use std::{future::Future, time::Duration};
use tokio::time::timeout;

/// Longer than anything takes on the slowest machine: a hang fails.
const HANG: Duration = Duration::from_secs(60);

/// A way to connect, for honest nodes and for bad peers.
pub(crate) trait Wire: Sync {
    fn layers(&self) -> Layers;

    /// Dials an honest node as an honest peer would, and keeps what that node shows to prove who it is.
    fn record(&self, at: &Multiaddr) -> impl Future<Output = Vec<u8>> + Send;

    /// Dials a node and goes as far as it gets.
    fn dial(&self, guise: Guise, at: &Multiaddr) -> impl Future<Output = Reached> + Send;

    /// Listens for one node, and gives the address and how far it gets with that node.
    fn listen(
        &self,
        guise: Guise,
    ) -> impl Future<Output = (Multiaddr, impl Future<Output = Reached> + Send + 'static)> + Send;
}

/// Plays all rows with a bad peer in `role`, and names all that have another outcome than theirs.
pub(crate) async fn table<W: Wire>(wire: &W, role: Role, rows: &[(Bend, &str)]) {
    let mut wrong = Vec::new();
    for (bend, expected) in rows {
        let found = timeout(HANG, play(wire, role, *bend)).await;
        let found = found.unwrap_or_else(|_| "nothing came to an end".into());
        if found != *expected {
            wrong.push(format!("{bend:?}: {found}, in place of {expected}"));
        }
    }
    assert!(wrong.is_empty(), "a bad {role:?}:\n{}", wrong.join("\n"));
}

/// One bad peer against one honest node; then what became of it.
async fn play<W: Wire>(wire: &W, role: Role, bend: Bend) -> String {
    let layers = wire.layers();
    let (own, third) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let mut guise = Guise { bend, own, third: third.clone(), recorded: Vec::new() };
    if bend.needs_recording() {
        let recorded = Honest::new(layers, third);
        guise.recorded = wire.record(&recorded.listen(layers).await).await;
    }
    let mut victim = Honest::new(layers, Keypair::generate_ed25519());
    let (verdict, reached) = match role {
        Role::Dialer => from_a_dialer(wire, guise, &mut victim).await,
        Role::Listener => from_a_listener(wire, guise, &mut victim).await,
    };
    let served = match (&reached, victim.served()) {
        (Reached::Stopped(by), 0) if verdict == "connected" => format!(", then stopped by {by}"),
        (Reached::Stopped(_), 0) => String::new(),
        (Reached::Served, 1) => ", its stream was served".into(),
        other => panic!("{bend:?} {role:?}: {verdict}, yet {other:?}"),
    };
    // Whatever is still to come of the bad peer has come when a peer after it was served.
    an_honest_peer_is_served(wire, role, &victim).await;
    let more = connected(&mut victim.events) - 1;
    assert_eq!(more, 0, "{bend:?} {role:?}: {verdict}, and connected after that");
    assert_eq!(victim.node.metrics().panics, 0, "{bend:?} {role:?}");
    format!("{verdict}{served}")
}

/// The bad peer dials: what the node's first event is, and how far the peer came.
async fn from_a_dialer<W: Wire>(wire: &W, guise: Guise, victim: &mut Honest) -> (String, Reached) {
    let at = victim.listen(wire.layers()).await;
    let verdict = async {
        loop {
            match victim.events.next().await.expect("the node goes on") {
                Event::Connected { .. } => return "connected".into(),
                Event::InboundFailed { error, .. } => return row(&error),
                _ => {}
            }
        }
    };
    tokio::join!(verdict, wire.dial(guise, &at))
}

/// The node dials the bad peer: what the dial ends with, and how far the peer came.
async fn from_a_listener<W: Wire>(wire: &W, guise: Guise, victim: &mut Honest) -> (String, Reached) {
    let claimed = guise.claimed();
    let (at, reached) = wire.listen(guise).await;
    let at = claimed.into_iter().fold(at, |at, peer| at.with(Protocol::P2p(peer)));
    let (dialled, reached) = tokio::join!(victim.node.dial_addr(&at), reached);
    let verdict = match dialled {
        Ok(_) => {
            assert_eq!(connected(&mut victim.events), 1);
            "connected".into()
        }
        Err(error) => {
            assert_eq!(connected(&mut victim.events), 0, "{error:?}");
            let report = error.report().expect("the address was tried");
            assert_eq!(report.addrs.len(), 1, "{report:?}");
            row(report.addrs[0].outcome.error().expect("it failed"))
        }
    };
    (verdict, reached)
}

/// In the same direction as the bad peer.
async fn an_honest_peer_is_served<W: Wire>(wire: &W, role: Role, victim: &Honest) {
    let friend = Honest::new(wire.layers(), Keypair::generate_ed25519());
    let before = victim.served();
    let conn = match role {
        Role::Dialer => {
            let at = victim.node.listen_addrs()[0].clone().with(Protocol::P2p(victim.node.peer_id()));
            friend.node.dial_addr(&at).await.unwrap()
        }
        Role::Listener => {
            let at = friend.listen(wire.layers()).await;
            let theirs = victim.node.dial_addr(&at).await.unwrap();
            is_served(&theirs).await;
            loop {
                // The listener may have to hear of the connection first.
                match friend.node.connection(&victim.node.peer_id()) {
                    Some(conn) => break conn,
                    None => tokio::task::yield_now().await,
                }
            }
        }
    };
    is_served(&conn).await;
    assert_eq!(victim.served(), before + 1);
}

/// How many connections were announced since the last look.
fn connected(events: &mut Events) -> usize {
    std::iter::from_fn(|| events.try_next()).filter(|e| matches!(e, Event::Connected { .. })).count()
}

/// Stage, plugin and code.
fn row(error: &AttemptError) -> String {
    format!("{} {} {}", error.stage, error.plugin, error.cause.code())
}
