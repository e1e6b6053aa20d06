//! Gates: the obligations of [`skep_api::gate`].
//!
//! Each may remember what it was asked, as a limiter does, so that what is compared is what gates say that were asked
//! the same. G5 cannot be seen through the trait: that a gate forgets is tested where it is written.

mod questions;

use super::{build_from, parse, path_of};
use crate::{
    cx::build_cx,
    harness::{self, During, Outcome, broken, ensure, suite},
};
use questions::{Point, Question, questions};
use serde_json::{Map, Value, json};
use skep_api::{
    ConfigErrors, Plugin,
    gate::{Gate, Verdict},
    plugin::layer,
};
use std::{fmt, sync::Arc};

suite! { $
    /// Tests of a gate with a table that denies something:
    /// `gate_suite!(my_gate::PLUGIN, r#"deny = ["10.0.0.0/8"]"#);`
    gate_suite in gate, fixture: Fixture;
    g1_the_same_history_gets_the_same_answers,
    g2_a_denial_says_why_and_names_the_rule,
    g3_a_rule_that_is_not_understood_is_an_error,
    g4_a_name_is_judged_without_a_lookup,
    g6_without_rules_everything_passes,
    g7_again_uses_nothing_up,
}

type BuildGate = dyn Fn(Map<String, Value>) -> Result<Arc<dyn Gate>, ConfigErrors> + Send + Sync;

/// How often each question is asked, so that a limiter with small bursts comes to its limits.
const ROUNDS: usize = 3;

/// How to build the gate under test, and the rules for it.
#[derive(Clone)]
pub struct Fixture {
    path: String,
    build: Arc<BuildGate>,
    table: Map<String, Value>,
    keys: Vec<String>,
}

impl Fixture {
    /// Tests this plugin with the rules of `table`, in TOML.
    ///
    /// # Panics
    /// If `table` is no TOML.
    #[must_use]
    pub fn of(plugin: Plugin<layer::Gate>, table: &str) -> Self {
        let schema = (plugin.schema)();
        let keys = schema.get("properties").and_then(Value::as_object);
        let keys = keys.into_iter().flat_map(Map::keys).cloned().collect();
        let build = move |table| build_from(&plugin, table, &build_cx());
        Self { keys, ..Self::new(path_of(&plugin), table, build) }
    }

    /// Tests the gates that a function makes of a table; `path` is that of the table, and its keys are all that a
    /// denial may name.
    ///
    /// # Panics
    /// If `table` is no TOML.
    pub fn new<F>(path: impl Into<String>, table: &str, build: F) -> Self
    where
        F: Fn(Map<String, Value>) -> Result<Arc<dyn Gate>, ConfigErrors> + Send + Sync + 'static,
    {
        let table = parse(table).unwrap_or_else(|e| panic!("the table is no TOML: {e}"));
        let keys = table.keys().cloned().collect();
        Self { path: path.into(), build: Arc::new(build), table, keys }
    }

    fn gate(&self) -> Result<Arc<dyn Gate>, harness::Broken> {
        (self.build)(self.table.clone()).during("the table is refused")
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fixture({})", self.path)
    }
}

impl harness::Fixture for Fixture {}

/// G1. Two gates with the same rules that are asked the same in the same order say the same.
pub async fn g1_the_same_history_gets_the_same_answers(fixture: Fixture) -> Outcome {
    let (gate, twin) = (fixture.gate()?, fixture.gate()?);
    let questions = questions(&fixture.table);
    for question in std::iter::repeat_n(&questions, ROUNDS).flatten().chain(questions.iter().rev()) {
        let (first, other) = (question.ask(&*gate), question.ask(&*twin));
        ensure!(
            other == first,
            "{question:?} got {first:?}, and of a gate that was asked the same {other:?}"
        );
    }
    Ok(())
}

/// G2. A denial has a reason, and names its rule by a key of the configuration; the table given denies something.
pub async fn g2_a_denial_says_why_and_names_the_rule(fixture: Fixture) -> Outcome {
    let gate = fixture.gate()?;
    let mut denials = 0_usize;
    for question in std::iter::repeat_n(questions(&fixture.table), ROUNDS).flatten() {
        if let Verdict::Deny(denial) = question.ask(&*gate) {
            denials = denials.saturating_add(1);
            let key = denial.key();
            let known = fixture.keys.iter().any(|known| known == key);
            ensure!(known, "{question:?} is denied by `{key}`, which is no key: {denial}");
            ensure!(!denial.reason.trim().is_empty(), "{question:?} is denied without a reason: {denial}");
        }
    }
    ensure!(
        denials > 0 || fixture.table.is_empty(),
        "nothing was denied: give a table that denies something"
    );
    Ok(())
}

/// G3. A word that is no rule, put into any list or table of rules, is a configuration error at that key.
pub async fn g3_a_rule_that_is_not_understood_is_an_error(fixture: Fixture) -> Outcome {
    const WRONG: &str = "!! no rule !!";
    for key in fixture.table.keys() {
        let mut table = fixture.table.clone();
        match table.get_mut(key) {
            Some(Value::Array(rules)) => rules.push(WRONG.into()),
            Some(Value::Object(rules)) => drop(rules.insert(WRONG.into(), json!(WRONG))),
            _ => continue,
        }
        let path = format!("{}.{key}", fixture.path);
        match (fixture.build)(table) {
            Ok(_) => return broken(format!("{path} took the rule `{WRONG}`")),
            Err(errors) => {
                let named = errors.iter().any(|e| e.key.starts_with(&path));
                ensure!(named, "the error does not name {path}: {errors}");
            }
        }
    }
    Ok(())
}

/// G4. A name that every machine knows is judged like one that nobody knows. For a gate that denies this host's
/// addresses a lookup would make the difference; any other lookup blocks, and runs into the time limit.
pub async fn g4_a_name_is_judged_without_a_lookup(fixture: Fixture) -> Outcome {
    for protocol in ["dns", "dns4", "dns6", "dnsaddr"] {
        for point in Point::ALL {
            let verdict = |name: &str| -> Result<Verdict, harness::Broken> {
                Ok(Question::at(point, &format!("/{protocol}/{name}/tcp/4001")).ask(&*fixture.gate()?))
            };
            let (known, unknown) = (verdict("localhost")?, verdict("skep.invalid")?);
            let alike = match (&known, &unknown) {
                (Verdict::Deny(known), Verdict::Deny(unknown)) => known.key() == unknown.key(),
                (known, unknown) => known == unknown,
            };
            ensure!(alike, "{point:?}: {protocol} localhost got {known:?}, skep.invalid {unknown:?}");
        }
    }
    Ok(())
}

/// G6. With an empty table a gate has no opinion yet: whatever it is asked first passes. A gate whose table cannot be
/// empty has an opinion always.
pub async fn g6_without_rules_everything_passes(fixture: Fixture) -> Outcome {
    for question in questions(&fixture.table).iter().filter(|question| !question.crowded) {
        let Ok(gate) = (fixture.build)(Map::new()) else { return Ok(()) };
        let verdict = question.ask(&*gate);
        ensure!(verdict == Verdict::Allow, "without rules, {question:?} got {verdict:?}");
    }
    Ok(())
}

/// A connection that is judged again uses nothing up: a gate that was asked so says what one says that was not.
pub async fn g7_again_uses_nothing_up(fixture: Fixture) -> Outcome {
    let (gate, twin) = (fixture.gate()?, fixture.gate()?);
    let (again, others): (Vec<_>, Vec<_>) =
        questions(&fixture.table).into_iter().partition(|question| matches!(question.point, Point::Again(_)));
    for _ in 0..ROUNDS {
        again.iter().for_each(|question| drop(question.ask(&*twin)));
        for question in &others {
            let (plain, other) = (question.ask(&*gate), question.ask(&*twin));
            ensure!(
                other == plain,
                "{question:?} got {plain:?}, and {other:?} after connections were judged again"
            );
        }
    }
    Ok(())
}
