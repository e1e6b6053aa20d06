//! `skep reload`: a running node reads its configuration again.

use super::{
    Failure,
    args::ReloadArgs,
    context::Context,
    text::{count, faint, heading, print, table, time},
};
use serde_json::{Value, json};
use skep::control::{
    Accepted, Request, ask,
    reload::{Change, Reloaded},
};
use skep_api::escape::remote;
use std::time::Duration;

pub(crate) async fn run(args: &ReloadArgs, cx: &Context) -> Result<(), Failure> {
    let request = Request::Reload { dry_run: args.dry_run, recheck: args.recheck };
    let reloaded: Reloaded = ask(&args.node.control, &request).await?;
    if cx.json { print(json!(Accepted::new(reloaded))) } else { print(show(&reloaded)) }
}

/// What a reload has done, or would do.
pub(crate) fn show(reloaded: &Reloaded) -> String {
    let mut parts = Vec::new();
    if !reloaded.changes.is_empty() {
        let rows = reloaded.changes.iter().map(change);
        let what = if reloaded.dry_run { "would change" } else { "changed" };
        parts.push(format!(
            "{}\n{}",
            heading(what),
            table(["key", "before", "after", "effect", "from"], rows)
        ));
    }
    for (what, list) in [
        ("now listening on", &reloaded.bound),
        ("not listening any more on", &reloaded.unbound),
        ("services ended", &reloaded.stopped),
        ("services started", &reloaded.started),
    ] {
        if !list.is_empty() {
            parts.push(format!("{}\n  {}", heading(what), remote(&list.join(", "))));
        }
    }
    if let Some(judged) = reloaded.rechecked {
        let closed = reloaded
            .closed
            .iter()
            .map(|c| [c.id.to_string(), c.peer.clone(), c.gate.clone(), remote(&c.denial)]);
        let judged = faint(&format!("{} judged again", count(judged, "connection")));
        let table = table(["id", "peer", "gate", "why"], closed);
        parts.push(if reloaded.closed.is_empty() {
            format!("{}  {judged}\n  none", heading("closed"))
        } else {
            format!("{}  {judged}\n{table}", heading("closed"))
        });
    }
    let took = time(Duration::try_from_secs_f64(reloaded.seconds).unwrap_or_default());
    parts.push(match (reloaded.changes.is_empty(), reloaded.dry_run) {
        (true, _) => "nothing has changed".into(),
        (false, true) => {
            format!("{} would change; the node runs as before", count(reloaded.changes.len(), "key"))
        }
        (false, false) => format!("{} changed in {took}", count(reloaded.changes.len(), "key")),
    });
    parts.join("\n\n")
}

fn change(change: &Change) -> [String; 5] {
    let value =
        |value: &Option<Value>| value.as_ref().map_or_else(|| "-".into(), |value| remote(&value.to_string()));
    let effect = if change.effect == "live" { "at once" } else { "new connections" };
    [change.key.clone(), value(&change.before), value(&change.after), effect.into(), remote(&change.origin)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reloaded(dry_run: bool) -> Reloaded {
        serde_json::from_value(json!({
            "dry_run": dry_run, "bound": [], "unbound": ["/ip4/127.0.0.1/tcp/4001"], "started": [], "stopped": [],
            "changes": [{ "key": "pruner.watermark.high", "before": 128, "after": 150, "origin": "file a.toml:3",
                          "effect": "live" }],
            "rechecked": null, "closed": [], "seconds": 0.00125,
        }))
        .unwrap()
    }

    #[test]
    fn what_has_changed_is_shown_with_its_origin() {
        let expected = "changed\n  key                    before  after  effect   from\n  \
            pruner.watermark.high  128     150    at once  file a.toml:3\n\nnot listening any more on\n  \
            /ip4/127.0.0.1/tcp/4001\n\n1 key changed in 1.25 ms";
        assert_eq!(show(&reloaded(false)), expected);
        assert!(show(&reloaded(true)).ends_with("1 key would change; the node runs as before"));
    }
}
