#![doc = include_str!("../README.md")]

pub mod identify;
pub mod perf;
pub mod ping;

#[cfg(test)]
mod fake;
