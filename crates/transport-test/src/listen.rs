//! The listener: publishes its address and serves until it is ended.

use crate::{Failure, plan::Plan, rendezvous::Rendezvous};
use skep::{
    Swarm,
    api::{
        Multiaddr,
        multiaddr::{Error, Protocol},
    },
};
use std::net::IpAddr;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};

/// Listens, publishes and serves until a signal says to end.
pub(crate) async fn run(plan: &Plan, swarm: &Swarm, host: IpAddr, deadline: Instant) -> Result<(), Failure> {
    // Before anything is published: the other side may be done, and this be ended, right after.
    let mut terminate = catch(SignalKind::terminate())?;
    let mut interrupt = catch(SignalKind::interrupt())?;
    let anywhere = plan.stack.listen_addr(host);
    let anywhere: Multiaddr =
        anywhere.parse().map_err(|source: Error| Failure::Address { text: anywhere.clone(), source })?;
    let bound = swarm.listen(&anywhere).await?;
    let addr = reachable(&bound).ok_or(Failure::NoAddress)?.clone().with(Protocol::P2p(swarm.peer_id()));
    eprintln!("listening on {addr}");
    Rendezvous::connect(plan, deadline).await?.publish(&addr.to_string()).await?;
    eprintln!("published as {} at {}", plan.key, plan.redis);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn catch(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(Failure::Runtime)
}

/// The address that another host can dial; without one, one that this host can.
fn reachable(addrs: &[Multiaddr]) -> Option<&Multiaddr> {
    let loopback = |addr: &&Multiaddr| match addr.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => ip.is_loopback(),
        _ => false,
    };
    addrs.iter().find(|addr| !loopback(addr)).or_else(|| addrs.first())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_others_can_reach_comes_first() {
        let addrs = |list: &[&str]| list.iter().map(|addr| addr.parse().unwrap()).collect::<Vec<Multiaddr>>();
        let [lo, lo6, net] = ["/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1", "/ip4/192.0.2.1/tcp/1"];
        assert_eq!(reachable(&addrs(&[lo, lo6, net])), addrs(&[net]).first());
        assert_eq!(reachable(&addrs(&[lo, lo6])), addrs(&[lo]).first());
        assert_eq!(reachable(&[]), None);
    }
}
