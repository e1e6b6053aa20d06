//! Memory that runs short: what the process holds against `[swarm] emergency_memory`.

use crate::swarm::Inner;
use std::{fs, io, sync::Arc, time::Duration};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// How often memory is looked at.
const LOOK: Duration = Duration::from_secs(10);
/// Where Linux tells what a process holds.
const STATUS: &str = "/proc/self/status";

/// Starts to look at memory, if the settings say so.
pub(crate) fn watch(node: &Arc<Inner>) {
    if node.live().settings.emergency_memory.0.is_none() {
        return;
    }
    // The node may go: it is not held while nothing is to be done.
    let (weak, stop) = (Arc::downgrade(node), node.tasks.cancelled().clone());
    node.tasks.spawn("memory", async move {
        let looks = async {
            let mut looks = interval_at(Instant::now() + LOOK, LOOK);
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                looks.tick().await;
                let Some(node) = weak.upgrade() else { return };
                if !node.relieve().await {
                    return;
                }
            }
        };
        stop.run_until_cancelled(looks).await;
    });
}

impl Inner {
    /// Trims connections if the process holds too much memory. Whether that can be told at all.
    async fn relieve(self: &Arc<Self>) -> bool {
        let Some(limit) = self.live().settings.emergency_memory.0 else { return true };
        match resident() {
            Ok(held) if held > limit => {
                let closed = self.round(super::PruneReason::Emergency).await;
                if closed > 0 {
                    tracing::warn!(
                        held,
                        limit,
                        closed,
                        "Memory is short: connections were closed (`swarm.emergency_memory`)."
                    );
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(
                    %error,
                    "`swarm.emergency_memory` has no effect: {STATUS} does not tell what the process holds."
                );
                return false;
            }
        }
        true
    }
}

/// Bytes of memory that the process holds. The number of pages in `statm` would need their size, which the system tells
/// by a call only.
fn resident() -> io::Result<u64> {
    let status = fs::read_to_string(STATUS)?;
    parse(&status).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no line `VmRSS: … kB`"))
}

fn parse(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_resident_memory_is_read() {
        assert_eq!(parse("Name:\tx\nVmHWM:\t  9 kB\nVmRSS:\t    5120 kB\n"), Some(5 << 20));
        for status in ["", "VmRSS:\t5120\n", "VmRSS:\t-1 kB\n", "VmRSS:\t18446744073709551615 kB"] {
            assert_eq!(parse(status), None, "{status:?}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_holds_memory() {
        assert!(resident().unwrap() > 1 << 20);
    }
}
