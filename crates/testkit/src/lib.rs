#![doc = include_str!("../README.md")]

pub mod cx;
pub mod duplex;
pub mod harness;
pub mod node;
pub mod suite;

pub use cx::{build_cx, build_cx_with};
pub use duplex::{DuplexConfig, Wire, duplex, wiretap};
pub use harness::{Failure, Property, run_all};
