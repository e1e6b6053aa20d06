//! Pruners: which connections go when there are too many ([`skep_api::pruner`]).

mod order;
pub mod outbound_floor;
pub mod watermark;
