//! Resource managers: what connections and streams may take ([`skep_api::resources`]).

pub mod none;
pub mod scoped;
