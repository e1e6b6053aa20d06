#![doc = include_str!("../README.md")]

mod amount;
mod around;
pub mod capture;
pub mod chaos;
mod injected;
pub mod metrics;
pub mod throttle;
mod timer;

pub use amount::{Bytes, Rate};
pub use injected::{INJECTED, Injected};
