//! Environment variables by the names that the suites have for them, with all mistakes at once.

use std::{collections::BTreeMap, fmt};

/// What is wrong with the environment. Never empty.
#[derive(Debug, thiserror::Error)]
pub(crate) struct Problems(Vec<Problem>);

#[derive(Debug)]
struct Problem {
    variable: &'static str,
    what: String,
    allowed: String,
}

/// The variables, and what was found wrong with them so far.
#[derive(Debug)]
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
    problems: Vec<Problem>,
}

/// A variable: its name in unified-testing, and in test-plans where it has one there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name(pub(crate) &'static str, pub(crate) Option<&'static str>);

impl Environment {
    pub(crate) fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { variables: variables.into_iter().collect(), problems: Vec::new() }
    }

    /// The value; the suites write `null` for what does not apply.
    pub(crate) fn text(&self, Name(name, older): Name) -> Option<&str> {
        let value = |name| self.variables.get(name).map(|text| text.trim());
        let found = value(name).or_else(|| older.and_then(value));
        found.filter(|text| !text.is_empty() && *text != "null")
    }

    /// The value, which has to be there.
    pub(crate) fn required(&mut self, name: Name, allowed: &str) -> Option<String> {
        let found = self.text(name).map(str::to_owned);
        if found.is_none() {
            self.problem(name, "it is not set", allowed);
        }
        found
    }

    /// A value that can be read, or `None` with the problem noted.
    pub(crate) fn parsed<T>(
        &mut self,
        name: Name,
        allowed: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(name)?.to_owned();
        let value = read(&text);
        if value.is_none() {
            self.problem(name, &format!("{text:?} is not allowed"), allowed);
        }
        value
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, name: Name) -> Option<bool> {
        self.parsed(name, "true or false", |text| text.parse().ok())
    }

    /// A number within a range.
    pub(crate) fn number(&mut self, name: Name, most: u64, default: u64) -> u64 {
        let allowed = format!("1 to {most}, or nothing for {default}");
        let read = |text: &str| text.parse().ok().filter(|n| (1..=most).contains(n));
        self.parsed(name, &allowed, read).unwrap_or(default)
    }

    pub(crate) fn problem(&mut self, Name(variable, _): Name, what: &str, allowed: &str) {
        self.problems.push(Problem { variable, what: what.into(), allowed: allowed.into() });
    }

    /// What was made of the variables, unless something is wrong with one of them.
    pub(crate) fn done<T>(self, made: Option<T>) -> Result<T, Problems> {
        match made {
            Some(made) if self.problems.is_empty() => Ok(made),
            _ => Err(Problems(self.problems)),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the environment is not as the suites have it:")?;
        self.0.iter().try_for_each(|Problem { variable, what, allowed }| {
            write!(f, "\n  {variable}: {what}; allowed: {allowed}")
        })
    }
}
