//! What links carry, and how dials end.

use super::{
    Fixture,
    connected::{Bound, Stream},
};
use crate::harness::{Broken, During, Outcome, broken, ensure};
use futures::{
    FutureExt,
    future::{try_join, try_join_all, try_join3},
};
use skep_api::{
    Multiaddr,
    security::Role,
    transport::{Incoming, Transport},
};
use std::{collections::BTreeSet, sync::Arc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// T3. A dial that is dropped at any point closes its socket: the listener finds the connection at its end.
pub async fn t3_a_dropped_dial_leaves_nothing_open(fixture: Fixture) -> Outcome {
    let mut bound = Bound::new(&fixture).await?;
    for polls in 0..8 {
        let mut dial = bound.transport.dial(&bound.addr);
        // The drop follows a poll at once, so that each step of the dial is cut short by one of them.
        for _ in 0..polls {
            tokio::task::yield_now().await;
            if (&mut dial).now_or_never().is_some() {
                break;
            }
        }
    }
    // Whatever the dropped ones left behind is accepted before this one.
    let honest = tokio::spawn(call(Arc::clone(&bound.transport), bound.addr.clone(), 1));
    loop {
        let incoming = bound.listener.accept().await.during("accept")?;
        let Ok(link) = incoming.accept().await else { continue };
        let Ok(mut stream) = Stream::open(link, Role::Listener).await else { continue };
        if matches!(stream.io.read(&mut [0]).await, Ok(1)) {
            return honest.await.during("the dial")?.map(drop);
        }
    }
}

/// Nothing, one byte and a mebibyte come back as they were sent, and then the end.
pub async fn bytes_arrive_as_they_were_sent(fixture: Fixture) -> Outcome {
    let mut bound = Bound::new(&fixture).await?;
    for size in [0, 1, 1 << 20] {
        let (dialed, mut accepted) = bound.streams().await?;
        let sent: Vec<u8> = (0_u8..=250).cycle().take(size).collect();
        let Stream { io, .. } = &mut accepted;
        let (mut read, mut write) = tokio::io::split(dialed.io);
        let mut echoed = vec![0; size];
        try_join3(
            async {
                write.write_all(&sent).await.during("write")?;
                write.flush().await.during("flush")
            },
            async {
                let mut left = size;
                let mut chunk = vec![0; 16 * 1024];
                while left > 0 {
                    let n = io.read(&mut chunk).await.during("the listener's read")?;
                    ensure!(n > 0, "the listener's end closed with {left} of {size} bytes missing");
                    io.write_all(chunk.get(..n).unwrap_or_default()).await.during("the listener's write")?;
                    left = left.saturating_sub(n);
                }
                io.flush().await.during("the listener's flush")
            },
            async { read.read_exact(&mut echoed).await.during("read").map(drop) },
        )
        .await?;
        ensure!(echoed == sent, "{size} bytes came back changed");
        drop((read, write));
        let rest = accepted.rest().await;
        ensure!(rest.is_empty(), "{} bytes arrived that nobody sent", rest.len());
    }
    Ok(())
}

/// Where the transport claims half-close, the end of one direction arrives and the other goes on.
pub async fn half_close_leaves_the_way_back_open(fixture: Fixture) -> Outcome {
    let mut bound = Bound::new(&fixture).await?;
    if !bound.transport.capabilities().half_close {
        return Ok(());
    }
    let (mut dialed, mut accepted) = bound.streams().await?;
    dialed.say(b"question").await?;
    dialed.io.shutdown().await.during("shutdown")?;
    let mut question = Vec::new();
    accepted.io.read_to_end(&mut question).await.during("read to the end of the question")?;
    ensure!(question == b"question", "the question arrived as {question:?}");
    let answer = vec![7; 300_000];
    let mut heard = Vec::new();
    try_join(
        async {
            accepted.io.write_all(&answer).await.during("write after the peer's end")?;
            accepted.io.shutdown().await.during("shutdown")
        },
        async { dialed.io.read_to_end(&mut heard).await.during("read after the own end").map(drop) },
    )
    .await?;
    ensure!(heard == answer, "{} of {} bytes arrived after the half-close", heard.len(), answer.len());
    Ok(())
}

/// A hundred dials at once all arrive, each with its own bytes.
pub async fn a_hundred_parallel_dials_arrive(fixture: Fixture) -> Outcome {
    const DIALS: u8 = 100;
    let mut bound = Bound::new(&fixture).await?;
    let dials = (0..DIALS).map(|id| {
        let call = tokio::spawn(call(Arc::clone(&bound.transport), bound.addr.clone(), id));
        async move { call.await.during("the task of a dial")? }
    });
    let dials = try_join_all(dials.collect::<Vec<_>>());
    let accepts = async {
        let mut answers = Vec::new();
        for _ in 0..DIALS {
            let incoming = bound.listener.accept().await.during("accept")?;
            // In tasks, so that a link which needs both ends to be made holds up no other.
            answers.push(tokio::spawn(answer(incoming)));
        }
        let mut seen = BTreeSet::new();
        for answer in answers {
            seen.insert(answer.await.during("the task of an accept")??);
        }
        Ok::<_, Broken>(seen)
    };
    let (_links, seen) = try_join(dials, accepts).await?;
    match (0..DIALS).find(|id| !seen.contains(id)) {
        Some(id) => broken(format!("{} of {DIALS} arrived; dial {id} did not", seen.len())),
        None => Ok(()),
    }
}

/// Dials and says one byte; the stream stays open while the result is held.
pub(super) async fn call(transport: Arc<dyn Transport>, addr: Multiaddr, id: u8) -> Result<Stream, Broken> {
    let link = transport.dial(&addr).await.during("dial")?;
    let mut stream = Stream::open(link, Role::Dialer).await?;
    stream.say(&[id]).await?;
    Ok(stream)
}

/// Accepts and hears one byte.
pub(super) async fn answer(incoming: Box<dyn Incoming>) -> Result<u8, Broken> {
    let link = incoming.accept().await.during("take the connection")?;
    let mut stream = Stream::open(link, Role::Listener).await?;
    stream.io.read_u8().await.during("read the first byte")
}
