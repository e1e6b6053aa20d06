//! A TOML file as a layer of a profile, with the line of each key.

use super::{path::KeyPath, sources::Layer};
use serde_json::{Map, Value};
use skep_api::{ConfigError, config::ValueOrigin};
use std::{collections::BTreeMap, path::Path};
use toml::de::{DeTable, DeValue};

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Layer, ConfigError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| ConfigError {
        key: "--config".into(),
        origin: ValueOrigin::Flag(format!("--config {name}")),
        problem: format!("the file cannot be read: {e}"),
        help:
            "give a TOML file that exists, is UTF-8 and may be read; without --config a built-in profile runs"
                .into(),
    })?;
    parse(ValueOrigin::File(name), &text)
}

/// Parses the text of a file or of a built-in profile.
pub(super) fn parse(origin: ValueOrigin, text: &str) -> Result<Layer, ConfigError> {
    // Twice: figment and toml values know no places, and the spanned form knows no owned values.
    let spanned = DeTable::parse(text).map_err(|e| syntax_error(&origin, text, &e))?;
    let table: toml::Table = toml::from_str(text).map_err(|e| syntax_error(&origin, text, &e))?;
    let mut lines = BTreeMap::new();
    if matches!(origin, ValueOrigin::File(_)) {
        note_lines(spanned.get_ref(), &KeyPath::default(), text, &mut lines);
    }
    Ok(Layer { origin, table: to_json_table(table), lines })
}

fn syntax_error(origin: &ValueOrigin, text: &str, error: &toml::de::Error) -> ConfigError {
    let at = error.span().map(|span| {
        let (line, column) = place(text, span.start);
        format!(":{line}:{column}")
    });
    let origin = match origin {
        ValueOrigin::File(name) => ValueOrigin::File(format!("{name}{}", at.unwrap_or_default())),
        other => other.clone(),
    };
    ConfigError {
        key: "--config".into(),
        origin,
        problem: format!("not TOML: {}", error.message().trim().replace('\n', "; ")),
        help: "correct the syntax at this line and column; nothing of the file was read".into(),
    }
}

fn note_lines(table: &DeTable<'_>, path: &KeyPath, text: &str, lines: &mut BTreeMap<KeyPath, usize>) {
    for (key, value) in table {
        let path = path.join(key.get_ref());
        lines.insert(path.clone(), place(text, key.span().start).0);
        if let DeValue::Table(table) = value.get_ref() {
            note_lines(table, &path, text, lines);
        }
    }
}

/// Line and column of an offset, from 1.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

fn to_json_table(table: toml::Table) -> Map<String, Value> {
    table.into_iter().map(|(key, value)| (key, to_json(value))).collect()
}

/// A TOML value in the form that plugins decode. Dates become text, for JSON has none.
pub(super) fn to_json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(flag) => flag.into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(values) => values.into_iter().map(to_json).collect(),
        toml::Value::Table(table) => Value::Object(to_json_table(table)),
    }
}
