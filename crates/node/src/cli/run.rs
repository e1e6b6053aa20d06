//! `skep run`.

use super::{
    Failure,
    args::RunArgs,
    context::Context,
    text::{count, faint, heading, time},
};
use serde_json::json;
use skep_api::{Multiaddr, multiaddr::Protocol};
use skep_swarm::{ShutdownReport, Stack, Swarm, profile::Profile};
use std::io;

pub(crate) async fn run(args: &RunArgs, cx: &Context) -> Result<(), Failure> {
    let (swarm, assembly, profile) = cx.node()?;
    let mut addrs = Vec::new();
    for addr in &assembly.listen {
        addrs.extend(swarm.listen(addr).await?);
    }
    let addrs: Vec<_> = addrs.into_iter().map(|addr| addr.with(Protocol::P2p(swarm.peer_id()))).collect();
    if cx.json {
        let layers: Vec<_> = layers(&assembly.stack)
            .into_iter()
            .map(|(layer, name, krate)| json!({ "layer": layer, "plugin": name, "crate": krate }))
            .collect();
        println!(
            "{}",
            json!({ "event": "running", "peer_id": swarm.peer_id().to_string(), "profile": profile.name(),
                    "addresses": addrs, "layers": layers })
        );
    } else {
        show(&swarm, &assembly.stack, &profile, &addrs);
    }
    let signal = first_signal().await.map_err(|e| Failure::Io("wait for a signal".into(), e))?;
    let report = tokio::select! {
        report = swarm.shutdown(args.shutdown_timeout.0) => report,
        _ = first_signal() => return Err(Failure::Interrupted),
    };
    stopped(&report, signal, cx.json);
    Ok(())
}

fn show(swarm: &Swarm, stack: &Stack, profile: &Profile, addrs: &[Multiaddr]) {
    println!("{} {} · profile {}", heading("skep"), env!("CARGO_PKG_VERSION"), profile.name());
    println!("\n{}   {}", heading("peer id"), swarm.peer_id());
    println!("\n{}", heading("layers"));
    for (layer, name, krate) in layers(stack) {
        println!("  {layer:<10} {name:<12} {}", faint(krate));
    }
    println!("\n{}", heading("listening on"));
    for addr in addrs {
        println!("  {addr}");
    }
    if addrs.is_empty() {
        println!("  nothing: the node only dials (`listen` is empty)");
    }
    println!("\n{}", faint("Ctrl-C stops the node."));
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
    lines.extend(stack.selector.iter().map(|p| ("selector", p.name.clone(), p.krate)));
    lines.extend(stack.protocols.iter().map(|p| ("protocol", p.name.clone(), p.krate)));
    lines
}

/// Waits for Ctrl-C or SIGTERM and says which it was.
async fn first_signal() -> io::Result<&'static str> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result.map(|()| "Ctrl-C"),
            _ = terminate.recv() => Ok("SIGTERM"),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.map(|()| "Ctrl-C")
}

fn stopped(report: &ShutdownReport, signal: &str, as_json: bool) {
    if as_json {
        println!(
            "{}",
            json!({ "event": "stopped", "signal": signal, "connections_closed": report.connections,
                    "seconds": report.elapsed.as_secs_f64(), "forced": report.forced })
        );
        return;
    }
    let connections = count(report.connections, "connection");
    println!("{signal}: stopped in {}, {connections} closed", time(report.elapsed));
    for (name, n) in &report.forced {
        println!("  had to abort {}", count(*n, &format!("task `{name}`")));
    }
}
