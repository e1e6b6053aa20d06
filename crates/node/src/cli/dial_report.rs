//! What became of each address of a dial, as a tree with bars of time, and as JSON.

use super::text::{faint, printable, reason, time};
use serde_json::{Value, json};
use skep_api::error::{Fault, Retry};
use skep_swarm::{
    AddrOutcome, AddrReport, DialError, DialReport,
    error::{AttemptError, Cause},
};
use std::{fmt::Write, time::Duration};

/// Columns of a bar.
const BAR: usize = 20;

/// A failed dial, one branch per address.
pub(crate) fn failure(error: &DialError) -> String {
    let peer = error.peer_id().map_or(String::new(), |peer| format!(" to {peer}"));
    match error {
        DialError::AllFailed(failed) => {
            let report = &failed.report;
            format!("no connection{peer} after {}\n{}", time(report.elapsed), tree(report))
        }
        other => {
            let cause = other.cause();
            let why = cause.map(ToString::to_string).unwrap_or_default();
            let advice = cause.map(Cause::advice).unwrap_or_default();
            format!("no connection{peer} · {}\n  {why}\n  → {advice}", other.code())
        }
    }
}

/// One branch per address: where it came to, when, and what to do about it.
pub(crate) fn tree(report: &DialReport) -> String {
    let mut branches: Vec<_> = report.addrs.iter().map(|addr| branch(addr, report.elapsed)).collect();
    if report.omitted > 0 {
        branches.push(format!("{} more addresses than one dial looks at", report.omitted));
    }
    if branches.is_empty() {
        branches.push("no address was looked at".into());
    }
    let last = branches.len().saturating_sub(1);
    let draw = |(at, branch): (usize, &String)| {
        let (head, rest) = if at == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let lines = branch.lines().enumerate();
        lines
            .map(|(n, line)| format!("  {}{line}", if n == 0 { head } else { rest }))
            .collect::<Vec<_>>()
            .join("\n")
    };
    branches.iter().enumerate().map(draw).collect::<Vec<_>>().join("\n")
}

fn branch(addr: &AddrReport, total: Duration) -> String {
    // A name in it may be a stranger's.
    let mut text = printable(&addr.addr.to_string());
    if let Some(name) = &addr.resolved_from {
        let _ = write!(text, "  {}", faint(&format!("(from {})", printable(&name.to_string()))));
    }
    let place = match &addr.outcome {
        AddrOutcome::Connected { .. } => "connected".to_string(),
        AddrOutcome::Cancelled { stage } if addr.started.is_none() => format!("{stage} · not needed"),
        AddrOutcome::Cancelled { stage } => format!("{stage} · given up, another was faster"),
        AddrOutcome::Failed(error) | AddrOutcome::Skipped(error) => at(error),
        _ => addr.outcome.code().to_string(),
    };
    match addr.started {
        Some(started) => {
            let retries = if addr.retries == 0 {
                String::new()
            } else {
                format!(" · tries: {}", addr.retries.saturating_add(1))
            };
            let from = time(started);
            let _ = write!(
                text,
                "\n{}  at {from} for {}{retries}",
                bar(started, addr.elapsed, total),
                time(addr.elapsed)
            );
            let _ = write!(text, "\n{place}");
        }
        None if matches!(addr.outcome, AddrOutcome::Skipped(_)) => {
            let _ = write!(text, "\nnot tried · {place}");
        }
        None => {
            let _ = write!(text, "\n{place} · {}", time(addr.elapsed));
        }
    }
    if let Some(error) = addr.outcome.error() {
        let _ = write!(text, "\n{}\n→ {}", reason(&error.cause, &addr.addr), error.cause.advice());
    }
    text
}

/// `connect · tcp · refused`.
fn at(error: &AttemptError) -> String {
    let plugin = if error.plugin.is_empty() { String::new() } else { format!(" · {}", error.plugin) };
    format!("{}{plugin} · {}", error.stage, error.cause.code())
}

/// When, within the whole dial, something went on.
fn bar(started: Duration, elapsed: Duration, total: Duration) -> String {
    let column = |moment: Duration| {
        let share = if total.is_zero() { 0.0 } else { moment.as_secs_f64() / total.as_secs_f64() };
        // In range by construction; what rounding does at the ends is cut off below.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to BAR")]
        let column = (share * BAR as f64).round() as usize;
        column.min(BAR)
    };
    let from = column(started).min(BAR.saturating_sub(1));
    let to = column(started.saturating_add(elapsed)).max(from.saturating_add(1));
    let cell = |n: usize| if (from..to).contains(&n) { '█' } else { '·' };
    (0..BAR).map(cell).collect()
}

/// A failed dial for a script.
pub(crate) fn failure_json(error: &DialError) -> Value {
    let report = error.report();
    json!({
        "ok": false,
        "error": skep_api::error::chain(error),
        "code": error.code(),
        "advice": error.cause().map(Cause::advice),
        "retry": retry(error.retry()),
        "peer_id": error.peer_id().map(|peer| peer.to_string()),
        "num_addrs_tried": report.map_or(0, DialReport::num_addrs_tried),
        "report": report.map(report_json),
    })
}

/// The report of a dial for a script.
pub(crate) fn report_json(report: &DialReport) -> Value {
    json!({
        "existing": report.existing,
        "addresses": report.addrs.iter().map(leaf).collect::<Vec<_>>(),
        "omitted": report.omitted,
        "seconds": report.elapsed.as_secs_f64(),
    })
}

fn leaf(addr: &AddrReport) -> Value {
    let error = addr.outcome.error();
    let outcome = match &addr.outcome {
        AddrOutcome::Connected { .. } => "connected",
        AddrOutcome::Failed(_) => "failed",
        AddrOutcome::Skipped(_) => "skipped",
        _ => "cancelled",
    };
    let stage = match &addr.outcome {
        AddrOutcome::Cancelled { stage } => Some(stage.name()),
        _ => error.map(|error| error.stage.name()),
    };
    json!({
        "address": addr.addr,
        "resolved_from": addr.resolved_from,
        "outcome": outcome,
        "stage": stage,
        "plugin": error.map(|error| error.plugin.as_str()),
        "code": addr.outcome.code(),
        "error": error.map(|error| reason(&error.cause, &addr.addr)),
        "advice": error.map(|error| error.cause.advice()),
        "fault": error.map(|error| fault(error.cause.fault())),
        "retry": error.map(|error| retry(error.cause.retry())),
        "started_seconds": addr.started.map(|started| started.as_secs_f64()),
        "seconds": addr.elapsed.as_secs_f64(),
        "retries": addr.retries,
    })
}

fn fault(fault: Fault) -> &'static str {
    match fault {
        Fault::Local => "local",
        Fault::Remote => "remote",
        Fault::Network => "network",
    }
}

fn retry(retry: Retry) -> &'static str {
    match retry {
        Retry::Permanent => "permanent",
        Retry::Later => "later",
        Retry::Soon => "soon",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_show_when() {
        let ms = Duration::from_millis;
        assert_eq!(bar(ms(0), ms(500), ms(1000)), "██████████··········");
        assert_eq!(bar(ms(500), ms(500), ms(1000)), "··········██████████");
        assert_eq!(bar(ms(1000), ms(0), ms(1000)), "···················█");
        assert_eq!(bar(ms(0), ms(0), ms(0)), "█···················");
    }
}
