#![doc = include_str!("../README.md")]

mod config;
mod exchange;
mod messages;
mod upgrade;

pub use config::Config;
pub use upgrade::PROTOCOL;

skep_api::register_security! {
    name: "plaintext",
    summary: "no security at all: peers are taken at their word and nothing is encrypted, for tests",
    example: "",
    config: Config,
    build: upgrade::build,
}
