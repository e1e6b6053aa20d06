//! `U3` to `U6`: what is said, what is denied for want of numbers, what is kept, and that nothing waits.

use super::{Fixture, MANY, fill, fill_streams, in_use, is_empty, open, peer, take_many};
use crate::harness::{During, Outcome, broken, ensure};
use skep_api::{
    Multiaddr,
    multiaddr::Protocol,
    resources::{ConnectionRequest, LimitExceeded, Priority, Resource, ResourceManager},
    security::Role,
};
use std::{net::Ipv4Addr, sync::mpsc::sync_channel, thread, time::Duration};

/// How long a manager may take for what it answers in microseconds. It tells one that waits from one that does not.
const PATIENCE: Duration = Duration::from_secs(5);

/// Peers, addresses and protocols that come and go.
const PASSERS_BY: u64 = 500;

/// U3. A denial names the scope, the resource, the limit, its current value and the key, as the list of limits has
/// them.
pub async fn u3_a_denial_names_what_to_change(fixture: Fixture) -> Outcome {
    let manager = fixture.manager();
    let mut denials = Vec::new();
    for role in [Role::Listener, Role::Dialer] {
        denials.extend(fill(&*manager, role).1);
    }
    let (connection, streams, denial) = fill_streams(&*manager)?;
    denials.extend(denial);
    denials.extend(connection.reserve(u64::MAX, Priority::Low).err());
    drop((connection, streams));
    let (_taken, denial) = take_many(|_| {
        let mut connection = open(&*manager, Role::Listener)?;
        connection.set_peer(&peer(1)).map(|()| connection)
    });
    denials.extend(denial);
    denials.iter().try_for_each(|denial| is_telling(&*manager, denial))
}

fn is_telling(manager: &dyn ResourceManager, denial: &LimitExceeded) -> Outcome {
    let limits = manager.limits();
    let Some(limit) = limits.iter().find(|limit| limit.key == denial.key) else {
        return broken(format!("{denial:?} names a key that is not in the list of limits"));
    };
    let names_both = denial.scope.contains(&limit.scope) && denial.scope.contains(limit.resource.name());
    ensure!(names_both, "{denial:?} does not name `{}` and `{}`", limit.scope, limit.resource);
    let (most, memory) = (limit.limit.unwrap_or(u64::MAX), limit.resource == Resource::Memory);
    let right = if memory { denial.limit <= most } else { denial.limit == most };
    ensure!(right, "{denial:?}, and the limit is {most}");
    let full = denial.current <= denial.limit && (memory || denial.current == denial.limit);
    ensure!(full, "{denial:?}: that much is not in the way");
    Ok(())
}

/// U4. What has no room in a number is denied and takes nothing, whatever the limit; and a priority is no way
/// around it.
pub async fn u4_sums_beyond_all_numbers_are_denied(fixture: Fixture) -> Outcome {
    let manager = fixture.manager();
    if manager.limits().is_empty() {
        return Ok(());
    }
    let connection = open(&*manager, Role::Dialer).during("the first connection")?;
    let stream = connection.open_stream(Role::Dialer).during("the first stream")?;
    let before = in_use(&*manager);
    let some = connection.reserve(1, Priority::Always).during("a byte")?;
    for priority in [Priority::Low, Priority::Medium, Priority::High, Priority::Always] {
        let granted = (connection.reserve(u64::MAX, priority), stream.reserve(u64::MAX, priority));
        ensure!(
            granted.0.is_err() && granted.1.is_err(),
            "two to the 64th bytes were granted at {priority:?}"
        );
    }
    drop(some);
    let after = in_use(&*manager);
    ensure!(before == after, "before it {before:?}, afterwards {after:?}");
    Ok(())
}

/// U5. Peers, protocols and addresses that come and go leave no scope behind.
pub async fn u5_nothing_is_kept_of_who_holds_nothing(fixture: Fixture) -> Outcome {
    let manager = fixture.manager();
    for n in 0..PASSERS_BY {
        let host =
            u32::try_from(n).map_or(Ipv4Addr::LOCALHOST, |n| Ipv4Addr::from(0xc633_6400_u32.wrapping_add(n)));
        let remote = Multiaddr::from(host).with(Protocol::Tcp(1));
        let request = ConnectionRequest::new(Role::Listener, &remote);
        let mut connection = manager.open_connection(&request).during("somebody alone")?;
        connection.set_peer(&peer(n)).during("a peer alone")?;
        let mut stream = connection.open_stream(Role::Listener).during("a stream alone")?;
        stream.set_protocol(&format!("/test/{n}")).during("a protocol alone")?;
        // Of several guards the inner one goes first here: any other order is U2's.
        drop(stream);
    }
    is_empty(&*manager)?;
    let rows = manager.usage(usize::MAX);
    ensure!(rows.len() < 100, "{} rows are kept of {PASSERS_BY} peers that are gone", rows.len());
    Ok(())
}

/// U6. Where nothing is free, a denial comes at once and not when something is.
pub async fn u6_a_full_manager_does_not_wait(fixture: Fixture) -> Outcome {
    let (sender, receiver) = sync_channel(1);
    // On a thread of its own, which is left behind if it never comes back.
    let work = move || {
        let manager = fixture.manager();
        let (mut connections, _) = fill(&*manager, Role::Listener);
        if let Some(first) = connections.first_mut() {
            // Whether it is denied is no matter, here and further on: that it comes back is.
            first.set_peer(&peer(1)).ok();
            drop(take_many(|_| first.open_stream(Role::Dialer)));
            drop(take_many(|_| first.reserve(1 << 40, Priority::Low)));
        }
        sender.send(())
    };
    thread::Builder::new().name("fill".into()).spawn(work).during("start a thread")?;
    match receiver.recv_timeout(PATIENCE) {
        Ok(_) => Ok(()),
        Err(e) => broken(format!("no answer after {PATIENCE:?}: {e}")),
    }
}

/// A listing has at most as many scopes as were asked for, and the system comes first.
pub async fn usage_is_no_longer_than_asked(fixture: Fixture) -> Outcome {
    let manager = fixture.manager();
    let (mut taken, _) = fill(&*manager, Role::Listener);
    for (n, connection) in taken.iter_mut().enumerate().take(MANY / 2) {
        connection.set_peer(&peer(n as u64)).during("a peer alone")?;
    }
    for max in [0, 1, 2, 5] {
        let rows = manager.usage(max);
        let mut scopes: Vec<_> = rows.iter().map(|row| row.scope.as_str()).collect();
        scopes.dedup();
        ensure!(scopes.len() <= max, "{} scopes where {max} were asked for: {scopes:?}", scopes.len());
        ensure!(
            scopes.first().is_none_or(|first| *first == "system"),
            "the first of {scopes:?} is not the system"
        );
    }
    Ok(())
}
