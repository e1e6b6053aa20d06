//! Gates: who may connect ([`skep_api::gate`]).

pub mod ip_filter;
pub(crate) mod nets;
pub mod prefix_limit;
pub mod rate_limit;
