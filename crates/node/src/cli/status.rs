//! `skep status`: what a running node is and does.

mod policies;

use super::{
    Failure,
    args::StatusArgs,
    context::Context,
    text::{bytes, count, faint, heading, print, table, time},
};
use serde_json::json;
use skep::control::{
    Accepted, Request, ask,
    status::{Connection, Dial, Listener, Scope, Status, Stream, Tagged, Totals},
};
use skep_api::escape::remote;
use std::time::Duration;

pub(crate) async fn run(args: &StatusArgs, cx: &Context) -> Result<(), Failure> {
    let request = Request::Status { max: args.max, streams: args.streams, config: args.effective_config };
    let status: Status = ask(&args.node.control, &request).await?;
    if cx.json { print(json!(Accepted::new(status))) } else { print(show(&status, args.streams)) }
}

fn show(status: &Status, streams: bool) -> String {
    let mut parts = vec![about(status)];
    let totals = &status.totals;
    parts.push(list(&format!("listeners  {}", status.listeners.len()), || listeners(&status.listeners)));
    parts.push(list(&connections_head(totals), || connections(&status.connections)));
    if streams {
        let all = status.connections.iter().map(|conn| conn.streams.len()).sum();
        let rows = || streams_of(&status.connections);
        parts.push(list(&format!("streams  {}", of(all, totals.streams)), rows));
    }
    let load = &status.load;
    let dials_head = format!(
        "dials  {} in flight, {} outstanding, {} queued",
        load.in_flight, load.outstanding, load.queued
    );
    parts.push(if status.dials.is_empty() {
        heading(&dials_head)
    } else {
        list(&dials_head, || dials(&status.dials))
    });
    if !status.scopes.is_empty() {
        parts.push(list("scopes", || scopes(&status.scopes)));
    }
    if !status.tags.is_empty() {
        let head = format!("tagged peers  {}", of(status.tags.len(), totals.tagged_peers));
        parts.push(list(&head, || tags(&status.tags)));
    }
    if !status.gates.is_empty() {
        parts.push(list("gates", || policies::gates(&status.gates)));
    }
    if !status.services.is_empty() {
        parts.push(policies::services(&status.services));
    }
    parts.push(health(totals));
    if let Some(config) = &status.config {
        parts.push(format!("{}\n{}", heading("effective configuration"), config.trim_end()));
    }
    parts.join("\n\n")
}

fn about(status: &Status) -> String {
    let draining = if status.draining { " · draining" } else { "" };
    format!(
        "{}\nskep {} · profile {} · up {}{draining}",
        heading(&remote(&status.peer_id)),
        remote(&status.version),
        remote(&status.profile),
        span(status.uptime_seconds)
    )
}

fn list(head: &str, rows: impl FnOnce() -> String) -> String {
    let rows = rows();
    if rows.is_empty() { heading(head) } else { format!("{}\n{rows}", heading(head)) }
}

/// `3`, or `256 of 300` where the node has more than it was asked for.
fn of(shown: usize, all: usize) -> String {
    if shown == all { all.to_string() } else { format!("{shown} of {all}") }
}

fn connections_head(totals: &Totals) -> String {
    let left_out = match totals.not_listed {
        0 => String::new(),
        n => format!(" ({n} more are not shown; --max shows more)"),
    };
    format!(
        "connections  {} of {} at most: {} inbound, {} outbound, to {}, with {}{}{left_out}",
        totals.connections,
        totals.max_connections,
        totals.inbound,
        totals.outbound,
        count(totals.peers, "peer"),
        count(totals.streams, "stream"),
        match totals.pending_inbound {
            0 => String::new(),
            n => format!("; {n} in their handshake"),
        }
    )
}

fn listeners(listeners: &[Listener]) -> String {
    if listeners.is_empty() {
        return faint("  none: the node only dials");
    }
    let rows = listeners.iter().map(|listener| {
        let addresses: Vec<_> = listener.addresses.iter().map(|addr| remote(addr)).collect();
        [remote(&listener.transport), addresses.join(" ")]
    });
    table(["over", "address"], rows)
}

fn connections(connections: &[Connection]) -> String {
    if connections.is_empty() {
        return String::new();
    }
    let rows = connections.iter().map(|conn| {
        let layers = [Some(&conn.transport), conn.security.as_ref(), conn.muxer.as_ref()];
        let mut layers: Vec<_> = layers.into_iter().flatten().map(|name| remote(name)).collect();
        if conn.kind == "limited" {
            layers.push("limited".into());
        }
        [
            conn.id.to_string(),
            remote(&conn.peer_id),
            remote(&conn.direction),
            span(conn.age_seconds),
            conn.latency_ms.map_or_else(|| "–".into(), |ms| span(ms / 1e3)),
            conn.num_streams.to_string(),
            layers.join(" "),
            remote(&conn.remote),
            conn.agent.as_deref().map_or_else(|| "–".into(), remote),
        ]
    });
    let head = ["id", "peer", "direction", "age", "latency", "streams", "over", "remote", "agent"];
    table(head, rows)
}

fn streams_of(connections: &[Connection]) -> String {
    let mut streams =
        connections.iter().flat_map(|conn| conn.streams.iter().map(move |s| (conn, s))).peekable();
    if streams.peek().is_none() {
        return String::new();
    }
    let row = |(conn, stream): (&Connection, &Stream)| {
        [
            conn.id.to_string(),
            stream.id.to_string(),
            remote(&stream.direction),
            span(stream.age_seconds),
            stream.protocol.as_deref().map_or_else(|| "being agreed on".into(), remote),
        ]
    };
    table(["connection", "id", "direction", "age", "protocol"], streams.map(row))
}

fn dials(dials: &[Dial]) -> String {
    let row = |dial: &Dial| [remote(&dial.target), dial.callers.to_string(), span(dial.elapsed_seconds)];
    table(["target", "callers", "since"], dials.iter().map(row))
}

fn scopes(scopes: &[Scope]) -> String {
    let rows = scopes.iter().map(|scope| {
        let amount = |n| if scope.resource == "memory" { bytes(n) } else { n.to_string() };
        let limit = scope.limit.map_or_else(|| "none".into(), amount);
        [
            remote(&scope.scope),
            remote(&scope.resource),
            amount(scope.current),
            limit,
            scope.denied.to_string(),
        ]
    });
    table(["scope", "resource", "in use", "limit", "denied"], rows)
}

fn tags(tags: &[Tagged]) -> String {
    let rows = tags.iter().map(|peer| {
        let tags: Vec<_> = peer.tags.iter().map(|(tag, value)| format!("{}={value}", remote(tag))).collect();
        let protected: Vec<_> = peer.protected_by.iter().map(|owner| remote(owner)).collect();
        let or_none = |text: String| if text.is_empty() { "–".into() } else { text };
        [remote(&peer.peer_id), peer.value.to_string(), or_none(tags.join(" ")), or_none(protected.join(" "))]
    });
    table(["peer", "value", "tags", "protected by"], rows)
}

fn health(totals: &Totals) -> String {
    let mut text = count(totals.tasks, "task");
    for (n, word) in [(totals.panics, "panic"), (totals.missed_events, "missed event")] {
        if n > 0 {
            text.push_str(&format!(", {}", count(usize::try_from(n).unwrap_or(usize::MAX), word)));
        }
    }
    faint(&text)
}

/// `1.20 s`, `5m 12s`, `3d 4h`.
fn span(seconds: f64) -> String {
    let Ok(duration) = Duration::try_from_secs_f64(seconds) else { return "?".into() };
    let secs = duration.as_secs();
    let (minutes, hours, days) = (secs / 60, secs / 3_600, secs / 86_400);
    match secs {
        0..60 => time(duration),
        60..3_600 => format!("{minutes}m {}s", secs % 60),
        3_600..86_400 => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Status {
        serde_json::from_value(json!({
            "peer_id": "12D3KooWA", "version": "0.1.0", "profile": "public", "uptime_seconds": 93_784.0,
            "draining": false,
            "totals": { "connections": 3, "max_connections": 192, "inbound": 1, "outbound": 2, "pending_inbound": 1,
                        "not_listed": 1, "peers": 2, "streams": 4, "tagged_peers": 2, "tasks": 12, "panics": 1, "missed_events": 0 },
            "listeners": [{ "asked": "/ip4/0.0.0.0/tcp/4001", "transport": "tcp",
                            "addresses": ["/ip4/192.0.2.1/tcp/4001"] }],
            "connections": [
                { "id": 1, "peer_id": "12D3KooWB", "direction": "inbound", "type": "direct",
                  "remote": "/ip4/192.0.2.7/tcp/5000", "local": "/ip4/192.0.2.1/tcp/4001", "transport": "tcp",
                  "security": "noise", "muxer": "yamux", "early_muxer": true, "age_seconds": 3725.0,
                  "latency_ms": 12.5, "leases": 0, "num_streams": 2, "agent": "evil\u{1b}[2J",
                  "streams": [{ "id": 4, "direction": "inbound", "protocol": "/ipfs/ping/1.0.0", "age_seconds": 2.5 },
                              { "id": 5, "direction": "outbound", "protocol": null, "age_seconds": 0.001 }] },
                { "id": 12, "peer_id": "12D3KooWC", "direction": "outbound", "type": "limited",
                  "remote": "/ip4/192.0.2.9/tcp/1", "local": "/ip4/192.0.2.1/tcp/2", "transport": "tcp",
                  "security": null, "muxer": null, "early_muxer": false, "age_seconds": 61.0,
                  "latency_ms": null, "leases": 1, "num_streams": 0, "agent": null, "streams": [] },
            ],
            "load": { "in_flight": 1, "outstanding": 2, "queued": 0 },
            "dials": [{ "target": "12D3KooWD", "callers": 2, "elapsed_seconds": 0.25 }],
            "scopes": [{ "scope": "system", "resource": "connections", "current": 3, "limit": 192, "denied": 1 }],
            "tags": [{ "peer_id": "12D3KooWB", "value": 7, "tags": { "dht": 7 }, "protected_by": [] }],
        }))
        .unwrap()
    }

    #[test]
    fn all_of_it_is_shown_and_remote_text_is_escaped() {
        let expected = [
            "12D3KooWA",
            "skep 0.1.0 · profile public · up 1d 2h",
            "",
            "listeners  1",
            "  over  address",
            "  tcp   /ip4/192.0.2.1/tcp/4001",
            "",
            "connections  3 of 192 at most: 1 inbound, 2 outbound, to 2 peers, with 4 streams; 1 in their handshake \
             (1 more are not shown; --max shows more)",
            "  id  peer       direction  age    latency  streams  over             remote                   agent",
            "  1   12D3KooWB  inbound    1h 2m  12.5 ms  2        tcp noise yamux  /ip4/192.0.2.7/tcp/5000  evil\\u{1b}[2J",
            "  12  12D3KooWC  outbound   1m 1s  –        0        tcp limited      /ip4/192.0.2.9/tcp/1     –",
            "",
            "streams  2 of 4",
            "  connection  id  direction  age      protocol",
            "  1           4   inbound    2.50 s   /ipfs/ping/1.0.0",
            "  1           5   outbound   1.00 ms  being agreed on",
            "",
            "dials  1 in flight, 2 outstanding, 0 queued",
            "  target     callers  since",
            "  12D3KooWD  2        250.0 ms",
            "",
            "scopes",
            "  scope   resource     in use  limit  denied",
            "  system  connections  3       192    1",
            "",
            "tagged peers  1 of 2",
            "  peer       value  tags   protected by",
            "  12D3KooWB  7      dht=7  –",
            "",
            "12 tasks, 1 panic",
        ];
        assert_eq!(show(&example(), true), expected.join("\n"));
    }

    #[test]
    fn a_node_at_rest_is_short() {
        let mut status = example();
        status.connections.clear();
        status.listeners.clear();
        status.dials.clear();
        status.scopes.clear();
        status.tags.clear();
        status.totals = Totals::default();
        status.config = Some("listen = []\n".into());
        let text = show(&status, false);
        assert!(text.contains("listeners  0\n  none: the node only dials\n"), "{text}");
        assert!(
            text.contains(
                "connections  0 of 0 at most: 0 inbound, 0 outbound, to 0 peers, with 0 streams\n\ndials"
            ),
            "{text}"
        );
        assert!(text.ends_with("0 tasks\n\neffective configuration\nlisten = []"), "{text}");
    }
}
