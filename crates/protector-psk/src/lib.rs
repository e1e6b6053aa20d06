#![doc = include_str!("../README.md")]

mod cipher;
mod config;
mod file;
mod incoming;
mod key;
mod opening;
mod outgoing;
mod protect;
mod stranger;
mod stream;

pub use config::Config;

skep_api::register_protector! {
    name: "psk",
    summary: "private networks with a pre-shared key (`swarm.key`), as go and js have them",
    example: include_str!("../testdata/valid.toml"),
    config: Config,
    build: protect::build,
}
