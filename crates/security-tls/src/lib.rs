#![doc = include_str!("../README.md")]

mod config;
mod negotiate;
mod upgrade;

pub use config::{Config, KeyExchange};
pub use upgrade::PROTOCOL;

skep_api::register_security! {
    name: "tls",
    summary: "TLS 1.3 with AES-GCM or ChaCha20-Poly1305",
    example: "early_muxer = true\nkey_exchange = \"classical\"\nmax_idle_buffers = 64\n",
    config: Config,
    build: upgrade::build,
}
