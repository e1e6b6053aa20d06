//! One plugin's table, with the origin of each value.

use super::{ConfigError, ConfigErrors, PluginConfig, Problems};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fmt};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ValueOrigin {
    /// The plugin's own default.
    Default,
    /// A profile that is built into the program.
    Builtin(String),
    /// A file, as given.
    File(String),
    /// An environment variable.
    Env(String),
    /// A flag on the command line.
    Flag(String),
    /// Code that composes the node by hand.
    Code,
}

impl fmt::Display for ValueOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Builtin(name) => write!(f, "built-in profile {name}"),
            Self::File(path) => write!(f, "file {path}"),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Code => f.write_str("set in code"),
        }
    }
}

/// The table of one plugin instance.
#[derive(Clone, Debug)]
pub struct ConfigSection {
    path: String,
    table: Map<String, Value>,
    origins: BTreeMap<String, ValueOrigin>,
    fallback: ValueOrigin,
}

impl ConfigSection {
    /// An empty table, so that every key has its default. `path` is such as `transport.tcp`.
    pub fn empty(path: impl Into<String>) -> Self {
        Self::new(path, Map::new(), BTreeMap::new(), ValueOrigin::Default)
    }

    /// A table given in code.
    pub fn from_table(path: impl Into<String>, table: Map<String, Value>) -> Self {
        Self::new(path, table, BTreeMap::new(), ValueOrigin::Code)
    }

    /// A table with the origin of each of its keys; `fallback` is that of keys without one.
    pub fn new(
        path: impl Into<String>,
        table: Map<String, Value>,
        origins: BTreeMap<String, ValueOrigin>,
        fallback: ValueOrigin,
    ) -> Self {
        Self { path: path.into(), table, origins, fallback }
    }

    /// The path of the table.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The keys that are set, with their values.
    #[must_use]
    pub fn table(&self) -> &Map<String, Value> {
        &self.table
    }

    /// Where the value of a key came from.
    #[must_use]
    pub fn origin(&self, key: &str) -> ValueOrigin {
        let first = key.split(['.', '[']).next().unwrap_or(key);
        match self.origins.get(first) {
            Some(origin) => origin.clone(),
            None if self.table.contains_key(first) => self.fallback.clone(),
            None => ValueOrigin::Default,
        }
    }

    /// An error about one key of this table.
    pub fn error(&self, key: &str, problem: impl Into<String>, help: impl Into<String>) -> ConfigError {
        let path = if key.is_empty() { self.path.clone() } else { format!("{}.{key}", self.path) };
        ConfigError { key: path, origin: self.origin(key), problem: problem.into(), help: help.into() }
    }

    /// Decodes the table over the defaults of `C` and validates it.
    ///
    /// # Errors
    /// Every unknown key, every value of the wrong type, and what [`PluginConfig::validate`] finds.
    pub fn decode<C: PluginConfig>(&self) -> Result<C, ConfigErrors> {
        let known = known_keys::<C>();
        let mut errors = Vec::new();
        let mut good = Map::new();
        for (key, value) in &self.table {
            if !known.contains_key(key) {
                errors.push(self.unknown_key(key, &known));
                continue;
            }
            // One key at a time: the others have their defaults, so an error is this key's.
            let alone = Map::from_iter([(key.clone(), value.clone())]);
            match serde_json::from_value::<C>(Value::Object(alone)) {
                Ok(_) => drop(good.insert(key.clone(), value.clone())),
                Err(e) => errors.push(self.error(key, e.to_string(), help_for(known.get(key)))),
            }
        }
        let config = match serde_json::from_value::<C>(Value::Object(good)) {
            Ok(config) => config,
            Err(e) => {
                errors.push(self.error("", e.to_string(), "set the keys named"));
                return Err(to_errors(errors));
            }
        };
        let mut problems = Problems::default();
        config.validate(&mut problems);
        if !problems.is_empty() {
            errors.extend(problems.at(self).into_vec());
        }
        if errors.is_empty() { Ok(config) } else { Err(to_errors(errors)) }
    }

    fn unknown_key(&self, key: &str, known: &BTreeMap<String, Value>) -> ConfigError {
        let help = if known.is_empty() {
            "this plugin has no keys".to_string()
        } else {
            let nearest = nearest(key, known.keys().map(String::as_str));
            let all = known.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            match nearest {
                Some(name) => format!("did you mean `{name}`? keys here: {all}"),
                None => format!("keys here: {all}"),
            }
        };
        self.error(key, "unknown key", help)
    }
}

fn to_errors(errors: Vec<ConfigError>) -> ConfigErrors {
    match ConfigErrors::check(errors) {
        Err(errors) => errors,
        Ok(()) => ConfigError {
            key: String::new(),
            origin: ValueOrigin::Default,
            problem: "the configuration was refused".into(),
            help: String::new(),
        }
        .into(),
    }
}

/// The keys of a configuration type with their schemas.
fn known_keys<C: PluginConfig>() -> BTreeMap<String, Value> {
    let schema = schemars::schema_for!(C);
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.into_iter().flatten().map(|(key, schema)| (key.clone(), schema.clone())).collect()
}

/// The first paragraph of a key's documentation says what it takes; where its lines wrap means nothing.
fn help_for(schema: Option<&Value>) -> String {
    let text = schema.and_then(|s| s.get("description")).and_then(Value::as_str).unwrap_or_default();
    let paragraph =
        text.lines().map(str::trim).skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty());
    paragraph.collect::<Vec<_>>().join(" ")
}

/// Jaro and Winkler are blind to a swap in a short word, such as `tpc`: one edit away is always close.
fn likeness(word: &str, candidate: &str) -> f64 {
    let floor = if strsim::osa_distance(word, candidate) <= 1 { 0.8 } else { 0.0 };
    strsim::jaro_winkler(word, candidate).max(floor)
}

/// The candidate closest to a misspelt word, if one is close.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (likeness(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::super::DurationText;
    use super::*;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    struct Config {
        /// Off costs latency.
        nodelay: bool,
        /// Connections that wait, 1 to 65535.
        backlog: u32,
        /// How long a dial may take. A shorter time fails sooner, and gives up
        /// on links that are slow.
        ///
        /// A second paragraph is not part of the help.
        timeout: DurationText,
    }
    impl Default for Config {
        fn default() -> Self {
            Self { nodelay: true, backlog: 1024, timeout: DurationText::secs(5) }
        }
    }
    impl PluginConfig for Config {
        const FILE: &'static str = file!();
        fn validate(&self, problems: &mut Problems) {
            problems.range("backlog", self.backlog.into(), 1..=65_535);
        }
    }

    fn section(json: Value) -> ConfigSection {
        let Value::Object(table) = json else { panic!("not a table") };
        let origins = BTreeMap::from([("backlog".to_string(), ValueOrigin::Env("SKEP_X".into()))]);
        ConfigSection::new("transport.tcp", table, origins, ValueOrigin::File("a.toml".into()))
    }

    #[test]
    fn keys_not_set_have_their_defaults() {
        let config: Config = section(serde_json::json!({ "nodelay": false })).decode().unwrap();
        assert!(!config.nodelay);
        assert_eq!((config.backlog, config.timeout), (1024, DurationText::secs(5)));
    }

    #[test]
    fn every_mistake_is_reported_with_its_origin_and_cure() {
        let table = serde_json::json!({ "nodelya": true, "timeout": "5 days", "backlog": 0 });
        let errors = section(table).decode::<Config>().unwrap_err();
        assert_eq!(
            errors.to_string(),
            "3 problems in the configuration:\n  \
             1. transport.tcp.nodelya: unknown key [file a.toml]\n    \
             did you mean `nodelay`? keys here: backlog, nodelay, timeout\n  \
             2. transport.tcp.timeout: invalid value: string \"5 days\", expected a duration with a unit, \
             such as \"250ms\", \"5s\", \"2m\" or \"1h\" [file a.toml]\n    \
             How long a dial may take. A shorter time fails sooner, and gives up on links that are slow.\n  \
             3. transport.tcp.backlog: 0 is out of range [environment variable SKEP_X]\n    \
             allowed: 1 to 65535"
        );
    }

    #[test]
    fn only_close_words_are_suggested() {
        assert_eq!(nearest("yamx", ["yamux", "mplex"]), Some("yamux"));
        assert_eq!(nearest("tpc", ["memory", "tcp"]), Some("tcp"));
        assert_eq!(nearest("zzz", ["yamux", "mplex"]), None);
    }
}
