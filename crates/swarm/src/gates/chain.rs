//! The gates of a node in their order, with a tally of what each has said.

use super::census::Counted;
use crate::{
    error::{AttemptError, Cause, Stage},
    meters::GateMeter,
    permits::Permit,
    stack::{Named, Stack},
    swarm::Inner,
};
use skep_api::{
    gate::{Checkpoint, Denial, Gate, GateCx, Verdict},
    security::Role,
};
use std::{
    any::Any,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The gates of a node, in order.
#[derive(Debug, Default)]
pub(crate) struct GateChain(Vec<Asked>);

/// One gate of the chain.
struct Asked {
    gate: Named<dyn Gate>,
    /// Its denials are counted and have no effect.
    shadow: bool,
    tally: Arc<Tally>,
    meter: GateMeter,
}

/// What a gate was asked and has said, at each checkpoint.
#[derive(Debug, Default)]
struct Tally([[AtomicU64; 2]; Checkpoint::NAMES.len()]);

/// A gate of a running node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GateInfo {
    /// The word in the profile.
    pub name: String,
    /// Whether its denials are counted only.
    pub shadow: bool,
    /// What it has said since the node was started, by checkpoint, in the order of the road.
    pub tally: Vec<GateTally>,
}

/// What a gate has said at one checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GateTally {
    /// The checkpoint's word.
    pub checkpoint: &'static str,
    /// How often it has let pass.
    pub allowed: u64,
    /// How often it has denied; in shadow, would have.
    pub denied: u64,
}

impl GateChain {
    /// The chain of a stack. Gates that were in the chain before go on counting.
    pub(crate) fn new(stack: &Stack, meter: impl Fn(&str) -> GateMeter, before: Option<&Self>) -> Self {
        let tally_of = |name: &str| {
            let old = before.into_iter().flat_map(|chain| &chain.0).find(|old| old.gate.name == name);
            old.map(|old| Arc::clone(&old.tally)).unwrap_or_default()
        };
        let asked = stack.gates.iter().map(|gate| Asked {
            shadow: stack.shadow_gates.contains(&gate.name),
            tally: tally_of(&gate.name),
            meter: meter(&gate.name),
            gate: gate.clone(),
        });
        Self(asked.collect())
    }

    /// Asks every gate in order; the first denial that counts ends it.
    pub(super) fn ask(&self, point: &Checkpoint<'_>, cx: &GateCx<'_>) -> Result<(), (&str, Denial)> {
        for asked in &self.0 {
            let verdict = asked.gate.object.check(point, cx);
            asked.note(point, &verdict);
            if let (Verdict::Deny(denial), false) = (verdict, asked.shadow) {
                return Err((&asked.gate.name, denial));
            }
        }
        Ok(())
    }

    pub(crate) fn infos(&self) -> Vec<GateInfo> {
        self.0.iter().map(Asked::info).collect()
    }

    /// The object of a gate.
    pub(crate) fn object(&self, name: &str) -> Option<Arc<dyn Any + Send + Sync>> {
        let asked = self.0.iter().find(|asked| asked.gate.name == name)?;
        Some(Arc::clone(&asked.gate.object) as _)
    }
}

impl Asked {
    fn note(&self, point: &Checkpoint<'_>, verdict: &Verdict) {
        let denial = match verdict {
            Verdict::Allow => None,
            Verdict::Deny(denial) => Some(denial),
        };
        let name = point.name();
        let at = Checkpoint::NAMES.iter().position(|known| *known == name);
        let count = at.and_then(|at| self.tally.0.get(at)?.get(usize::from(denial.is_some())));
        if let Some(count) = count {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.meter.count(at, denial, self.shadow);
        if let Some(Denial { rule, reason, code, .. }) = denial {
            let (gate, shadow) = (&self.gate.name, self.shadow);
            tracing::debug!(gate, checkpoint = name, rule, %reason, %code, shadow, "A gate has denied.");
        }
    }

    fn info(&self) -> GateInfo {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let tally = Checkpoint::NAMES.iter().zip(&self.tally.0).map(|(checkpoint, [allowed, denied])| {
            GateTally { checkpoint, allowed: get(allowed), denied: get(denied) }
        });
        GateInfo { name: self.gate.name.clone(), shadow: self.shadow, tally: tally.collect() }
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("gate", &self.gate.object).field("shadow", &self.shadow).finish()
    }
}

impl Inner {
    /// Asks the gates of the node, which see the connections that came before `seat`; all, where it has none yet.
    pub(crate) fn ask(&self, point: &Checkpoint<'_>, seat: Option<u64>) -> Result<(), AttemptError> {
        let counted: &Counted = &self.counted;
        self.live().gates.ask(point, &GateCx::new(&counted.view(seat))).map_err(|(gate, denial)| {
            let cause = Cause::Denied { gate: gate.into(), checkpoint: point.name(), denial };
            AttemptError::new(Stage::Gate, gate, cause)
        })
    }

    /// Asks the gates about a link of a peer, and gives it a seat in the census if they let it pass.
    pub(crate) fn ask_in_turn(
        &self,
        point: &Checkpoint<'_>,
        permit: &mut Permit,
    ) -> Result<(), AttemptError> {
        let _turn = self.counted.one_at_a_time();
        self.ask(point, None)?;
        permit.sit(point.remote().and_then(|remote| self.counted.take_seat(Role::Listener, remote)));
        Ok(())
    }
}
