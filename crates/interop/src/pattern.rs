//! The test pattern: byte `i` of a stream is `i % 251`.

use crate::Failure;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const PERIOD: usize = 251;
const BLOCK: usize = PERIOD * 256;

/// Writes the first `total` bytes of the pattern.
pub(crate) async fn write<W: AsyncWrite + Unpin>(w: &mut W, total: u64) -> Result<(), Failure> {
    let block: Vec<u8> = (0..BLOCK).map(|i| (i % PERIOD) as u8).collect();
    let mut left = total;
    while left > 0 {
        let n = left.min(BLOCK as u64);
        w.write_all(block.get(..n as usize).unwrap_or_default()).await?;
        left = left.saturating_sub(n);
    }
    Ok(w.flush().await?)
}

/// Reads to the end of the stream and checks each byte and the length.
pub(crate) async fn read<R: AsyncRead + Unpin>(r: &mut R, expect: u64) -> Result<(), Failure> {
    let mut buf = vec![0; 64 * 1024];
    let mut got = 0_u64;
    loop {
        let n = r.read(&mut buf).await?;
        if n == 0 {
            break;
        }
        for (i, byte) in buf.iter().take(n).enumerate() {
            let at = got.saturating_add(i as u64);
            if u64::from(*byte) != at % PERIOD as u64 {
                return Err(Failure::Wrong(format!("wrong byte at offset {at}")));
            }
        }
        got = got.saturating_add(n as u64);
    }
    if got == expect {
        Ok(())
    } else {
        Err(Failure::Wrong(format!("stream ended after {got} of {expect} bytes")))
    }
}
