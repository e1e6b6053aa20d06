//! The channel that a handshake gives.

use super::{
    Fixture,
    shaken::{Channel, Node, say},
};
use crate::{
    duplex::{DuplexConfig, duplex},
    harness::{Broken, During, Outcome, ensure},
};
use futures::future::{try_join, try_join4};
use skep_api::{BoxIo, security::Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

/// S4. Text that was written is not found on the wire, in either direction.
pub async fn s4_no_plaintext_is_on_the_wire(fixture: Fixture) -> Outcome {
    let text = b"neither the dialler's words nor the listener's are for others";
    let mut channel = Channel::new(&fixture, DuplexConfig::default()).await?;
    for io in [&mut channel.dialer, &mut channel.listener] {
        say(io, text).await?;
    }
    for io in [&mut channel.dialer, &mut channel.listener] {
        io.read_exact(&mut vec![0; text.len()]).await.during("read")?;
    }
    for role in [Role::Dialer, Role::Listener] {
        let sent = channel.wire.sent_by(role);
        let leak = text.windows(8).find(|part| sent.windows(8).any(|seen| seen == *part));
        ensure!(leak.is_none(), "the {role} end wrote plaintext to the wire");
    }
    Ok(())
}

/// S6. After the dialler flushed once, with nothing written, the listener's handshake ends.
pub async fn s6_the_first_flush_ends_the_handshake(fixture: Fixture) -> Outcome {
    let (dialer, listener) = (Node::new(&fixture), Node::new(&fixture));
    let (a, b) = duplex(DuplexConfig::default());
    let dialer = async {
        let secured =
            dialer.upgrader.secure(a, dialer.cx(Role::Dialer)).await.during("the dialler's handshake")?;
        let (mut io, ..) = secured.into_parts();
        io.flush().await.during("the first flush")?;
        Ok::<_, Broken>(io)
    };
    let listener = async { listener.secure(b, Role::Listener).await.during("the listener's handshake") };
    try_join(dialer, listener).await.map(drop)
}

/// S7. After one end finished, the other reads the end of file and can still write.
pub async fn s7_the_end_of_one_direction_arrives_as_such(fixture: Fixture) -> Outcome {
    for first in [Role::Dialer, Role::Listener] {
        let channel = Channel::new(&fixture, DuplexConfig::default()).await?;
        let (mut one, mut two) = match first {
            Role::Dialer => (channel.dialer, channel.listener),
            Role::Listener => (channel.listener, channel.dialer),
        };
        say(&mut one, b"last words").await?;
        one.shutdown().await.during("shutdown")?;
        let mut heard = Vec::new();
        two.read_to_end(&mut heard).await.during("read to the peer's end")?;
        ensure!(heard == b"last words", "{heard:?} arrived before the end");
        let answer = vec![9; 100_000];
        let mut heard = Vec::new();
        let write = async {
            two.write_all(&answer).await.during("write after the peer's end")?;
            two.shutdown().await.during("shutdown")
        };
        let read = async { one.read_to_end(&mut heard).await.during("read after the own end").map(drop) };
        try_join(write, read).await?;
        ensure!(heard == answer, "{} of {} bytes arrived after the peer's end", heard.len(), answer.len());
    }
    Ok(())
}

/// A mebibyte goes both ways at once and arrives unchanged.
pub async fn a_mebibyte_goes_both_ways(fixture: Fixture) -> Outcome {
    both_ways(&fixture, DuplexConfig::default(), 1 << 20).await
}

/// Reads and writes that take a byte or a few at a time change nothing.
pub async fn short_reads_and_writes_change_nothing(fixture: Fixture) -> Outcome {
    both_ways(&fixture, DuplexConfig::short(1, usize::MAX), 20_000).await?;
    both_ways(&fixture, DuplexConfig::short(usize::MAX, 1), 20_000).await?;
    both_ways(&fixture, DuplexConfig::short(777, 1_000).with_capacity(1_500), 200_000).await
}

async fn both_ways(fixture: &Fixture, config: DuplexConfig, size: usize) -> Outcome {
    let channel = Channel::new(fixture, config).await?;
    let text: Vec<u8> = (0..=250_u8).cycle().take(size).collect();
    let (dialer_reads, dialer_writes) = tokio::io::split(channel.dialer);
    let (listener_reads, listener_writes) = tokio::io::split(channel.listener);
    try_join4(
        send(dialer_writes, &text),
        send(listener_writes, &text),
        receive(dialer_reads, &text, config),
        receive(listener_reads, &text, config),
    )
    .await
    .map(drop)
}

async fn send(mut io: WriteHalf<BoxIo>, text: &[u8]) -> Outcome {
    io.write_all(text).await.during("write")?;
    io.flush().await.during("flush")
}

async fn receive(mut io: ReadHalf<BoxIo>, text: &[u8], config: DuplexConfig) -> Outcome {
    let mut heard = vec![0; text.len()];
    io.read_exact(&mut heard).await.during(&format!("read over {config:?}"))?;
    ensure!(heard == text, "{} bytes were changed on their way over {config:?}", text.len());
    Ok(())
}
