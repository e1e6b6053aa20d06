//! The road of a connection, as two straight functions over stage types.
//!
//! ```text
//! outbound::connect   Target::approve ► Transport::dial ──► Admitted<Link> ─┐
//! inbound::accept     admit::link ────► Incoming::accept ─► Admitted<Link> ┴► Upgrade::run ─► Established
//! ```
//!
//! A later stage takes the earlier one by value: nothing is upgraded that was not admitted, and nothing is
//! multiplexed whose peer is not proven.

pub(crate) mod admit;
pub(crate) mod inbound;
pub(crate) mod negotiate;
pub(crate) mod outbound;
pub(crate) mod progress;
pub(crate) mod upgrade;
