//! How connections come in, and how they are turned away.

use super::{
    Fixture,
    connected::{Bound, heard_by},
    streams::{answer, call},
};
use crate::harness::{Broken, During, MOST_POLLS, Outcome, breathe, broken, ensure};
use skep_api::transport::{Incoming, Link, TransportError, TransportErrorKind};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::task::JoinHandle;

/// L1. An `accept` that is dropped after any poll loses no connection.
pub async fn l1_accept_is_cancel_safe(fixture: Fixture) -> Outcome {
    const DIALS: u8 = 20;
    let mut bound = Bound::new(&fixture).await?;
    let mut seen = BTreeSet::new();
    let mut calls = Vec::new();
    for id in 0..DIALS {
        calls.push(tokio::spawn(call(Arc::clone(&bound.transport), bound.addr.clone(), id)));
        let incoming = accept_by_single_polls(&mut bound).await?;
        seen.insert(answer(incoming).await?);
    }
    ensure!(seen.len() == usize::from(DIALS), "{} of {DIALS} connections were accepted", seen.len());
    Ok(())
}

/// Accepts with futures that are polled once each.
async fn accept_by_single_polls(bound: &mut Bound) -> Result<Box<dyn Incoming>, Broken> {
    for turn in 0..MOST_POLLS {
        tokio::select! {
            biased;
            incoming = bound.listener.accept() => return incoming.during("accept"),
            () = breathe(turn) => {}
        }
    }
    broken("nothing was accepted")
}

/// L2. Connections that died while they waited to be accepted are no error of `accept`.
pub async fn l2_a_dead_connection_does_not_end_the_listener(fixture: Fixture) -> Outcome {
    let mut bound = Bound::new(&fixture).await?;
    for _ in 0..10 {
        let dial = bound.dial();
        // A dial that needs the listener's help is dropped unfinished; both leave a dead connection.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        dial.abort();
        drop(dial.await);
    }
    let honest = tokio::spawn(call(Arc::clone(&bound.transport), bound.addr.clone(), 1));
    loop {
        let incoming = bound.listener.accept().await.during("`accept` after dead connections")?;
        if answer(incoming).await.is_ok() {
            return honest.await.during("the task of the dial")?.map(drop);
        }
    }
}

/// L3. After the listener is dropped its address can be bound again.
pub async fn l3_dropping_the_listener_frees_the_address(fixture: Fixture) -> Outcome {
    let Bound { transport, listener, addr } = Bound::new(&fixture).await?;
    drop(listener);
    loop {
        // The end may take a moment of another task; one that never comes meets the time limit.
        match transport.listen(&addr).await {
            Ok(_) => return Ok(()),
            Err(e) if e.kind() == TransportErrorKind::AddressInUse => {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Err(e) => return broken(format!("{addr} cannot be bound again: {e}")),
        }
    }
}

/// N1. A connection that is refused got no byte, and one that is accepted late has all that was sent before.
pub async fn n1_nothing_is_sent_or_read_before_accept(fixture: Fixture) -> Outcome {
    let mut bound = Bound::new(&fixture).await?;
    let (dial, incoming) = bound.knock().await?;
    incoming.refuse();
    // What `Incoming` sent came before a second connection was made and used, so it is there without waiting.
    let (_first, _second) = bound.streams().await?;
    let heard = bytes_at_hand(dial).await?;
    ensure!(heard.is_empty(), "{} bytes were sent on a connection that was refused", heard.len());

    let dial = tokio::spawn(call(Arc::clone(&bound.transport), bound.addr.clone(), 42));
    let incoming = bound.listener.accept().await.during("accept")?;
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    let byte = answer(incoming).await?;
    ensure!(byte == 42, "what was sent before `accept` arrived as {byte}");
    dial.await.during("the task of the dial")?.map(drop)
}

/// What can be read now, without waiting for an end that may not come.
async fn bytes_at_hand(dial: JoinHandle<Result<Link, TransportError>>) -> Result<Vec<u8>, Broken> {
    let mut heard = Box::pin(heard_by(dial));
    for _ in 0..20 {
        tokio::select! {
            biased;
            heard = &mut heard => return heard,
            () = tokio::task::yield_now() => {}
        }
    }
    // A link that is open and silent is the next property's matter.
    Ok(Vec::new())
}

/// N2. Refusing a connection ends it: the dialler's link fails.
pub async fn n2_refusing_ends_the_connection(fixture: Fixture) -> Outcome {
    let mut bound = Bound::new(&fixture).await?;
    let (dial, incoming) = bound.knock().await?;
    incoming.refuse();
    heard_by(dial).await.map(drop)
}

/// N2. Dropping a connection without an answer ends it, and so does dropping its link.
pub async fn n2_dropping_ends_the_connection(fixture: Fixture) -> Outcome {
    let mut bound = Bound::new(&fixture).await?;
    let (dial, incoming) = bound.knock().await?;
    drop(incoming);
    heard_by(dial).await?;
    let (mut dialed, accepted) = bound.streams().await?;
    drop(accepted);
    let rest = dialed.rest().await;
    ensure!(rest.is_empty(), "{} bytes came from a link that was dropped unused", rest.len());
    Ok(())
}
