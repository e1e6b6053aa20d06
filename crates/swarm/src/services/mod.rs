//! Services of a running node: each is one task, which a reload may end and replace.

mod changes;
mod control;

use crate::{
    stack::Named,
    swarm::{Inner, Swarm},
};
use control::Control;
use futures::FutureExt;
use serde_json::Value;
use skep_api::service::Service;
use std::{
    any::Any,
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The services that run, or have ended by themselves.
#[derive(Debug, Default)]
pub(crate) struct Services(Mutex<Vec<Running>>);

#[derive(Debug)]
struct Running {
    service: Named<dyn Service>,
    /// Fires when its task has ended.
    ended: CancellationToken,
    /// Ends its task, also when the node is dropped.
    stop: DropGuard,
}

impl Services {
    fn lock(&self) -> MutexGuard<'_, Vec<Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Starts a service. It ends with the node, or when a drain begins.
    pub(crate) fn start_service(self: &Arc<Self>, service: Named<dyn Service>) {
        let (stop, ended) = (self.draining.child_token(), CancellationToken::new());
        let (object, name) = (Arc::clone(&service.object), service.name.clone());
        let control = Arc::new(Control::new(self));
        let ran = ended.clone().drop_guard();
        let tasks = self.tasks.clone();
        self.services.lock().push(Running { service, ended, stop: stop.clone().drop_guard() });
        self.tasks.spawn("service", async move {
            let _ran = ran;
            let run = AssertUnwindSafe(object.run(control)).catch_unwind();
            match stop.run_until_cancelled(run).await {
                None => {}
                Some(Ok(())) => tracing::info!(service = %name, "A service has ended."),
                Some(Err(_)) => {
                    tasks.note_panic();
                    tracing::error!(service = %name, "A service panicked and has ended; the node goes on without it.");
                }
            }
        });
    }

    /// Ends a service. Returns when its task has ended.
    pub(crate) async fn stop_service(&self, name: &str) {
        let ended = {
            let mut running = self.services.lock();
            let Some(at) = running.iter().position(|running| running.service.name == name) else { return };
            let Running { ended, stop, .. } = running.remove(at);
            drop(stop);
            ended
        };
        ended.cancelled().await;
    }
}

impl Swarm {
    /// What the services of the node tell of themselves, by name.
    #[must_use]
    pub fn service_reports(&self) -> BTreeMap<String, Value> {
        let running = self.0.services.lock();
        let services: Vec<_> = running.iter().map(|running| running.service.clone()).collect();
        drop(running);
        services.into_iter().map(|service| (service.name, service.object.report())).collect()
    }

    /// A service of the node, for whoever knows its type. A reload may put another in its place.
    #[must_use]
    pub fn service<T: Service>(&self, name: &str) -> Option<Arc<T>> {
        let running = self.0.services.lock();
        let found = running.iter().find(|running| running.service.name == name)?;
        let object: Arc<dyn Any + Send + Sync> = Arc::clone(&found.service.object) as _;
        object.downcast().ok()
    }
}
