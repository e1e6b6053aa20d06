//! `skep run`.

use super::{
    Failure,
    args::RunArgs,
    context::{Context, Node},
    signals::{RELOAD, Signals},
    text::{count, faint, heading, print, time},
};
use serde_json::json;
use skep::{
    control::{
        self,
        reload::{Reloaded, Source},
        status::About,
    },
    metrics_prometheus,
};
use skep_api::{Multiaddr, metrics::Sink, multiaddr::Protocol};
use skep_swarm::{DrainReport, ReloadOptions, ShutdownReport, Stack, Swarm};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf, absolute},
};
use tokio::time::Instant;

pub(crate) async fn run(args: &RunArgs, cx: &Context) -> Result<(), Failure> {
    // Before anything is printed: a script may send a signal as soon as it has read the address.
    let mut signals = Signals::catch().map_err(|e| Failure::Io("catch signals".into(), e))?;
    let sink = args.metrics.map_or_else(Sink::default, |_| Sink::new());
    let node = cx.node_with(sink.clone())?;
    let swarm = &node.swarm;
    if let Some(path) = &args.control {
        let about = About::new(node.profile.name(), Some(cx.source()));
        control::serve(path, swarm, about, &node.tasks).await?;
    }
    let metrics = match args.metrics {
        Some(addr) => Some(serve_metrics(addr, &sink, &node).await?),
        None => None,
    };
    let mut addrs = Vec::new();
    for addr in &node.assembly.listen {
        addrs.extend(swarm.listen(addr).await?);
    }
    let addrs: Vec<_> = addrs.into_iter().map(|addr| addr.with(Protocol::P2p(swarm.peer_id()))).collect();
    running(&node, &Offered { addrs, control: args.control.as_deref(), metrics }, cx.json)?;
    let signal = loop {
        match signals.next().await {
            RELOAD => reload(swarm, &cx.source(), cx.json).await?,
            signal => break signal,
        }
    };
    let (begun, connections) = (Instant::now(), swarm.total_connections());
    stopping(swarm, signal, cx.json)?;
    let drain = swarm.drain(args.drain_timeout.0);
    tokio::pin!(drain);
    let drained_in_time = tokio::select! {
        report = &mut drain => Some(report),
        again = signals.end() => { closing(again, cx.json)?; None }
    };
    let shutdown = async {
        match drained_in_time {
            Some(report) => {
                drained(&report, cx.json)?;
                Ok::<_, Failure>(swarm.shutdown(args.shutdown_timeout.0).await)
            }
            // What it has begun to close goes on closing in order.
            None => Ok(tokio::join!(drain, swarm.shutdown(args.shutdown_timeout.0)).1),
        }
    };
    let mut report: ShutdownReport = tokio::select! {
        report = shutdown => report?,
        _ = signals.end() => return Err(Failure::Interrupted),
    };
    // For whoever sent the signal, draining is a part of it.
    (report.connections, report.elapsed) = (connections, begun.elapsed());
    stopped(&report, signal, cx.json)
}

/// A reload that fails leaves the node as it is: that is told, and no reason to end.
async fn reload(swarm: &Swarm, source: &Source, as_json: bool) -> Result<(), Failure> {
    match source.reload(swarm, ReloadOptions::default()).await {
        Ok(report) => {
            let reloaded = Reloaded::from(report);
            if as_json {
                return print(json!({ "event": "reloaded", "report": reloaded }));
            }
            print(super::reload::show(&reloaded))
        }
        Err(error) => {
            let error = skep_api::error::chain(&error);
            if as_json {
                return print(json!({ "event": "reload_failed", "error": error }));
            }
            print(format_args!("{RELOAD}: the node runs as before: {error}"))
        }
    }
}

async fn serve_metrics(addr: SocketAddr, sink: &Sink, node: &Node) -> Result<SocketAddr, Failure> {
    for problem in sink.problems() {
        tracing::error!(%problem, "A metric of a plugin is not counted.");
    }
    Ok(metrics_prometheus::serve(addr, sink, &node.tasks).await?)
}

/// Where the node can be reached.
struct Offered<'a> {
    addrs: Vec<Multiaddr>,
    control: Option<&'a Path>,
    metrics: Option<SocketAddr>,
}

impl Offered<'_> {
    /// For whoever is in another folder.
    fn control(&self) -> Option<PathBuf> {
        self.control.map(|path| absolute(path).unwrap_or_else(|_| path.into()))
    }

    fn metrics(&self) -> Option<String> {
        self.metrics.map(|addr| format!("http://{addr}/metrics"))
    }
}

fn running(node: &Node, offered: &Offered<'_>, as_json: bool) -> Result<(), Failure> {
    let Node { swarm, profile, .. } = node;
    let (addrs, layers) = (&offered.addrs, layers(&node.assembly.stack));
    if as_json {
        let layers = layers
            .iter()
            .map(|(layer, name, krate)| json!({ "layer": layer, "plugin": name, "crate": krate }));
        return print(
            json!({ "event": "running", "peer_id": swarm.peer_id().to_string(), "profile": profile.name(),
            "addresses": addrs, "layers": layers.collect::<Vec<_>>(), "notes": node.assembly.notes,
            "warnings": node.assembly.warnings,
            "control": offered.control().map(|path| path.to_string_lossy().into_owned()),
            "metrics": offered.metrics() }),
        );
    }
    let mut lines =
        vec![format!("{} {} · profile {}", heading("skep"), env!("CARGO_PKG_VERSION"), profile.name())];
    lines.push(format!("\n{}   {}", heading("peer id"), swarm.peer_id()));
    lines.push(format!("\n{}", heading("layers")));
    let width = layers.iter().map(|(_, name, _)| name.chars().count()).max().unwrap_or_default().max(12);
    lines.extend(
        layers.iter().map(|(layer, name, krate)| format!("  {layer:<10} {name:<width$} {}", faint(krate))),
    );
    lines.push(format!("\n{}", heading("listening on")));
    lines.extend(addrs.iter().map(|addr| format!("  {addr}")));
    if addrs.is_empty() {
        lines.push("  nothing: the node only dials (`listen` is empty)".into());
    }
    if !node.assembly.warnings.is_empty() {
        lines.push(format!("\n{}", heading("WARNING")));
        lines.extend(node.assembly.warnings.iter().map(|warning| format!("  {warning}")));
    }
    if !node.assembly.notes.is_empty() {
        lines.push(format!("\n{}", heading("notes")));
        lines.extend(node.assembly.notes.iter().map(|note| format!("  {note}")));
    }
    if let Some(path) = offered.control() {
        lines.push(format!("\n{}\n  {}", heading("control socket"), path.display()));
    }
    if let Some(url) = offered.metrics() {
        lines.push(format!("\n{}\n  {url}", heading("metrics")));
    }
    lines.push(format!("\n{}", faint("Ctrl-C stops the node.")));
    print(lines.join("\n"))
}

/// One line per object: layer, name, crate.
fn layers(stack: &Stack) -> Vec<(&'static str, String, &'static str)> {
    let mut lines = Vec::new();
    lines.extend(stack.transports.iter().map(|p| ("transport", p.name.clone(), p.krate)));
    lines.extend(stack.protector.iter().map(|p| ("protector", p.name.clone(), p.krate)));
    lines.extend(stack.security.iter().map(|p| ("security", p.name.clone(), p.krate)));
    lines.extend(stack.muxers.iter().map(|p| ("muxer", p.name.clone(), p.krate)));
    let shadow = |name: &String| if stack.shadow_gates.contains(name) { " (shadow)" } else { "" };
    lines.extend(stack.gates.iter().map(|p| ("gate", format!("{}{}", p.name, shadow(&p.name)), p.krate)));
    lines.extend(stack.pruner.iter().map(|p| ("pruner", p.name.clone(), p.krate)));
    lines.extend(stack.resolver.iter().map(|p| ("resolver", p.name.clone(), p.krate)));
    lines.extend(stack.ranker.iter().map(|p| ("ranker", p.name.clone(), p.krate)));
    lines.extend(stack.peerstore.iter().map(|p| ("peerstore", p.name.clone(), p.krate)));
    lines.extend(stack.selector.iter().map(|p| ("selector", p.name.clone(), p.krate)));
    lines.extend(stack.resources.iter().map(|p| ("resources", p.name.clone(), p.krate)));
    lines.extend(stack.protocols.iter().map(|p| ("protocol", p.name.clone(), p.krate)));
    lines.extend(stack.services.iter().map(|p| ("service", p.name.clone(), p.krate)));
    lines.extend(stack.decorators.iter().map(|p| ("decorator", p.name.clone(), p.krate)));
    lines
}

/// Streams that are in use take a while, and people wonder.
fn stopping(swarm: &Swarm, signal: &str, as_json: bool) -> Result<(), Failure> {
    let metrics = swarm.metrics();
    let (connections, streams) = (metrics.connections, metrics.streams);
    if as_json {
        return print(
            json!({ "event": "stopping", "signal": signal, "connections": connections, "streams": streams }),
        );
    }
    if connections == 0 {
        return Ok(());
    }
    let (connections, streams) = (count(connections, "connection"), count(streams, "stream"));
    print(format_args!("{signal}: closing {connections} with {streams}; once more does not wait for streams"))
}

fn drained(report: &DrainReport, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return print(json!({ "event": "drained", "connections_closed": report.closed,
            "connections_busy": report.busy, "streams": report.streams,
            "seconds": report.elapsed.as_secs_f64() }));
    }
    if report.busy == 0 {
        return Ok(());
    }
    let (streams, waited) = (count(report.streams, "stream"), time(report.elapsed));
    print(format_args!("{streams} still in use after {waited}; closing all the same"))
}

fn closing(signal: &str, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return print(json!({ "event": "closing", "signal": signal }));
    }
    print(format_args!("{signal} again: closing now; once more ends at once"))
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
