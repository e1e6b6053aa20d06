//! Resolvers: from names to addresses that can be dialled ([`skep_api::resolver`]).

pub mod dns;
mod lookup;
pub mod r#static;
mod walk;
