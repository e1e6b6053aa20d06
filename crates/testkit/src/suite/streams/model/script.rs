//! What the ends do.

use proptest::{collection::vec, option, prelude::*};
use skep_api::Code;

/// One thing that an end does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Writes up to so many bytes, as many as are taken.
    Write(usize),
    /// Reads up to so many bytes, in one read.
    Read(usize),
    /// Finishes the sending side.
    Finish,
    /// Resets the stream.
    Reset(Code),
    /// Asks for no more.
    Stop(Code),
    /// Lets go of the stream.
    Drop,
    /// Closes the connection.
    Close(Code),
    /// Breaks the connection.
    Cut,
}

/// What both ends do at once, and whether everything settles before the next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The end that opened the stream.
    pub opener: Option<Op>,
    /// The other one.
    pub acceptor: Option<Op>,
    /// What takes no time, such as a reset, comes when the other end waits already.
    pub acts_late: bool,
    /// Waits until nothing moves.
    pub settles: bool,
}

impl Op {
    /// Whether it takes no time.
    pub(super) fn is_act(&self) -> bool {
        !matches!(self, Self::Write(_) | Self::Read(_))
    }

    /// Whether it needs no stream.
    pub(super) fn is_of_connection(&self) -> bool {
        matches!(self, Self::Close(_) | Self::Cut)
    }

    /// In which order the model looks at what happened at once.
    pub(super) fn order(&self) -> u8 {
        match self {
            Self::Write(_) => 1,
            Self::Read(_) => 2,
            _ => 0,
        }
    }
}

impl Step {
    /// The same at both ends.
    pub(super) fn both(op: Op) -> Self {
        Self { opener: Some(op.clone()), acceptor: Some(op), acts_late: false, settles: false }
    }
}

/// The life of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The first steps. What is left of the stream afterwards is read to its end.
    pub steps: Vec<Step>,
}

/// Any script.
pub(super) fn scripts() -> impl Strategy<Value = Script> {
    let step = (option::of(op()), option::of(op()), any::<bool>(), any::<bool>())
        .prop_map(|(opener, acceptor, acts_late, settles)| Step { opener, acceptor, acts_late, settles });
    vec(step, 1..14).prop_map(|steps| Script { steps })
}

fn op() -> impl Strategy<Value = Op> {
    let len = prop_oneof![3 => 1..200_usize, 2 => 1_000..70_000_usize, 2 => 200_000..700_000_usize];
    let read = prop_oneof![2 => 1..300_usize, 2 => 1_000..100_000_usize];
    // Zero is no code on the wire of a reset.
    let code = prop_oneof![Just(Code(1)), Just(Code::RATE_LIMITED), Just(Code(0x7fff_ffff))].boxed();
    prop_oneof![
        12 => len.prop_map(Op::Write),
        12 => read.prop_map(Op::Read),
        4 => Just(Op::Finish),
        2 => code.clone().prop_map(Op::Reset),
        2 => code.clone().prop_map(Op::Stop),
        2 => Just(Op::Drop),
        1 => code.prop_map(Op::Close),
        1 => Just(Op::Cut),
    ]
}
