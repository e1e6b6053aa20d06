#![doc = include_str!("../README.md")]

mod buffer;
mod cipher;
mod config;
mod error;
mod handshake;
mod identity;
mod incoming;
mod message;
mod outgoing;
mod payload;
mod primitives;
mod stream;
mod upgrade;

pub use config::Config;
pub use error::FrameError;
pub use upgrade::PROTOCOL;

skep_api::register_security! {
    name: "noise",
    summary: "Noise XX with X25519, ChaCha20-Poly1305 and SHA-256",
    example: "early_muxer = true\nmax_idle_buffers = 64\n",
    config: Config,
    build: upgrade::build,
}
