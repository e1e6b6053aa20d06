//! `skep dial`: connect once and say how it went.

use super::{
    Failure,
    args::DialArgs,
    context::Context,
    text::{heading, print, reason, time},
};
use serde_json::{Value, json};
use skep_api::{Code, escape};
use skep_protocols::identify;
use skep_swarm::{
    DialOptions, Swarm, SwarmConn,
    error::{Attempt, DialError},
};
use std::{fmt::Write, time::Duration};
use tokio::time::Instant;

pub(crate) async fn run(args: &DialArgs, cx: &Context) -> Result<(), Failure> {
    let (swarm, _, _) = cx.node()?;
    let begun = Instant::now();
    let result = swarm.dial_with(&args.addr, DialOptions::default().timeout(args.timeout.0)).await;
    let took = begun.elapsed();
    let result = match result {
        Ok(conn) => {
            let agent = agent(&swarm, &conn).await;
            let shown = show(&conn, agent.as_deref(), took, cx.json);
            conn.close(Code::NONE).await;
            shown
        }
        Err(error) => Err(Failure::Dial(error)),
    };
    swarm.shutdown(Duration::from_secs(1)).await;
    result
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

fn show(conn: &SwarmConn, agent: Option<&str>, took: Duration, as_json: bool) -> Result<(), Failure> {
    let info = conn.info();
    let (security, muxer) = (info.security.as_deref(), info.muxer.as_deref());
    if as_json {
        return print(json!({
            "ok": true, "peer_id": info.peer.to_string(), "remote": info.remote, "local": info.local,
            "security": security, "muxer": muxer, "early_muxer": info.early_muxer, "agent": agent,
            "seconds": took.as_secs_f64(),
        }));
    }
    let early = if info.early_muxer { " (agreed within the handshake)" } else { "" };
    let lines = [
        format!("{} to {} in {}", heading("connected"), info.peer, time(took)),
        format!("  remote    {}", info.remote),
        format!("  local     {}", info.local),
        format!("  security  {}", security.unwrap_or("the transport's own")),
        format!("  muxer     {}{early}", muxer.unwrap_or("the transport's own")),
        format!("  agent     {}", agent.unwrap_or("(the peer does not say)")),
    ];
    print(lines.join("\n"))
}

/// A failed dial, one block per address.
pub(crate) fn tree(error: &DialError) -> String {
    let mut text = match error.peer {
        Some(peer) => format!("no connection to {peer} after {}", time(error.elapsed)),
        None => format!("no connection after {}", time(error.elapsed)),
    };
    for attempt in &error.attempts {
        let _ = write!(text, "\n  {}", attempt.addr);
        let plugin = &attempt.error.plugin;
        let plugin = if plugin.is_empty() { String::new() } else { format!(" · {plugin}") };
        let code = attempt.error.cause.code();
        let _ = write!(text, "\n    {}{plugin} · {code} · {}", attempt.error.stage, time(attempt.elapsed));
        let _ = write!(text, "\n    {}", reason(&attempt.error.cause, &attempt.addr));
        let _ = write!(text, "\n    → {}", attempt.error.cause.advice());
    }
    text
}

/// A failed dial for a script.
pub(crate) fn report(error: &DialError) -> Value {
    let attempts: Vec<_> = error.attempts.iter().map(leaf).collect();
    json!({ "ok": false, "error": error.to_string(), "peer_id": error.peer.map(|p| p.to_string()), "attempts": attempts,
            "seconds": error.elapsed.as_secs_f64() })
}

fn leaf(attempt: &Attempt) -> Value {
    let cause = &attempt.error.cause;
    json!({ "address": attempt.addr, "stage": attempt.error.stage.name(), "plugin": attempt.error.plugin,
            "code": cause.code(), "error": reason(cause, &attempt.addr), "advice": cause.advice(),
            "seconds": attempt.elapsed.as_secs_f64() })
}
