//! `U1` and `U2`: what is taken, and what is given back.

use super::{Fixture, MANY, fill, fill_streams, in_use, is_empty, open, peer, take_many};
use crate::harness::{During, Outcome, broken, ensure};
use skep_api::{
    resources::{Priority, Resource, ResourceManager},
    security::Role,
};

/// The limits that a manager lists are those it enforces: connections of both directions, and of one peer.
pub async fn u0_limits_are_enforced(fixture: Fixture) -> Outcome {
    for (resource, role) in
        [(Resource::ConnectionsInbound, Role::Listener), (Resource::ConnectionsOutbound, Role::Dialer)]
    {
        let manager = fixture.manager();
        let scopes = ["system", "transient"];
        let least = least(&*manager, &scopes, &[resource, Resource::Connections]);
        let (taken, _) = fill(&*manager, role);
        exactly(taken.len(), least, &format!("{resource} at once"))?;
    }
    let manager = fixture.manager();
    let (taken, _) = take_many(|_| {
        let mut connection = open(&*manager, Role::Listener)?;
        connection.set_peer(&peer(1)).map(|()| connection)
    });
    let here = [Resource::ConnectionsInbound, Resource::Connections];
    exactly(taken.len(), least(&*manager, &["system", "peer"], &here), "connections of one peer")
}

/// As many as the limit that is the least, unless another resource was in the way of them.
fn exactly(taken: usize, least: Option<u64>, what: &str) -> Outcome {
    match least.and_then(|least| usize::try_from(least).ok()) {
        Some(least) if taken > least => broken(format!("{taken} {what}, and the limit is {least}")),
        None if taken < MANY => broken(format!("only {taken} {what}, without a limit")),
        _ => Ok(()),
    }
}

fn least(manager: &dyn ResourceManager, scopes: &[&str], resources: &[Resource]) -> Option<u64> {
    let limits = manager.limits().into_iter();
    let limits = limits.filter(|l| scopes.contains(&l.scope.as_str()) && resources.contains(&l.resource));
    limits.filter_map(|limit| limit.limit).min()
}

/// U1. A connection that is denied has taken nothing, in no scope.
pub async fn u1_a_denied_connection_takes_nothing(fixture: Fixture) -> Outcome {
    for role in [Role::Listener, Role::Dialer] {
        let manager = fixture.manager();
        let (taken, denial) = fill(&*manager, role);
        let before = in_use(&*manager);
        for _ in 0..if denial.is_some() { 3 } else { 0 } {
            ensure!(open(&*manager, role).is_err(), "{role}: denied, and then granted");
        }
        let after = in_use(&*manager);
        ensure!(before == after, "before a denial {before:?}, after it {after:?}");
        drop(taken);
        is_empty(&*manager)?;
    }
    Ok(())
}

/// U1. A connection that its peer has no room for stays where it was, and can be another peer's.
pub async fn u1_a_denied_move_leaves_everything_where_it_was(fixture: Fixture) -> Outcome {
    let manager = fixture.manager();
    let mut taken = Vec::new();
    while taken.len() < MANY {
        let Ok(mut connection) = open(&*manager, Role::Listener) else { break };
        let before = in_use(&*manager);
        if connection.set_peer(&peer(1)).is_ok() {
            taken.push(connection);
            continue;
        }
        let after = in_use(&*manager);
        ensure!(before == after, "before a denial {before:?}, after it {after:?}");
        connection.set_peer(&peer(2)).during("another peer, after a denial")?;
        break;
    }
    drop(taken);
    is_empty(&*manager)
}

/// U1. A stream that is denied, when it is opened or when its protocol is known, has taken nothing.
pub async fn u1_a_denied_stream_takes_nothing(fixture: Fixture) -> Outcome {
    let manager = fixture.manager();
    let (connection, mut streams, denial) = fill_streams(&*manager)?;
    let before = in_use(&*manager);
    if denial.is_some() {
        ensure!(connection.open_stream(Role::Listener).is_err(), "denied, and then granted");
    }
    let after = in_use(&*manager);
    ensure!(before == after, "before a denial {before:?}, after it {after:?}");
    for stream in &mut streams {
        let before = in_use(&*manager);
        if stream.set_protocol("/test/1").is_err() {
            let after = in_use(&*manager);
            ensure!(before == after, "before a denied protocol {before:?}, after it {after:?}");
            break;
        }
    }
    drop((streams, connection));
    is_empty(&*manager)
}

/// U1. A connection is moved to its peer in place: it works where the last slot of the system is its own.
pub async fn u1_a_move_needs_no_second_slot(fixture: Fixture) -> Outcome {
    let manager = fixture.manager();
    let (mut taken, _) = fill(&*manager, Role::Listener);
    for (n, connection) in taken.iter_mut().enumerate() {
        connection.set_peer(&peer(n as u64)).during("a connection of its own peer, in a full system")?;
    }
    let held = taken.len();
    let system = in_use(&*manager).get(&("system".into(), Resource::Connections)).copied();
    ensure!(
        system.is_none_or(|system| usize::try_from(system) == Ok(held)),
        "{system:?} connections in the system after {held} were moved"
    );
    Ok(())
}

/// U2. Whatever guard of a tree goes first, nothing is left behind the last; those that are left still work.
pub async fn u2_guards_are_dropped_in_any_order(fixture: Fixture) -> Outcome {
    for order in 0..24usize {
        let manager = fixture.manager();
        let mut connection = open(&*manager, Role::Dialer).during("the first connection")?;
        let of_connection = connection.reserve(10, Priority::Always).during("memory of a connection")?;
        connection.set_peer(&peer(1)).during("its peer")?;
        let mut stream = connection.open_stream(Role::Listener).during("the first stream")?;
        let of_stream = stream.reserve(20, Priority::Always).during("memory of a stream")?;
        stream.set_protocol("/test/1").during("its protocol")?;
        let sum = (of_connection.bytes(), of_stream.bytes());
        ensure!(sum == (10, 20), "guards of 10 and 20 bytes say {sum:?}");
        let mut guards: Vec<Box<dyn std::fmt::Debug>> =
            vec![Box::new(connection), Box::new(stream), Box::new(of_connection), Box::new(of_stream)];
        let (mut at, counts) = (order, !manager.limits().is_empty());
        while !guards.is_empty() {
            let first = at.checked_rem(guards.len()).unwrap_or(0);
            at = at.checked_div(guards.len()).unwrap_or(0);
            drop(guards.remove(first));
            let early = counts && !guards.is_empty() && in_use(&*manager).is_empty();
            ensure!(!early, "nothing is in use, and there is still {guards:?}");
        }
        is_empty(&*manager)?;
    }
    Ok(())
}

/// U2. A guard gives back exactly what it took, and at once: as many fit again, however often.
pub async fn u2_what_is_dropped_can_be_taken_again(fixture: Fixture) -> Outcome {
    let manager = fixture.manager();
    let (first, _) = fill(&*manager, Role::Listener);
    let count = first.len();
    drop(first);
    for turn in 0..20 {
        let (mut again, _) = fill(&*manager, Role::Listener);
        ensure!(again.len() == count, "{count} connections fit at first, and {} later", again.len());
        for connection in &mut again {
            // Whether a peer has room for all of them is not the question.
            connection.set_peer(&peer(turn)).ok();
        }
        // One place that is free is one place that can be taken.
        if count < MANY && again.pop().is_some() {
            let one = open(&*manager, Role::Listener).during("a place that was given back")?;
            drop(one);
        }
    }
    is_empty(&*manager)
}
