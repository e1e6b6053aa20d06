//! From a line of a client to the line of the node.

use super::{
    backoff,
    protocol::{Accepted, MAX_ENTRIES, Refusal, Request},
    status::{self, About},
};
use serde::Serialize;
use skep_swarm::Swarm;

/// What a node answers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Answer {
    BackoffList(backoff::List),
    BackoffClear(backoff::Cleared),
    Status(Box<status::Status>),
}

/// Does what a line asks and gives the line to send back.
pub(super) fn answer(line: &[u8], node: &Swarm, about: &About) -> Vec<u8> {
    match Request::parse(line).and_then(|request| carry_out(&request, node, about)) {
        Ok(answer) => to_line(&Accepted::new(answer)),
        Err(refusal) => refused(refusal),
    }
}

fn carry_out(request: &Request, node: &Swarm, about: &About) -> Result<Answer, Refusal> {
    Ok(match request {
        Request::BackoffList {} => Answer::BackoffList(backoff::list(node)),
        Request::BackoffClear { what, value } => {
            Answer::BackoffClear(backoff::clear(node, *what, value.as_deref())?)
        }
        Request::Status { max, streams, config } => {
            let max = usize::try_from((*max).min(MAX_ENTRIES)).unwrap_or_default();
            let wanted = status::Wanted { max, streams: *streams, config: *config };
            Answer::Status(Box::new(status::status(node, about, wanted)))
        }
    })
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
