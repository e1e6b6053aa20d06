//! `skep prune`: which connections go when there are too many, and why.

use super::{
    Failure,
    args::PruneArgs,
    context::Context,
    text::{count, faint, heading, print, table},
};
use serde_json::json;
use skep::control::{
    Accepted, Request, ask,
    prune::{Connection, Peer, Pruned},
};
use skep_api::escape::remote;

pub(crate) async fn run(args: &PruneArgs, cx: &Context) -> Result<(), Failure> {
    let request = Request::Prune { dry_run: args.dry_run, max: args.max };
    let pruned: Pruned = ask(&args.node.control, &request).await?;
    if cx.json { print(json!(Accepted::new(pruned))) } else { print(show(&pruned)) }
}

fn show(pruned: &Pruned) -> String {
    let Pruned { pruner, low, high, connections, max_connections, .. } = pruned;
    let due = pruned
        .due
        .as_ref()
        .map_or_else(|| "no round is due".into(), |why| format!("a round is due: {}", remote(why)));
    let head = format!(
        "{}  {} of {max_connections} at most; low mark {low}, high mark {high}; {due}",
        heading(&format!("pruner {}", remote(pruner))),
        count(*connections, "connection"),
    );
    let mut parts = vec![head];
    if !pruned.peers.is_empty() {
        let rows =
            pruned.peers.iter().flat_map(|peer| peer.connections.iter().map(move |conn| row(peer, conn)));
        parts.push(table(["verdict", "peer", "connection", "score"], rows));
    }
    if pruned.more > 0 {
        parts.push(faint(&format!("and {} more; --max shows more", count(pruned.more, "peer"))));
    }
    let closed = count(pruned.closed, "connection");
    parts.push(if pruned.dry_run { format!("{closed} would be closed") } else { format!("{closed} closed") });
    parts.join("\n\n")
}

fn row(peer: &Peer, conn: &Connection) -> [String; 4] {
    let rule = peer.rule.as_ref().map_or_else(String::new, |rule| format!(": {}", remote(rule)));
    let newcomer = if peer.newcomer { ", newcomer" } else { "" };
    let score: Vec<_> =
        conn.score.iter().map(|(name, value)| format!("{} {}", remote(name), remote(value))).collect();
    let score = if score.is_empty() { "–".into() } else { score.join(", ") };
    [format!("{}{rule}{newcomer}", remote(&peer.verdict)), remote(&peer.peer_id), conn.id.to_string(), score]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_has_its_verdict_and_its_score() {
        let pruned: Pruned = serde_json::from_value(json!({
            "dry_run": true, "pruner": "watermark", "low": 1, "high": 2, "connections": 3, "max_connections": 9,
            "due": "high_mark", "closed": 1, "more": 4,
            "peers": [
                { "peer_id": "12D3KooWA", "verdict": "goes", "rule": null, "newcomer": true,
                  "connections": [{ "id": 7, "score": [["value", "0"], ["age", "70 s"]] }] },
                { "peer_id": "12D3KooWB", "verdict": "spared", "rule": "protected", "newcomer": false,
                  "connections": [{ "id": 3, "score": [] }] },
            ],
        }))
        .unwrap();
        let expected = "pruner watermark  3 connections of 9 at most; low mark 1, high mark 2; a round is due: high_mark\n\n  \
                        verdict            peer       connection  score\n  \
                        goes, newcomer     12D3KooWA  7           value 0, age 70 s\n  \
                        spared: protected  12D3KooWB  3           –\n\n\
                        and 4 peers more; --max shows more\n\n\
                        1 connection would be closed";
        assert_eq!(show(&pruned), expected);
    }
}
