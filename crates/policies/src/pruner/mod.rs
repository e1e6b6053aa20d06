//! Pruners: which connections go when there are too many ([`skep_api::pruner`]).

pub mod watermark;
