//! `skep run`.

use super::{
    Failure,
    args::RunArgs,
    context::{Context, Node},
    signals::Signals,
    text::{count, faint, heading, print, time},
};
use serde_json::json;
use skep::control;
use skep_api::{Multiaddr, multiaddr::Protocol};
use skep_swarm::{ShutdownReport, Stack, Swarm};
use std::path::{Path, absolute};

pub(crate) async fn run(args: &RunArgs, cx: &Context) -> Result<(), Failure> {
    // Before anything is printed: a script may send a signal as soon as it has read the address.
    let mut signals = Signals::catch().map_err(|e| Failure::Io("catch signals".into(), e))?;
    let node = cx.node()?;
    let swarm = &node.swarm;
    if let Some(path) = &args.control {
        control::serve(path, swarm, &node.tasks).await?;
    }
    let mut addrs = Vec::new();
    for addr in &node.assembly.listen {
        addrs.extend(swarm.listen(addr).await?);
    }
    let addrs: Vec<_> = addrs.into_iter().map(|addr| addr.with(Protocol::P2p(swarm.peer_id()))).collect();
    running(&node, &addrs, args.control.as_deref(), cx.json)?;
    let signal = signals.next().await;
    stopping(swarm, signal, cx.json)?;
    let report = tokio::select! {
        report = swarm.shutdown(args.shutdown_timeout.0) => report,
        _ = signals.next() => return Err(Failure::Interrupted),
    };
    stopped(&report, signal, cx.json)
}

fn running(node: &Node, addrs: &[Multiaddr], control: Option<&Path>, as_json: bool) -> Result<(), Failure> {
    let Node { swarm, profile, .. } = node;
    let layers = layers(&node.assembly.stack);
    // For whoever is in another folder.
    let control = control.map(|path| absolute(path).unwrap_or_else(|_| path.into()));
    if as_json {
        let layers = layers
            .iter()
            .map(|(layer, name, krate)| json!({ "layer": layer, "plugin": name, "crate": krate }));
        return print(
            json!({ "event": "running", "peer_id": swarm.peer_id().to_string(), "profile": profile.name(),
            "addresses": addrs, "layers": layers.collect::<Vec<_>>(), "notes": node.assembly.notes,
            "control": control.map(|path| path.to_string_lossy().into_owned()) }),
        );
    }
    let mut lines =
        vec![format!("{} {} · profile {}", heading("skep"), env!("CARGO_PKG_VERSION"), profile.name())];
    lines.push(format!("\n{}   {}", heading("peer id"), swarm.peer_id()));
    lines.push(format!("\n{}", heading("layers")));
    lines.extend(
        layers.iter().map(|(layer, name, krate)| format!("  {layer:<10} {name:<12} {}", faint(krate))),
    );
    lines.push(format!("\n{}", heading("listening on")));
    lines.extend(addrs.iter().map(|addr| format!("  {addr}")));
    if addrs.is_empty() {
        lines.push("  nothing: the node only dials (`listen` is empty)".into());
    }
    if !node.assembly.notes.is_empty() {
        lines.push(format!("\n{}", heading("notes")));
        lines.extend(node.assembly.notes.iter().map(|note| format!("  {note}")));
    }
    if let Some(path) = control {
        lines.push(format!("\n{}\n  {}", heading("control socket"), path.display()));
    }
    lines.push(format!("\n{}", faint("Ctrl-C stops the node.")));
    print(lines.join("\n"))
}

/// One line per object: layer, name, crate.
fn layers(stack: &Stack) -> Vec<(&'static str, String, &'static str)> {
    let mut lines = Vec::new();
    lines.extend(stack.transports.iter().map(|p| ("transport", p.name.clone(), p.krate)));
    lines.extend(stack.security.iter().map(|p| ("security", p.name.clone(), p.krate)));
    lines.extend(stack.muxers.iter().map(|p| ("muxer", p.name.clone(), p.krate)));
    lines.extend(stack.gates.iter().map(|p| ("gate", p.name.clone(), p.krate)));
    lines.extend(stack.pruner.iter().map(|p| ("pruner", p.name.clone(), p.krate)));
    lines.extend(stack.resolver.iter().map(|p| ("resolver", p.name.clone(), p.krate)));
    lines.extend(stack.ranker.iter().map(|p| ("ranker", p.name.clone(), p.krate)));
    lines.extend(stack.peerstore.iter().map(|p| ("peerstore", p.name.clone(), p.krate)));
    lines.extend(stack.selector.iter().map(|p| ("selector", p.name.clone(), p.krate)));
    lines.extend(stack.resources.iter().map(|p| ("resources", p.name.clone(), p.krate)));
    lines.extend(stack.protocols.iter().map(|p| ("protocol", p.name.clone(), p.krate)));
    lines
}

/// Peers that do not answer take a while to close, and people wonder.
fn stopping(swarm: &Swarm, signal: &str, as_json: bool) -> Result<(), Failure> {
    let connections = swarm.connections().len();
    if as_json {
        return print(json!({ "event": "stopping", "signal": signal, "connections": connections }));
    }
    if connections == 0 {
        return Ok(());
    }
    print(format_args!("{signal}: closing {}; once more ends at once", count(connections, "connection")))
}

fn stopped(report: &ShutdownReport, signal: &str, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return print(
            json!({ "event": "stopped", "signal": signal, "connections_closed": report.connections,
            "seconds": report.elapsed.as_secs_f64(), "forced": report.forced }),
        );
    }
    let connections = count(report.connections, "connection");
    let mut lines = vec![format!("stopped by {signal} in {}, {connections} closed", time(report.elapsed))];
    lines.extend(
        report.forced.iter().map(|(name, n)| format!("  had to abort {} of `{name}`", count(*n, "task"))),
    );
    print(lines.join("\n"))
}
