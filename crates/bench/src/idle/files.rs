//! Open files: every connection takes one in each process.

use crate::Failure;

/// Files that a process has open beside its connections, with room to spare.
const OTHERS: u64 = 64;

/// Raises the limit for this process and those it starts, as far as the system lets it.
pub(super) fn make_room_for(connections: u64) -> Result<(), Failure> {
    let needed = connections.saturating_add(OTHERS);
    // A dialling node has a runtime in common with the others, so nothing but its socket counts.
    let limit = rlimit::increase_nofile_limit(needed)?;
    if limit < needed { Err(Failure::Files { needed, limit }) } else { Ok(()) }
}
