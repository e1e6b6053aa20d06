//! From a line of a client to the line of the node.

use super::{
    backoff,
    protocol::{Accepted, MAX_ENTRIES, Refusal, Request},
    prune, reload,
    status::{self, About},
};
use serde::Serialize;
use skep_swarm::{ReloadOptions, Swarm};

/// What a node answers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Answer {
    BackoffList(backoff::List),
    BackoffClear(backoff::Cleared),
    Prune(Box<prune::Pruned>),
    Reload(Box<reload::Reloaded>),
    Status(Box<status::Status>),
}

/// Does what a line asks and gives the line to send back.
pub(super) async fn answer(line: &[u8], node: &Swarm, about: &About) -> Vec<u8> {
    let carried_out = match Request::parse(line) {
        Ok(request) => carry_out(&request, node, about).await,
        Err(refusal) => Err(refusal),
    };
    match carried_out {
        Ok(answer) => to_line(&Accepted::new(answer)),
        Err(refusal) => refused(refusal),
    }
}

async fn carry_out(request: &Request, node: &Swarm, about: &About) -> Result<Answer, Refusal> {
    Ok(match request {
        Request::BackoffList {} => Answer::BackoffList(backoff::list(node)),
        Request::BackoffClear { what, value } => {
            Answer::BackoffClear(backoff::clear(node, *what, value.as_deref())?)
        }
        Request::Prune { dry_run, max } => {
            let pruned = prune::prune(node, *dry_run, most(*max)).await?;
            Answer::Prune(Box::new(pruned))
        }
        Request::Reload { dry_run, recheck } => {
            let Some(source) = &about.source else {
                let error = "this node does not know where its configuration came from";
                return Err(Refusal::new(error, "restart it with the new one"));
            };
            let options = ReloadOptions::default().dry_run(*dry_run).recheck(*recheck);
            let report = source.reload(node, options).await.map_err(|error| reload::refusal(&error))?;
            Answer::Reload(Box::new(report.into()))
        }
        Request::Status { max, streams, config } => {
            let wanted = status::Wanted { max: most(*max), streams: *streams, config: *config };
            Answer::Status(Box::new(status::status(node, about, wanted)))
        }
    })
}

/// Entries of a list, as many as there may be.
fn most(asked: u32) -> usize {
    usize::try_from(asked.min(MAX_ENTRIES)).unwrap_or_default()
}

/// The line of a refusal.
pub(super) fn refused(refusal: Refusal) -> Vec<u8> {
    #[derive(Serialize)]
    struct Refused {
        ok: bool,
        #[serde(flatten)]
        refusal: Refusal,
    }
    to_line(&Refused { ok: false, refusal })
}

fn to_line(answer: &impl Serialize) -> Vec<u8> {
    // None of the answers has what JSON cannot say: a map with keys other than text.
    let mut line = serde_json::to_vec(answer).unwrap_or_default();
    line.push(b'\n');
    line
}
