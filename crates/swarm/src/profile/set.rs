//! `--set a.b=c` as layers of a profile.

use super::{file, path::KeyPath, sources::Layer};
use serde_json::Value;
use skep_api::{ConfigError, config::ValueOrigin};

const HELP: &str =
    "write --set KEY=VALUE, such as swarm.max_connections=100 or transport.\"tcp/lan\".nodelay=true";

/// One layer of one `--set`.
pub(super) fn layer(text: &str) -> Result<Layer, ConfigError> {
    let refuse = |problem: String| ConfigError {
        key: "--set".into(),
        origin: ValueOrigin::Flag(format!("--set {text}")),
        problem,
        help: HELP.into(),
    };
    let (key, value) = split(text).ok_or_else(|| refuse(format!("{text:?} has no `=`")))?;
    let path = parse_key(key).ok_or_else(|| refuse(format!("{key:?} is not a key")))?;
    Ok(Layer::single(ValueOrigin::Flag(format!("--set {text}")), &path, to_value(value)))
}

/// A value as TOML if it is TOML, else as text: `5`, `true` and `["tcp"]` keep their types, `5s` is text.
pub(super) fn to_value(text: &str) -> Value {
    text.trim().parse::<toml::Value>().map_or_else(|_| text.into(), file::to_json)
}

/// Splits at the first `=` that is not within quotes.
fn split(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    let at = text.char_indices().find_map(|(at, c)| {
        match (quote, c) {
            (None, '=') => return Some(at),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
        None
    })?;
    Some((text.get(..at)?, text.get(at.checked_add(1)?..)?))
}

/// Reads a dotted key by TOML's own rules.
fn parse_key(key: &str) -> Option<KeyPath> {
    if key.contains(['\n', '\r']) {
        return None;
    }
    let mut table: toml::Table = toml::from_str(&format!("{key} = 0")).ok()?;
    let mut path = KeyPath::default();
    loop {
        let (segment, value) = std::mem::take(&mut table).into_iter().next()?;
        path = path.join(&segment);
        match value {
            toml::Value::Table(inner) => table = inner,
            _ => return Some(path),
        }
    }
}
