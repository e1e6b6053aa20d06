//! Records that an attacker or a bad line gets at, after the handshake.

use super::{
    Fixture,
    shaken::{Channel, drain, say},
};
use crate::{
    duplex::DuplexConfig,
    harness::{During, Outcome, ensure},
};
use skep_api::security::Role;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const TEXT: [u8; 200] = [0x5a; 200];
const ROLES: [Role; 2] = [Role::Dialer, Role::Listener];

/// S3. An end of file within a record is an error, and what was in the record is not delivered.
pub async fn s3_a_truncated_record_is_an_error(fixture: Fixture) -> Outcome {
    for role in ROLES {
        // How many bytes follow the text's first is not known before it is sent.
        let mut within = 1;
        loop {
            let (mut writer, mut reader, wire, start) = directed(&fixture, role).await?;
            wire.cut(role, start.saturating_add(within));
            say(&mut writer, &TEXT).await?;
            let record = wire.sent_by(role).len().saturating_sub(start);
            ensure!(record >= TEXT.len(), "{} bytes were sent as {record} on the wire", TEXT.len());
            if within >= record {
                break;
            }
            let (heard, end) = drain(&mut reader).await;
            ensure!(end.is_err(), "{within} of {record} bytes of a record ended as a plain end of file");
            ensure!(heard.is_empty(), "{} bytes of a record that was cut were delivered", heard.len());
            within = within.saturating_add(3);
        }
    }
    Ok(())
}

/// S3. A record with one bit changed is an error, and nothing of it is delivered.
pub async fn s3_a_changed_record_is_an_error(fixture: Fixture) -> Outcome {
    for role in ROLES {
        let mut within = 0;
        loop {
            let (mut writer, mut reader, wire, start) = directed(&fixture, role).await?;
            wire.flip(role, start.saturating_add(within), 1 << (within % 8));
            say(&mut writer, &TEXT).await?;
            let record = wire.sent_by(role).len().saturating_sub(start);
            if within >= record {
                break;
            }
            // A length that was changed lets the reader wait for bytes that only the end will not bring.
            wire.cut(role, start.saturating_add(record));
            let (heard, end) = drain(&mut reader).await;
            ensure!(
                heard.is_empty(),
                "byte {within} of a record was changed, and {} bytes came out",
                heard.len()
            );
            ensure!(
                end.is_err(),
                "byte {within} of a record was changed, and the end was a plain end of file"
            );
            within = within.saturating_add(1);
        }
    }
    Ok(())
}

/// S3. A record that comes a second time is an error.
pub async fn s3_a_replayed_record_is_an_error(fixture: Fixture) -> Outcome {
    for role in ROLES {
        let (mut writer, mut reader, wire, start) = directed(&fixture, role).await?;
        say(&mut writer, &TEXT).await?;
        let sent = wire.sent_by(role);
        let record = sent.get(start..).unwrap_or_default();
        reader.read_exact(&mut [0; TEXT.len()]).await.during("read the record")?;
        wire.inject(role, record);
        wire.cut(role, sent.len());
        let (heard, end) = drain(&mut reader).await;
        ensure!(heard.is_empty(), "a replayed record was delivered, {} bytes", heard.len());
        ensure!(end.is_err(), "a replayed record ended as a plain end of file");
    }
    Ok(())
}

type Directed = (skep_api::BoxIo, skep_api::BoxIo, crate::duplex::Wire, usize);

/// A channel as writer, reader and wire, and how many bytes the writer has sent up to now.
async fn directed(fixture: &Fixture, writer: Role) -> Result<Directed, crate::harness::Broken> {
    let Channel { mut dialer, mut listener, wire } = Channel::new(fixture, DuplexConfig::default()).await?;
    // What a protocol sends on its own after the handshake, such as tickets, is out of the way then.
    for _ in 0..2 {
        say(&mut dialer, b"x").await?;
        listener.read_exact(&mut [0]).await.during("read")?;
        say(&mut listener, b"y").await?;
        dialer.read_exact(&mut [0]).await.during("read")?;
    }
    dialer.flush().await.during("flush")?;
    let start = wire.sent_by(writer).len();
    Ok(match writer {
        Role::Dialer => (dialer, listener, wire, start),
        Role::Listener => (listener, dialer, wire, start),
    })
}
