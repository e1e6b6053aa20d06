//! A process that is killed at any moment loses nothing of what a flush had promised.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, its helpers too"
)]

mod kept;

use kept::{Folder, addr, open};
use skep_api::{PeerId, peerstore::Ttl};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// Says to the test below that it is the child, and which file it writes.
const FILE: &str = "SKEP_TEST_KILL_FILE";

fn peer(n: u32) -> PeerId {
    let mut bytes = vec![0, 36, 8, 1, 18, 32];
    bytes.extend([0; 28]);
    bytes.extend(n.to_be_bytes());
    PeerId::from_bytes(&bytes).unwrap()
}

/// The child: adds one peer after another, flushes, and says up to which. Without the variable it does nothing.
#[tokio::test]
async fn child_that_is_killed() {
    let Ok(path) = std::env::var(FILE) else { return };
    let store = kept::open_with(Path::new(&path), "write_every = \"10ms\"").unwrap();
    let first = u32::try_from(store.stats().peers).unwrap();
    // All rounds together stay below the cap, beyond which peers go.
    for n in (first..).take(200) {
        store.add_addrs(&peer(n), &[addr(n)], Ttl::Permanent);
        // Several between two flushes, so that the kill also meets writes of the task behind.
        if n % 3 == 0 {
            store.flush().await.unwrap();
            println!("\nflushed {n}");
            std::io::stdout().flush().unwrap();
        }
    }
    std::future::pending().await
}

/// Runs the child until it has flushed `flushes` times, and kills it a moment later. The last peer that it said was
/// safe.
fn run_and_kill(path: &Path, flushes: usize, pause: Duration) -> Option<u32> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child_that_is_killed", "--exact", "--nocapture"])
        .env(FILE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let number = |line: String| line.strip_prefix("flushed ")?.parse::<u32>().ok();
    let last = lines.by_ref().filter_map(number).take(flushes).last();
    std::thread::sleep(pause);
    child.kill().unwrap();
    child.wait().unwrap();
    // What it had said before it was killed counts, too.
    lines.filter_map(number).last().or(last)
}

#[tokio::test]
async fn what_was_flushed_is_there_after_a_kill() {
    let folder = Folder::new();
    let mut safe = None;
    for round in 0_u32..40 {
        // The pause varies where it is hit; nothing depends on how long it takes.
        let pause = Duration::from_micros((round * 370 % 9_000).into());
        // Without any flush, the first rounds kill it while the file is made.
        let flushes = usize::try_from(round.saturating_sub(6) % 9).unwrap();
        safe = run_and_kill(&folder.file(), flushes, pause).or(safe);
        let store = open(&folder.file()).unwrap();
        for n in 0..=safe.unwrap_or(0) {
            let known = store.addrs(&peer(n));
            assert!(
                safe.is_none() || known.len() == 1 && known[0].addr == addr(n),
                "round {round}: {n} is lost"
            );
        }
    }
    assert!(safe.is_some_and(|last| last >= 40), "{safe:?}");
}
