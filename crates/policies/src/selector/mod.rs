//! Selectors: which connection carries a new stream ([`skep_api::selector`]).

pub mod best;
