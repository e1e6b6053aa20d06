//! `skep dial`: connect once and say how it went.

use super::{
    Failure,
    args::{DialArgs, DialTarget},
    context::Context,
    dial_report::{report_json, tree},
    text::{heading, print, time},
};
use serde_json::json;
use skep_api::{Code, Multiaddr, escape};
use skep_protocols::identify;
use skep_swarm::{DialOptions, Dialed, Swarm, SwarmConn};
use std::{collections::BTreeSet, time::Duration};

pub(crate) async fn run(args: &DialArgs, cx: &Context) -> Result<(), Failure> {
    let swarm = cx.node()?.swarm;
    let options = DialOptions::default().timeout(args.timeout.0);
    let result = match dial(&swarm, &args.targets, options).await {
        Ok(dialed) => {
            let agent = agent(&swarm, &dialed.connection).await;
            let shown = show(&dialed, agent.as_deref(), args.explain, cx.json);
            dialed.connection.close(Code::NONE).await;
            shown
        }
        Err(error) => Err(error),
    };
    swarm.shutdown(Duration::from_secs(1)).await;
    result
}

/// Dials one peer at all of the addresses given, or at those that the peer store has.
async fn dial(swarm: &Swarm, targets: &[DialTarget], options: DialOptions) -> Result<Dialed, Failure> {
    let peers: BTreeSet<_> = targets.iter().filter_map(DialTarget::peer).collect();
    if let (Some(first), Some(last)) = (peers.first(), peers.last())
        && first != last
    {
        return Err(Failure::SeveralPeers(*first, *last));
    }
    let addrs: Vec<_> = targets.iter().filter_map(DialTarget::addr).cloned().collect();
    let dialed = match (peers.first(), addrs.as_slice()) {
        (Some(peer), []) => swarm.dial_peer_with(*peer, options).await,
        (Some(peer), _) => swarm.dial_peer_with(*peer, options.addresses(addrs)).await,
        (None, [first, more @ ..]) => {
            let options = if more.is_empty() { options } else { options.addresses(more.iter().cloned()) };
            swarm.dial_addr_with(first, options).await
        }
        // The command line takes at least one.
        (None, []) => return Ok(swarm.dial_addr_with(&Multiaddr::empty(), options).await?),
    };
    Ok(dialed?)
}

/// What the peer calls itself, if it serves identify. A node with that protocol asks every peer by itself, and some
/// peers answer one question at a time: so this one waits rather than ask again.
async fn agent(swarm: &Swarm, conn: &SwarmConn) -> Option<String> {
    let asks = swarm
        .stack()
        .protocols
        .iter()
        .any(|p| p.object.protocols().iter().any(|id| id == identify::PROTOCOL));
    let info =
        async { if asks { conn.identified().await } else { identify::ask(&*conn.session()).await.ok() } };
    let info = tokio::time::timeout(Duration::from_secs(5), info).await.ok()??;
    Some(escape::remote(&info.agent_version))
}

fn show(dialed: &Dialed, agent: Option<&str>, explain: bool, as_json: bool) -> Result<(), Failure> {
    let (info, report) = (dialed.connection.info(), &dialed.report);
    let (security, muxer) = (info.security.as_deref(), info.muxer.as_deref());
    if as_json {
        return print(json!({
            "ok": true, "peer_id": info.peer.to_string(), "remote": info.remote, "local": info.local,
            "security": security, "muxer": muxer, "early_muxer": info.early_muxer, "agent": agent,
            "seconds": report.elapsed.as_secs_f64(), "report": report_json(report),
        }));
    }
    let early = if info.early_muxer { " (agreed within the handshake)" } else { "" };
    let mut lines = vec![
        format!("{} to {} in {}", heading("connected"), info.peer, time(report.elapsed)),
        format!("  remote    {}", info.remote),
        format!("  local     {}", info.local),
        format!("  security  {}", security.unwrap_or("the transport's own")),
        format!("  muxer     {}{early}", muxer.unwrap_or("the transport's own")),
        format!("  agent     {}", agent.unwrap_or("(the peer does not say)")),
    ];
    if explain {
        lines.push(format!("\n{}\n{}", heading("addresses"), tree(report)));
    }
    print(lines.join("\n"))
}
