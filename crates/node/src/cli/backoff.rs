//! `skep backoff`: what a running node leaves alone because it failed.

use super::{
    Failure,
    args::{BackoffCommand, ControlArgs, DialTarget},
    context::Context,
    text::{count, heading, print, table, time},
};
use serde_json::json;
use skep::control::{
    Accepted, Request, What, ask,
    backoff::{Address, Cleared, List, Load, Path, Peer},
};
use skep_api::escape::remote;
use std::time::Duration;

pub(crate) async fn run(command: &BackoffCommand, cx: &Context) -> Result<(), Failure> {
    match command {
        BackoffCommand::List { node } => list(node, cx).await,
        BackoffCommand::Clear { target, node } => clear(target.as_ref(), node, cx).await,
    }
}

async fn list(node: &ControlArgs, cx: &Context) -> Result<(), Failure> {
    let list: List = ask(&node.control, &Request::BackoffList {}).await?;
    if cx.json { print(json!(Accepted::new(list))) } else { print(show(&list)) }
}

async fn clear(target: Option<&DialTarget>, node: &ControlArgs, cx: &Context) -> Result<(), Failure> {
    let (what, value) = match target {
        None => (What::All, None),
        Some(DialTarget::Peer(peer)) => (What::Peer, Some(peer.to_string())),
        Some(DialTarget::Addr(addr)) => (What::Addr, Some(addr.to_string())),
    };
    let of = value.as_ref().map_or(String::new(), |value| format!(" of {value}"));
    let cleared: Cleared = ask(&node.control, &Request::BackoffClear { what, value }).await?;
    if cx.json {
        return print(json!(Accepted::new(cleared)));
    }
    print(match cleared.forgotten {
        0 => format!("nothing{of} was left alone"),
        n => format!("forgotten{of}: {}", count(n, "failure")),
    })
}

fn show(list: &List) -> String {
    let mut parts = Vec::new();
    if list.is_empty() {
        parts.push("nothing is left alone".into());
    }
    if !list.addresses.is_empty() {
        let head = ["address", "peer", "failures", "last", "left"];
        let rows = list.addresses.iter().map(address);
        parts.push(format!("{}\n{}", heading("addresses left alone"), table(head, rows)));
    }
    if !list.peers.is_empty() {
        let head = ["peer", "last", "left"];
        let rows = list.peers.iter().map(peer);
        parts.push(format!("{}\n{}", heading("peers left alone"), table(head, rows)));
    }
    if !list.paths.is_empty() {
        let head = ["path", "state", "succeeded", "window"];
        parts.push(format!("{}\n{}", heading("paths"), table(head, list.paths.iter().map(path))));
    }
    parts.push(load(&list.load));
    parts.join("\n\n")
}

fn address(entry: &Address) -> [String; 5] {
    let peer = entry.peer_id.as_deref().map_or_else(|| "any".into(), remote);
    let failures = entry.failures.to_string();
    [remote(&entry.address), peer, failures, remote(&entry.code), left(entry.seconds_left)]
}

fn peer(entry: &Peer) -> [String; 3] {
    [remote(&entry.peer_id), remote(&entry.code), left(entry.seconds_left)]
}

fn path(path: &Path) -> [String; 4] {
    let state = if path.closed { "closed" } else { "open" };
    let succeeded = format!("{} of {}", path.successes, count(path.dials, "dial"));
    [remote(&path.path), state.into(), succeeded, path.window.to_string()]
}

fn load(load: &Load) -> String {
    let (dials, addresses) = (count(load.in_flight, "dial"), count(load.outstanding, "address"));
    format!("{dials} in flight, {addresses} outstanding, {} queued", load.queued)
}

fn left(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map_or_else(|_| "?".into(), time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(list: serde_json::Value) -> String {
        show(&serde_json::from_value(list).unwrap())
    }

    #[test]
    fn tables_are_aligned_and_remote_text_is_escaped() {
        let text = shown(json!({
            "addresses": [
                { "address": "/dns/a\u{1b}b/tcp/1", "peer_id": null, "failures": 1, "code": "refused", "seconds_left": 5.0 },
                { "address": "/ip4/192.0.2.1/tcp/4001", "peer_id": "12D3Koo", "failures": 12, "code": "timed_out",
                  "seconds_left": 0.25 },
            ],
            "peers": [{ "peer_id": "12D3Koo", "code": "timed_out", "seconds_left": 61.0 }],
            "paths": [
                { "path": "UDP", "closed": true, "successes": 1, "dials": 100, "window": 100 },
                { "path": "IPv6", "closed": false, "successes": 0, "dials": 1, "window": 100 },
            ],
            "load": { "in_flight": 1, "outstanding": 2, "queued": 3 },
        }));
        let expected = [
            "addresses left alone",
            "  address                  peer     failures  last       left",
            "  /dns/a\\u{1b}b/tcp/1      any      1         refused    5.00 s",
            "  /ip4/192.0.2.1/tcp/4001  12D3Koo  12        timed_out  250.0 ms",
            "",
            "peers left alone",
            "  peer     last       left",
            "  12D3Koo  timed_out  61.00 s",
            "",
            "paths",
            "  path  state   succeeded       window",
            "  UDP   closed  1 of 100 dials  100",
            "  IPv6  open    0 of 1 dial     100",
            "",
            "1 dial in flight, 2 addresses outstanding, 3 queued",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_closed_path_is_something_that_is_left_alone() {
        let with = |closed: bool| {
            let path = json!({ "path": "UDP", "closed": closed, "successes": 0, "dials": 0, "window": 100 });
            let load = json!({ "in_flight": 0, "outstanding": 0, "queued": 0 });
            shown(json!({ "addresses": [], "peers": [], "paths": [path], "load": load }))
        };
        assert!(with(false).starts_with("nothing is left alone\n\npaths\n"));
        assert!(with(true).starts_with("paths\n"));
    }
}
