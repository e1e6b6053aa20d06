//! What a peer can make the other end do.

use super::{
    Fixture,
    pair::{End, Pair, STUCK, fill, hear, say},
};
use crate::{
    duplex::{DuplexConfig, duplex},
    harness::{During, Outcome, broken, ensure},
};
use futures::future::try_join;
use skep_api::{CloseReason, Code, security::Role};
use tokio::{io::AsyncWriteExt, time::timeout};

/// Streams of a flood.
const FLOOD: usize = 10_000;

/// Most bytes that are taken for one stream that nobody reads.
const MOST_UNREAD: usize = 32 << 20;

/// Bytes of junk: more than a frame with a length of 16 bits, so that what follows it is looked at as well.
const JUNK: usize = 1 << 17;

/// M2. Bytes that are no frames end the connection as broken by the peer, without a panic and without a hang.
pub async fn m2_junk_ends_the_connection(fixture: Fixture) -> Outcome {
    let noise =
        std::iter::successors(Some(9_u32), |x| Some(x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)));
    let noise: Vec<u8> = noise.map(|x| x.to_be_bytes()[0]).take(JUNK).collect();
    for (name, junk) in [("ones", vec![0xff; JUNK]), ("noise", noise), ("half a frame", vec![0; 5])] {
        for role in [Role::Dialer, Role::Listener] {
            let (io, mut peer) = duplex(DuplexConfig::default().with_capacity(2 * JUNK));
            let mut end = End::new(&fixture, io, role);
            peer.write_all(&junk).await.during("write junk")?;
            peer.shutdown().await.during("shutdown")?;
            match end.reason().await? {
                CloseReason::Violation { .. } | CloseReason::Lost { .. } => {}
                other => return broken(format!("after {name} the connection ended with: {other}")),
            }
            let accepted = timeout(STUCK, end.conn.accept()).await.during("`accept` after junk waits")?;
            ensure!(accepted.is_err(), "a stream was accepted from {name}");
        }
    }
    Ok(())
}

/// M3. Data that nobody reads is not taken without end.
pub async fn m3_unread_data_is_bounded(fixture: Fixture) -> Outcome {
    let pair = Pair::new(&fixture);
    let (mut ours, _theirs) = pair.stream().await?;
    let taken = fill(&mut ours, MOST_UNREAD.saturating_add(1)).await;
    ensure!(taken <= MOST_UNREAD, "{taken} bytes were taken for a stream that nobody reads");
    Ok(())
}

/// C3. Of ten thousand streams that nobody accepts most are reset or held back, whether the peer keeps them
/// open or drops each at once.
pub async fn c3_streams_that_nobody_accepts_are_bounded(fixture: Fixture) -> Outcome {
    for keeps in [true, false] {
        let pair = Pair::new(&fixture);
        let mut kept = Vec::new();
        for _ in 0..FLOOD {
            let open = async {
                let mut stream = pair.dialer.open().await?;
                say(&mut stream, b"x").await.map(|()| stream)
            };
            match timeout(STUCK, open).await {
                Ok(Ok(stream)) if keeps => kept.push(stream),
                Ok(_) => {}
                // Held back.
                Err(_) => break,
            }
        }
        let count = pair.listener.conn.num_streams();
        ensure!(count < FLOOD / 2, "{count} streams are open that nobody accepted");
        let mut waiting = 0_usize;
        while let Ok(Ok(_)) = timeout(STUCK, pair.listener.conn.accept()).await {
            waiting = waiting.saturating_add(1);
            ensure!(waiting < FLOOD / 2, "{waiting} streams were kept that nobody accepted");
        }
        drop(kept);
        let closed = timeout(STUCK, pair.listener.conn.close(Code::NONE)).await;
        ensure!(closed.is_ok(), "`close` does not return after a flood of streams");
    }
    Ok(())
}

/// R5. While one stream is full because nobody reads it, another goes on, in both directions.
pub async fn r5_a_slow_reader_holds_up_no_other_stream(fixture: Fixture) -> Outcome {
    let pair = Pair::new(&fixture);
    let (mut full, _unread) = pair.stream().await?;
    let (mut ours, mut theirs) = pair.stream().await?;
    fill(&mut full, MOST_UNREAD).await;
    for _ in 0..20 {
        let exchange = try_join(
            async {
                say(&mut ours, &[1; 50_000]).await?;
                hear(&mut ours, &[2; 50_000]).await
            },
            async {
                hear(&mut theirs, &[1; 50_000]).await?;
                say(&mut theirs, &[2; 50_000]).await
            },
        );
        match timeout(STUCK, exchange).await {
            Ok(result) => drop(result?),
            Err(_) => return broken("a stream waits for the reader of another"),
        }
    }
    Ok(())
}
