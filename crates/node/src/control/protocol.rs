//! What is said over the control socket, for both ends.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use skep_api::escape;

/// What a node is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", deny_unknown_fields)]
#[non_exhaustive]
pub enum Request {
    /// What the dialler leaves alone, and how busy it is: [`backoff::List`](super::backoff::List).
    #[serde(rename = "backoff.list")]
    BackoffList {},
    /// Lets the dialler forget failures: [`backoff::Cleared`](super::backoff::Cleared).
    #[serde(rename = "backoff.clear")]
    BackoffClear {
        /// What to forget.
        what: What,
        /// The peer id, or the address.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<String>,
    },
    /// Closes connections down to the pruner's low mark: [`prune::Pruned`](super::prune::Pruned).
    #[serde(rename = "prune")]
    Prune {
        /// Close nothing, and show what would go.
        #[serde(default)]
        dry_run: bool,
        /// Peers to list; 256 unless said otherwise, and 10,000 at most.
        #[serde(default = "some_entries")]
        max: u32,
    },
    /// Reads the configuration again and goes on with it: [`reload::Reloaded`](super::reload::Reloaded).
    #[serde(rename = "reload")]
    Reload {
        /// Do all that can fail, then leave everything as it was.
        #[serde(default)]
        dry_run: bool,
        /// Ask the gates again about the connections that there are.
        #[serde(default)]
        recheck: bool,
    },
    /// What the node is and does: [`status::Status`](super::status::Status).
    #[serde(rename = "status")]
    Status {
        /// Entries of each list; 256 unless said otherwise, and 10,000 at most.
        #[serde(default = "some_entries")]
        max: u32,
        /// Whether to list streams, too; `max` of all connections together.
        #[serde(default)]
        streams: bool,
        /// Whether to tell the effective configuration, too.
        #[serde(default)]
        config: bool,
    },
}

/// Entries of each list of `status`, unless said otherwise.
pub const SOME_ENTRIES: u32 = 256;
/// The most there are.
pub(super) const MAX_ENTRIES: u32 = 10_000;

fn some_entries() -> u32 {
    SOME_ENTRIES
}

/// What `backoff.clear` is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum What {
    /// Everything, what is known of paths included. Takes no value.
    All,
    /// One peer and its addresses.
    Peer,
    /// One address.
    Addr,
}

/// The form of an answer that is none of the node's refusals.
#[derive(Clone, Debug, Serialize)]
pub struct Accepted<T> {
    ok: bool,
    /// What the command gives.
    #[serde(flatten)]
    pub body: T,
}

/// Why a node does not do what it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{error}")]
pub struct Refusal {
    /// What is wrong.
    pub error: String,
    /// What to do about it.
    pub advice: String,
    /// The single problems, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// The commands, each with an example.
pub(super) const COMMANDS: [(&str, &str); 5] = [
    ("backoff.list", r#"{"command":"backoff.list"}"#),
    ("backoff.clear", r#"{"command":"backoff.clear","what":"peer","value":"12D3Koo…"}, or "what":"all""#),
    ("prune", r#"{"command":"prune","dry_run":true}, or with "max":1000"#),
    ("reload", r#"{"command":"reload"}, or with "dry_run":true, "recheck":true"#),
    ("status", r#"{"command":"status"}, or with "max":1000, "streams":true, "config":true"#),
];

impl<T> Accepted<T> {
    /// Puts `"ok":true` beside the body.
    pub fn new(body: T) -> Self {
        Self { ok: true, body }
    }
}

impl Refusal {
    pub(super) fn new(error: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { error: error.into(), advice: advice.into(), problems: Vec::new() }
    }

    pub(super) fn with_problems(mut self, problems: Vec<String>) -> Self {
        self.problems = problems;
        self
    }
}

impl Request {
    /// Reads one line. What was sent is shown back escaped.
    pub(super) fn parse(line: &[u8]) -> Result<Self, Refusal> {
        let one_object = || format!("send one object a line, such as {}", COMMANDS[0].1);
        let request: Value = serde_json::from_slice(line)
            .map_err(|e| Refusal::new(format!("the request is not JSON: {e}"), one_object()))?;
        let Some(command) = request.get("command").and_then(Value::as_str) else {
            return Err(Refusal::new("the request has no text `command`", one_object()));
        };
        let Some((command, example)) = COMMANDS.iter().find(|(name, _)| *name == command) else {
            let known = COMMANDS.map(|(name, _)| name).join(", ");
            let error = format!("unknown command \"{}\"", escape::remote(command));
            return Err(Refusal::new(error, format!("known here: {known}")));
        };
        serde_json::from_value(request).map_err(|e| {
            let error = format!("{command}: {}", escape::remote(&e.to_string()));
            Refusal::new(error, format!("send it as {example}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> (String, String) {
        let refusal = Request::parse(line.as_bytes()).unwrap_err();
        (refusal.error, refusal.advice)
    }

    #[test]
    fn a_request_is_read_as_it_is_written() {
        let clear =
            |what, value: Option<&str>| Request::BackoffClear { what, value: value.map(String::from) };
        for (request, line) in [
            (Request::BackoffList {}, r#"{"command":"backoff.list"}"#),
            (clear(What::All, None), r#"{"command":"backoff.clear","what":"all"}"#),
            (clear(What::Addr, Some("/ip4")), r#"{"command":"backoff.clear","what":"addr","value":"/ip4"}"#),
        ] {
            assert_eq!(serde_json::to_string(&request).unwrap(), line);
            assert_eq!(Request::parse(line.as_bytes()).unwrap(), request);
        }
    }

    #[test]
    fn an_unknown_command_is_told_the_known_ones() {
        let (error, advice) = refused(r#"{"command":"backoff.\u001blist"}"#);
        assert_eq!(error, "unknown command \"backoff.\\u{1b}list\"");
        assert_eq!(advice, "known here: backoff.list, backoff.clear, prune, reload, status");
    }

    #[test]
    fn what_is_no_request_is_told_what_one_looks_like() {
        for (line, error) in [
            ("", "the request is not JSON: EOF while parsing a value at line 1 column 0"),
            ("{\"command\":", "the request is not JSON: EOF while parsing a value at line 1 column 11"),
            ("[]", "the request has no text `command`"),
            ("{\"command\":7}", "the request has no text `command`"),
        ] {
            let advice = r#"send one object a line, such as {"command":"backoff.list"}"#;
            assert_eq!(refused(line), (error.into(), advice.into()), "{line}");
        }
    }

    #[test]
    fn wrong_fields_are_named() {
        let (error, advice) = refused(r#"{"command":"backoff.list","all":true}"#);
        assert!(error.starts_with("backoff.list: unknown field `all`"), "{error}");
        assert_eq!(advice, r#"send it as {"command":"backoff.list"}"#);
        let (error, _) = refused(r#"{"command":"backoff.clear"}"#);
        assert_eq!(error, "backoff.clear: missing field `what`");
        let (error, _) = refused(r#"{"command":"backoff.clear","what":"path"}"#);
        assert!(error.starts_with("backoff.clear: unknown variant `path`"), "{error}");
    }
}
