//! `none`: grants everything, and counts nothing.
//!
//! It is a manager of its own and not one with huge limits: what has no limit cannot deny by mistake.

use skep_api::{
    PeerId,
    config::NoConfig,
    register_resources,
    resources::{
        ConnectionRequest, ConnectionScope, Limit, LimitExceeded, MemoryGuard, Priority, ResourceManager,
        StreamScope, Usage,
    },
    security::Role,
};
use std::sync::Arc;

register_resources! {
    name: "none",
    summary: "grants everything and counts nothing",
    example: "",
    config: NoConfig,
    build: |_, _| Ok(Arc::new(Unlimited)),
}

/// The manager, and the scope of every connection and stream.
#[derive(Clone, Copy, Debug)]
pub struct Unlimited;

impl ResourceManager for Unlimited {
    fn open_connection(&self, _: &ConnectionRequest<'_>) -> Result<Box<dyn ConnectionScope>, LimitExceeded> {
        Ok(Box::new(*self))
    }

    fn usage(&self, _: usize) -> Vec<Usage> {
        Vec::new()
    }

    fn limits(&self) -> Vec<Limit> {
        Vec::new()
    }
}

impl ConnectionScope for Unlimited {
    fn set_peer(&mut self, _: &PeerId) -> Result<(), LimitExceeded> {
        Ok(())
    }

    fn open_stream(&self, _: Role) -> Result<Box<dyn StreamScope>, LimitExceeded> {
        Ok(Box::new(*self))
    }

    fn reserve(&self, bytes: u64, _: Priority) -> Result<Box<dyn MemoryGuard>, LimitExceeded> {
        Ok(Box::new(Bytes(bytes)))
    }
}

impl StreamScope for Unlimited {
    fn set_protocol(&mut self, _: &str) -> Result<(), LimitExceeded> {
        Ok(())
    }

    fn reserve(&self, bytes: u64, _: Priority) -> Result<Box<dyn MemoryGuard>, LimitExceeded> {
        Ok(Box::new(Bytes(bytes)))
    }
}

/// Memory that nobody counts.
#[derive(Debug)]
struct Bytes(u64);

impl MemoryGuard for Bytes {
    fn bytes(&self) -> u64 {
        self.0
    }
}
