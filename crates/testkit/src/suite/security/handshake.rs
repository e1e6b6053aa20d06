//! Handshakes that an attacker or a bad line gets at.

use super::{
    Fixture,
    shaken::{Node, say, shake},
};
use crate::{
    duplex::{DuplexConfig, duplex, wiretap},
    harness::{Broken, During, Outcome, broken, ensure},
};
use skep_api::{BoxIo, security::Role};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

/// Most offsets tried in each direction.
const OFFSETS: usize = 96;

/// When an end that waits for more bytes counts as one that its caller gave up. On paused time it costs nothing.
const GIVE_UP: Duration = Duration::from_secs(5);

/// Most bytes of a handshake that an upgrade may read before it fails.
const MOST_READ: usize = 1 << 20;

const ROLES: [Role; 2] = [Role::Dialer, Role::Listener];

/// S3. A handshake that ends early is an error at the end that waited for more, and never a success of both.
pub async fn s3_a_truncated_handshake_fails(fixture: Fixture) -> Outcome {
    for role in ROLES {
        for offset in offsets(handshake_bytes(&fixture, role).await?) {
            let (a, b, wire) = wiretap(DuplexConfig::default());
            wire.cut(role, offset);
            let shaken = shake(&Node::new(&fixture), &Node::new(&fixture), (a, b)).await;
            let reader = match role {
                Role::Dialer => shaken.listener,
                Role::Listener => shaken.dialer,
            };
            // Signatures that differ in length make the handshake of this run shorter than the one that was measured.
            let was_cut = wire.sent_by(role).len() > offset;
            ensure!(
                reader.is_err() || !was_cut,
                "success after {offset} bytes of the {role} end's handshake"
            );
        }
    }
    Ok(())
}

/// S3. A handshake with one bit changed does not end in a channel that works.
pub async fn s3_a_changed_handshake_fails(fixture: Fixture) -> Outcome {
    for role in ROLES {
        for offset in offsets(handshake_bytes(&fixture, role).await?) {
            let (a, b, wire) = wiretap(DuplexConfig::default());
            let bit = 1 << (offset % 8);
            wire.flip(role, offset, bit);
            // A changed length may leave both ends waiting: the caller's deadline ends that.
            let works = timeout(GIVE_UP, works(&fixture, (a, b))).await.unwrap_or(Ok(false))?;
            ensure!(
                !works,
                "byte {offset} of the {role} end's handshake was changed by {bit:#04x} unnoticed"
            );
        }
    }
    Ok(())
}

/// Whether a handshake leads to a channel that carries a message each way.
async fn works(fixture: &Fixture, ends: (BoxIo, BoxIo)) -> Result<bool, Broken> {
    const TEXT: &[u8] = b"a message to the other side";
    let shaken = shake(&Node::new(fixture), &Node::new(fixture), ends).await;
    let (Ok(dialer), Ok(listener)) = (shaken.dialer, shaken.listener) else { return Ok(false) };
    let ((mut dialer, ..), (mut listener, ..)) = (dialer.into_parts(), listener.into_parts());
    if say(&mut dialer, TEXT).await.is_err() || say(&mut listener, TEXT).await.is_err() {
        return Ok(false);
    }
    for io in [&mut dialer, &mut listener] {
        let mut heard = vec![0; TEXT.len()];
        if io.read_exact(&mut heard).await.is_err() {
            return Ok(false);
        }
        ensure!(heard == TEXT, "after a changed handshake, changed data was delivered");
    }
    Ok(true)
}

/// S5. Junk of several kinds, and then the end, is an error in both roles.
pub async fn s5_junk_ends_the_handshake(fixture: Fixture) -> Outcome {
    let random =
        std::iter::successors(Some(1_u32), |x| Some(x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)));
    let random = random.map(|x| x.to_be_bytes()[0]).take(65_536).collect();
    for (name, junk) in [("zeros", vec![0; 65_536]), ("ones", vec![0xff; 65_536]), ("noise", random)] {
        for role in ROLES {
            let (io, mut stranger) = duplex(DuplexConfig::default().with_capacity(1 << 17));
            stranger.write_all(&junk).await.during("write junk")?;
            stranger.shutdown().await.during("shutdown")?;
            let secured = Node::new(&fixture).secure(io, role).await;
            ensure!(secured.is_err(), "64 KiB of {name} passed for a handshake, {role}");
        }
    }
    Ok(())
}

/// S5. A peer that never ends its handshake is given up, or read no further, within a mebibyte.
pub async fn s5_a_handshake_that_never_ends_is_given_up(fixture: Fixture) -> Outcome {
    for byte in [0, 1, 0x7f, 0xff] {
        for role in ROLES {
            let (io, mut stranger) = duplex(DuplexConfig::default());
            let chunk = [byte; 4096];
            let mut fed = 0_usize;
            let feed = async {
                while fed <= MOST_READ {
                    if stranger.write_all(&chunk).await.is_err() {
                        // The upgrade has let go of the stream: only its result is still of interest.
                        std::future::pending::<()>().await;
                    }
                    fed = fed.saturating_add(chunk.len());
                }
            };
            let node = Node::new(&fixture);
            let race = async {
                tokio::select! {
                    biased;
                    secured = node.secure(io, role) => secured.is_err(),
                    () = feed => false,
                }
            };
            // Waiting without reading is bounded too.
            let fine = timeout(GIVE_UP, race).await.unwrap_or(true);
            ensure!(fine, "{fed} bytes of {byte:#04x} were read as a handshake, {role}");
        }
    }
    Ok(())
}

/// S8. Dropping the handshake closes the stream.
pub async fn s8_dropping_the_handshake_closes_the_stream(fixture: Fixture) -> Outcome {
    for role in ROLES {
        let (io, mut peer) = duplex(DuplexConfig::default());
        let node = Node::new(&fixture);
        let handshake = timeout(Duration::from_secs(1), node.secure(io, role)).await;
        ensure!(handshake.is_err(), "a handshake ended without a peer, {role}");
        let mut sent = Vec::new();
        let end = timeout(GIVE_UP, peer.read_to_end(&mut sent)).await;
        if end.is_err() {
            return broken(format!("the stream is still open after the handshake was dropped, {role}"));
        }
    }
    Ok(())
}

/// How many bytes this end sends in a handshake that nobody disturbs.
async fn handshake_bytes(fixture: &Fixture, role: Role) -> Result<usize, Broken> {
    let (a, b, wire) = wiretap(DuplexConfig::default());
    let shaken = shake(&Node::new(fixture), &Node::new(fixture), (a, b)).await;
    shaken.dialer.during("the dialler's handshake")?;
    shaken.listener.during("the listener's handshake")?;
    Ok(wire.sent_by(role).len())
}

/// Offsets spread over so many bytes, the first and the last among them.
fn offsets(bytes: usize) -> impl Iterator<Item = usize> {
    let step = bytes.div_ceil(OFFSETS).max(1);
    (0..bytes).step_by(step).chain(bytes.checked_sub(1))
}
