//! What a failed `accept` means for the listener, and how long it rests.
//!
//! A listener survives everything that passes: a connection that died in the queue costs one turn, and a lack of
//! file descriptors or memory costs a rest that grows while the lack lasts. The connections meanwhile wait in
//! the system's queue.

use crate::alarm::Alarm;
use skep_api::Multiaddr;
use std::{
    io,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::Instant;

/// The first rest; it doubles with each failure in a row.
const FIRST_REST: Duration = Duration::from_millis(50);
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(1);
/// After so long without a failure the next one is a new episode, and is logged again.
const CALM: Duration = Duration::from_secs(10);

/// What to do after a failed `accept`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The error was one connection's: take the next.
    Skip,
    /// The system lacks something: rest first.
    Rest,
    /// The listening socket itself is broken.
    Dead,
}

/// Judges an error of `accept`. Unknown ones rest, so that no error can keep a processor busy.
pub(crate) fn judge(error: &io::Error) -> Verdict {
    use io::ErrorKind as E;
    match error.kind() {
        E::ConnectionAborted
        | E::ConnectionReset
        | E::Interrupted
        | E::PermissionDenied
        | E::HostUnreachable
        | E::NetworkUnreachable
        | E::NetworkDown => Verdict::Skip,
        E::InvalidInput => Verdict::Dead,
        _ => match error.raw_os_error() {
            // Linux reports errors that wait on the new socket as errors of `accept` (accept(2)).
            Some(libc::EPROTO | libc::ENOPROTOOPT) => Verdict::Skip,
            Some(libc::EBADF | libc::ENOTSOCK) => Verdict::Dead,
            _ => Verdict::Rest,
        },
    }
}

/// Times the rests of one listener.
#[derive(Debug, Default)]
pub(crate) struct Rests {
    /// Kept here and not in the future of `accept`, so that a caller who drops that future does not shorten it.
    until: Option<Instant>,
    alarm: Alarm,
    in_a_row: u32,
    last_failure: Option<Instant>,
}

impl Rests {
    /// Ready once the current rest is over.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(until) = self.until {
            ready!(self.alarm.poll(until, cx));
            self.until = None;
        }
        Poll::Ready(())
    }

    /// Begins a rest. The first failure of an episode is logged, for the operator to act on.
    pub(crate) fn begin(&mut self, addr: &Multiaddr, error: &io::Error) {
        let now = Instant::now();
        let rest = FIRST_REST.saturating_mul(1 << self.in_a_row.min(8)).min(LONGEST_REST);
        if self.last_failure.is_none_or(|last| now.duration_since(last) > CALM) {
            tracing::warn!(
                %addr, %error,
                "the listener cannot accept and tries again; \
                 raise `ulimit -n` or lower the connection limits if files ran out"
            );
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.last_failure = Some(now);
        self.until = Some(now + rest);
    }

    /// Notes that a connection was accepted.
    pub(crate) fn end(&mut self) {
        self.in_a_row = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[test]
    fn errors_are_told_apart() {
        for (errno, verdict) in [
            (libc::EMFILE, Verdict::Rest),
            (libc::ENFILE, Verdict::Rest),
            (libc::ENOBUFS, Verdict::Rest),
            (libc::ENOMEM, Verdict::Rest),
            (libc::ECONNABORTED, Verdict::Skip),
            (libc::EINTR, Verdict::Skip),
            (libc::EPERM, Verdict::Skip),
            (libc::EPROTO, Verdict::Skip),
            (libc::ENETDOWN, Verdict::Skip),
            (libc::EBADF, Verdict::Dead),
            (libc::EINVAL, Verdict::Dead),
        ] {
            let error = io::Error::from_raw_os_error(errno);
            assert_eq!(judge(&error), verdict, "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn rests_double_up_to_a_second_and_start_again_after_a_success() {
        let addr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let error = io::Error::from_raw_os_error(libc::EMFILE);
        let mut rests = Rests::default();
        let mut lengths = Vec::new();
        for failure in 0..8 {
            if failure == 7 {
                rests.end();
            }
            let before = Instant::now();
            rests.begin(&addr, &error);
            poll_fn(|cx| rests.poll(cx)).await;
            lengths.push(before.elapsed().as_millis());
        }
        assert_eq!(lengths, [50, 100, 200, 400, 800, 1000, 1000, 50]);
    }
}
