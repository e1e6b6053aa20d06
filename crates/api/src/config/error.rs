//! Configuration problems, each with its key, its place, and what would be right.

use super::{ConfigSection, ValueOrigin};
use std::fmt;

/// One thing that is wrong in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The path of the key, such as `transport.tcp.nodelay`.
    pub key: String,
    /// Where the value came from.
    pub origin: ValueOrigin,
    /// What is wrong, with the value.
    pub problem: String,
    /// What is allowed, or what to do; the nearest right name where there is one.
    pub help: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} [{}]", self.key, self.problem, self.origin)?;
        if !self.help.is_empty() {
            write!(f, "\n    {}", self.help)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// All that is wrong in a configuration. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// `Err` with the errors if there are any.
    ///
    /// # Errors
    /// The errors given.
    pub fn check(errors: Vec<ConfigError>) -> Result<(), Self> {
        if errors.is_empty() { Ok(()) } else { Err(Self(errors)) }
    }

    /// The errors.
    #[must_use]
    pub fn into_vec(self) -> Vec<ConfigError> {
        self.0
    }

    /// The errors.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0.len();
        writeln!(f, "{n} problem{} in the configuration:", if n == 1 { "" } else { "s" })?;
        for (i, error) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}  {}. {error}", i + 1)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Collects what validation finds, by key.
#[derive(Clone, Debug, Default)]
pub struct Problems(Vec<Problem>);

/// One finding of a validation.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The key within the plugin's table.
    pub key: String,
    /// What is wrong, with the value.
    pub problem: String,
    /// What is allowed.
    pub help: String,
}

impl Problems {
    /// A single finding, for a build that fails.
    pub fn one(key: &str, problem: impl Into<String>, help: impl Into<String>) -> Self {
        let mut problems = Self::default();
        problems.add(key, problem, help);
        problems
    }

    /// Notes that the value of `key` is wrong; `help` says what is allowed.
    pub fn add(&mut self, key: &str, problem: impl Into<String>, help: impl Into<String>) {
        self.0.push(Problem { key: key.into(), problem: problem.into(), help: help.into() });
    }

    /// Notes a number outside of its range.
    pub fn range(&mut self, key: &str, value: u64, allowed: std::ops::RangeInclusive<u64>) {
        if !allowed.contains(&value) {
            let help = format!("allowed: {} to {}", allowed.start(), allowed.end());
            self.add(key, format!("{value} is out of range"), help);
        }
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The findings as errors of a section.
    #[must_use]
    pub fn at(self, section: &ConfigSection) -> ConfigErrors {
        ConfigErrors(self.0.into_iter().map(|p| section.error(&p.key, p.problem, p.help)).collect())
    }
}
