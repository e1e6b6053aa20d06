//! Which handler serves which protocol id. What nobody serves is refused, never parked.

mod served;
mod table;

pub(crate) use served::{Place, Served};
pub(crate) use table::{Handlers, possible};

use crate::swarm::Swarm;
use async_trait::async_trait;
use skep_api::protocol::{HandlerLimits, InboundStream, ProtocolError, ProtocolHandler};
use std::{fmt, future::Future, sync::Arc};

impl Swarm {
    /// Serves the protocol ids of a handler from now on.
    ///
    /// # Errors
    /// [`HandlerError`] for an id that is not possible or is taken.
    pub fn add_handler(&self, handler: Arc<dyn ProtocolHandler>) -> Result<(), HandlerError> {
        let limits = handler.limits();
        self.add_handler_with(handler, limits)
    }

    /// [`Swarm::add_handler`] with limits on the streams that it serves at once.
    ///
    /// # Errors
    /// [`HandlerError`] for an id that is not possible or is taken.
    pub fn add_handler_with(
        &self,
        handler: Arc<dyn ProtocolHandler>,
        limits: HandlerLimits,
    ) -> Result<(), HandlerError> {
        self.0.handlers.add(&handler, limits)
    }

    /// Serves one protocol by a function, each stream in a task of its own. What the function drops before it has
    /// finished it is reset.
    ///
    /// # Errors
    /// [`HandlerError`] for an id that is not possible or is taken.
    pub fn set_stream_handler<F, S>(&self, protocol: &str, serve: F) -> Result<(), HandlerError>
    where
        F: Fn(InboundStream) -> S + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        self.add_handler(Arc::new(Closure::new(protocol, serve)))
    }

    /// Refuses a protocol id from now on. Whether it was served.
    #[must_use = "false means that the protocol was not served"]
    pub fn remove_handler(&self, protocol: &str) -> bool {
        self.0.handlers.remove(protocol)
    }
}

/// A protocol id that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandlerError {
    /// multistream-select knows ids that begin with a slash only.
    #[error("protocol id {0:?} must begin with `/` and hold no line break")]
    BadId(String),
    /// Nothing to serve.
    #[error("the handler names no protocol id")]
    NoId,
    /// The handler names an id twice.
    #[error("the handler names protocol {0} twice")]
    Twice(String),
    /// Somebody serves it already.
    #[error("protocol {0} has a handler already; remove that first")]
    Taken(String),
}

/// A handler that is a function.
pub(crate) struct Closure<F> {
    protocol: String,
    serve: F,
}

impl<F> Closure<F> {
    pub(crate) fn new(protocol: &str, serve: F) -> Self {
        Self { protocol: protocol.into(), serve }
    }
}

impl<F> fmt::Debug for Closure<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Closure({})", self.protocol)
    }
}

#[async_trait]
impl<F, S> ProtocolHandler for Closure<F>
where
    F: Fn(InboundStream) -> S + Send + Sync + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    fn protocols(&self) -> Vec<String> {
        vec![self.protocol.clone()]
    }

    async fn serve(&self, stream: InboundStream) -> Result<(), ProtocolError> {
        (self.serve)(stream).await;
        Ok(())
    }
}
