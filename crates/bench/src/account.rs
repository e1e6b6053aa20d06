//! What a process has used, from `/proc`: CPU time in nanoseconds, resident memory in bytes.
//!
//! Elsewhere than on Linux everything is zero.

use crate::Failure;
use std::fs;

/// CPU seconds of a process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    /// User and system, summed over the live threads, nanoseconds exact.
    pub total: f64,
    /// The user part, 10 ms exact.
    pub user: f64,
    /// The system part, 10 ms exact.
    pub system: f64,
}

impl Cpu {
    /// What was used since.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            total: self.total - earlier.total,
            user: self.user - earlier.user,
            system: self.system - earlier.system,
        }
    }
}

/// The CPU time of a process so far.
pub(crate) fn cpu(pid: u32) -> Cpu {
    let mut cpu = Cpu { total: scheduled(pid).unwrap_or_default(), ..Cpu::default() };
    if let Some((user, system)) = user_and_system(pid) {
        (cpu.user, cpu.system) = (user, system);
    }
    cpu
}

/// The first number of a thread's `schedstat` is its time on a CPU. Threads of the runtime live as long as it.
fn scheduled(pid: u32) -> Option<f64> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let nanos: u64 = threads
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
        .sum();
    Some(nanos as f64 * 1e-9)
}

fn user_and_system(pid: u32) -> Option<(f64, f64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it is in brackets and may hold spaces.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11).map(|field| field.parse::<f64>().unwrap_or_default());
    Some((fields.next()? / 100.0, fields.next()? / 100.0))
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// All that is resident.
    pub resident: u64,
    /// What of it no file stands behind: the heap, stacks, and written data. Shared code and pages of files are not in it.
    pub anonymous: u64,
}

/// The memory of a process.
pub(crate) fn memory(pid: u32) -> Result<Memory, Failure> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).map_err(|_| Failure::NoMemory(path.clone()))?;
    let field = |name| kib(&text, name).ok_or_else(|| Failure::NoMemory(path.clone()));
    Ok(Memory { resident: field("Rss:")?, anonymous: field("Anonymous:")? })
}

/// The resident memory of a process.
pub(crate) fn resident(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    kib(&status, "VmRSS:").unwrap_or_default() as f64
}

/// The bytes of a line `name 123 kB`.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_in_kib() {
        let text = "Rss:                8300 kB\nAnonymous:          1234 kB\n";
        assert_eq!(kib(text, "Anonymous:"), Some(1234 * 1024));
        assert_eq!(kib(text, "Swap:"), None);
    }
}
