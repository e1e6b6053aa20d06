#![doc = include_str!("../README.md")]

mod error;
mod recipe;
mod spec;

pub use error::StackError;
pub use recipe::{Recipe, linked, registry};
pub use spec::StackSpec;
