//! The end of a multiplexed connection, for streams that are not to hear anything else.

use super::hooks::{Flow, PerFlow};
use skep_api::{CloseReason, Code, Side, stream::StreamError};
use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, Waker, ready},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Why a connection has ended, once it has.
#[derive(Clone, Debug, Default)]
pub(super) struct End(Arc<Ended>);

#[derive(Debug, Default)]
struct Ended {
    reason: OnceLock<CloseReason>,
    told: CancellationToken,
}

/// Goes with the driver, which may be dropped before it says why.
#[derive(Debug)]
pub(super) struct Ending(End);

/// How one stream has ended, whatever was read from it.
#[derive(Debug)]
pub(super) struct Watch {
    end: End,
    /// Once it has, it stays so.
    errors: PerFlow<Option<StreamError>>,
    told: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    reader: Option<Waker>,
}

impl End {
    pub(super) fn ending(&self) -> Ending {
        Ending(self.clone())
    }

    pub(super) fn watch(&self) -> Watch {
        Watch { end: self.clone(), errors: PerFlow::default(), told: None, reader: None }
    }
}

impl Ending {
    /// The connection has ended. Only the first reason counts.
    pub(super) fn tell(&self, reason: CloseReason) {
        let Ended { reason: first, told } = &*self.0.0;
        let _ = first.set(reason);
        told.cancel();
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.tell(CloseReason::Lost { what: "the connection was cut off by this node".into() });
    }
}

impl Watch {
    /// Why nothing passes in this direction any more.
    pub(super) fn error(&mut self, flow: Flow) -> Option<StreamError> {
        let error = self.errors.of_mut(flow);
        if error.is_none() {
            *error = self.end.0.reason.get().cloned().map(StreamError::ConnectionLost);
        }
        error.clone()
    }

    /// Waits for why nothing is received any more.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<StreamError> {
        loop {
            if let Some(error) = self.error(Flow::Received) {
                return Poll::Ready(error);
            }
            self.reader = Some(cx.waker().clone());
            let told = &self.end.0.told;
            let told = self.told.get_or_insert_with(|| Box::pin(told.clone().cancelled_owned()));
            // The reason is there before it is told.
            ready!(told.as_mut().poll(cx));
        }
    }

    /// This node has ended this direction.
    pub(super) fn reset(&mut self, flow: Flow, code: Code) {
        if self.error(flow).is_none() {
            *self.errors.of_mut(flow) = Some(StreamError::Reset { by: Side::Local, code });
        }
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}
