//! Peers that are not of the network, and openings that were cut or changed.

use super::{
    Fixture,
    meeting::{GIVE_UP, HEADER, Heard, Pair, ROLES, meet, meet_on},
};
use crate::{
    duplex::{DuplexConfig, duplex},
    harness::{Broken, During, Outcome, ensure},
};
use futures::future::{Either, select};
use skep_api::{BoxIo, security::Role};
use std::pin::pin;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

/// Most of what a stranger says that is listened to.
const MOST_HEARD: usize = 1 << 16;

/// P1. A member of another network gets an error, in both roles, and nothing that it says is passed on.
pub async fn p1_another_network_is_refused(fixture: Fixture) -> Outcome {
    let pair = Pair::of(&*fixture.theirs(), DuplexConfig::default()).await?;
    for role in ROLES {
        let said = pair.wire.sent_by(other(role));
        refused(&fixture, role, &said, "a member of another network").await?;
    }
    Ok(())
}

/// P1. Junk of several kinds gets an error, in both roles, though the link stays open.
pub async fn p1_junk_is_refused(fixture: Fixture) -> Outcome {
    let random =
        std::iter::successors(Some(1_u32), |x| Some(x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)));
    let random = random.map(|x| x.to_be_bytes()[0]).take(4_096).collect();
    for (name, junk) in [("zeros", vec![0; 4_096]), ("ones", vec![0xff; 4_096]), ("noise", random)] {
        for role in ROLES {
            refused(&fixture, role, &junk, name).await?;
        }
    }
    Ok(())
}

/// P1. A peer that speaks in clear, as one of no private network does, gets an error, in both roles, and before it
/// goes on.
pub async fn p1_a_peer_in_clear_is_refused(fixture: Fixture) -> Outcome {
    let said = [HEADER, b"\x07/noise\n"].concat();
    for role in ROLES {
        refused(&fixture, role, &said, "a peer in clear").await?;
    }
    Ok(())
}

/// P1. A peer that sends back what it gets, and so needs no key, gets an error when it is dialled.
pub async fn p1_a_mirror_is_refused(fixture: Fixture) -> Outcome {
    let (io, mirror) = duplex(DuplexConfig::default());
    let (mut hears, mut says) = tokio::io::split(mirror);
    let node = fixture.ours();
    let mirror = async {
        drop(tokio::io::copy(&mut hears, &mut says).await);
        std::future::pending().await
    };
    let met = meet(&*node, io, Role::Dialer, MOST_HEARD);
    let (heard, _link) = match select(pin!(met), pin!(mirror)).await {
        Either::Left((met, _)) => met,
        Either::Right((never, _)) => never,
    };
    wrong(&heard, "a mirror", Role::Dialer)
}

/// P1. As long as a peer has not shown that it is a member, nothing that it sends is passed on; and if its stream ends
/// before, that is an error.
pub async fn p1_nothing_passes_before_the_peer_is_known(fixture: Fixture) -> Outcome {
    for role in ROLES {
        for offset in 0..opening(&fixture, role).await? {
            let heard = disturbed(&fixture, role, |wire| wire.cut(role, offset)).await;
            ensure!(
                heard.bytes.is_empty() && heard.end.is_error(),
                "after {offset} bytes of the {role} end's opening {} bytes came out, and then {}",
                heard.bytes.len(),
                heard.end
            );
        }
    }
    Ok(())
}

/// P1. An opening with one bit changed is an error, and nothing of it is passed on.
pub async fn p1_a_changed_opening_is_refused(fixture: Fixture) -> Outcome {
    for role in ROLES {
        for offset in 0..opening(&fixture, role).await? {
            let bit = 1 << (offset % 8);
            let heard = disturbed(&fixture, role, |wire| wire.flip(role, offset, bit)).await;
            ensure!(
                heard.bytes.is_empty() && heard.end.is_error(),
                "byte {offset} of the {role} end's opening was changed; {} bytes came out, and then {}",
                heard.bytes.len(),
                heard.end
            );
        }
    }
    Ok(())
}

/// A node of the network meets a peer in this role, which says something and then waits.
async fn refused(fixture: &Fixture, role: Role, said: &[u8], stranger: &str) -> Outcome {
    let (io, mut peer): (BoxIo, BoxIo) = duplex(DuplexConfig::default());
    peer.write_all(said).await.during("write as a stranger")?;
    let (heard, link) = meet(&*fixture.ours(), io, role, MOST_HEARD).await;
    drop(link);
    // What was sent to the stranger is of no interest here, only that the link is let go of.
    let gone = timeout(GIVE_UP, peer.read_to_end(&mut Vec::new())).await;
    ensure!(gone.is_ok(), "the link of {stranger} is still open after it was refused, {role}");
    wrong(&heard, stranger, role)
}

fn wrong(heard: &Heard, stranger: &str, role: Role) -> Outcome {
    let fine = heard.bytes.is_empty() && heard.end.is_wrong_network();
    ensure!(fine, "{} bytes of {stranger} came out, and then {}, {role}", heard.bytes.len(), heard.end);
    Ok(())
}

/// What is heard of the end with this role when somebody has a hand on the wire.
async fn disturbed(fixture: &Fixture, role: Role, hand: impl FnOnce(&crate::duplex::Wire)) -> Heard {
    let (dialer, listener) = meet_on(&*fixture.ours(), hand).await;
    match role {
        Role::Dialer => listener,
        Role::Listener => dialer,
    }
}

/// How many bytes this end has sent when it has said the header.
async fn opening(fixture: &Fixture, role: Role) -> Result<usize, Broken> {
    let pair = Pair::new(fixture, DuplexConfig::default()).await?;
    Ok(pair.wire.sent_by(role).len())
}

fn other(role: Role) -> Role {
    match role {
        Role::Dialer => Role::Listener,
        Role::Listener => Role::Dialer,
    }
}
