//! Nothing to build: the `links` key alone keeps two versions of the contracts out of one binary.

fn main() {}
