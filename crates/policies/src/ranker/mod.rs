//! Rankers: in which order, and how far apart, addresses are dialled ([`skep_api::ranker`]).

pub mod sequential;
pub mod smart;
