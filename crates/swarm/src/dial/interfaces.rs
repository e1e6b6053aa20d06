//! The addresses of this host, and whether they have changed.

use skep_api::address::{Scope, ip_scope};
use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long what was seen is good for.
const FRESH: Duration = Duration::from_secs(5);

/// The host's addresses, looked at when somebody needs them and not more often than every five seconds.
#[derive(Debug)]
pub(crate) struct Interfaces {
    look: fn() -> Option<BTreeSet<IpAddr>>,
    seen: Mutex<Option<Seen>>,
}

#[derive(Debug)]
struct Seen {
    at: Instant,
    ips: Arc<BTreeSet<IpAddr>>,
}

impl Interfaces {
    pub(crate) fn new(look: fn() -> Option<BTreeSet<IpAddr>>) -> Self {
        Self { look, seen: Mutex::default() }
    }

    /// The addresses of this host, and whether they are others than the last time.
    ///
    /// Those of loopback and of a link do not count: containers come and go with theirs, and lead nowhere new.
    pub(crate) fn current(&self, now: Instant) -> (Arc<BTreeSet<IpAddr>>, bool) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = seen.as_ref().filter(|seen| now.saturating_duration_since(seen.at) < FRESH) {
            return (Arc::clone(&seen.ips), false);
        }
        let known = seen.as_ref().map(|seen| Arc::clone(&seen.ips));
        // Where the system does not say, such as for want of a descriptor, nothing has changed.
        let ips = match ((self.look)(), &known) {
            (Some(ips), _) => Arc::new(ips),
            (None, Some(known)) => Arc::clone(known),
            (None, None) => return (Arc::default(), false),
        };
        let changed = known.is_some_and(|known| known != ips);
        *seen = Some(Seen { at: now, ips: Arc::clone(&ips) });
        (ips, changed)
    }
}

/// The addresses that the system lists; `None` if it does not say.
pub(crate) fn of_the_system() -> Option<BTreeSet<IpAddr>> {
    let listed = if_addrs::get_if_addrs().inspect_err(|error| {
        tracing::debug!(%error, "The addresses of this host cannot be listed.");
    });
    let all = listed.ok()?;
    let ips = all.into_iter().map(|interface| interface.ip());
    Some(ips.filter(|ip| matches!(ip_scope(*ip), Scope::Private | Scope::Public)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU8, Ordering};

    static LAST_BYTE: AtomicU8 = AtomicU8::new(1);

    /// 0 stands for a system that does not say.
    fn moving() -> Option<BTreeSet<IpAddr>> {
        let byte = LAST_BYTE.load(Ordering::Relaxed);
        (byte != 0).then(|| BTreeSet::from([IpAddr::from([192, 0, 2, byte])]))
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_once() {
        let interfaces = Interfaces::new(moving);
        let changed = || interfaces.current(Instant::now()).1;
        assert!(!changed());
        LAST_BYTE.store(2, Ordering::Relaxed);
        assert!(!changed(), "it was looked at a moment ago");
        tokio::time::advance(FRESH).await;
        assert!(changed());
        for unknown_then_as_before in [0, 2] {
            LAST_BYTE.store(unknown_then_as_before, Ordering::Relaxed);
            tokio::time::advance(FRESH).await;
            assert!(!changed());
        }
    }
}
