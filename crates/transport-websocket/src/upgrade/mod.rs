//! The HTTP upgrade (RFC 6455, section 4).

mod client;
mod head;
mod server;

pub(crate) use client::request;
pub(crate) use server::answer;

#[cfg(test)]
mod tests;
