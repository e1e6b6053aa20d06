//! What others can see: on the wire, and in what is printed.

use super::{
    Fixture,
    meeting::{End, HEADER, Pair, ROLES, meet, say},
};
use crate::{
    duplex::{DuplexConfig, duplex},
    harness::{Broken, During, Outcome, ensure},
};
use skep_api::security::Role;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const TEXT: &[u8] = b"neither the dialler's words nor the listener's are for others";

/// So many bytes in a row are no accident.
const RUN: usize = 8;

/// P2. Neither the header nor what follows is found on the wire, in either direction.
pub async fn p2_nothing_of_the_inside_is_on_the_wire(fixture: Fixture) -> Outcome {
    for (role, sent) in talk(&fixture).await? {
        for inside in [HEADER, TEXT] {
            ensure!(!have_a_run(&sent, inside), "the {role} end wrote the inside to the wire");
        }
    }
    Ok(())
}

/// P2. The same words look different on every link, and in each direction: who listens learns nothing from two of
/// them either.
pub async fn p2_the_same_words_never_look_the_same(fixture: Fixture) -> Outcome {
    let mut seen: Vec<(Role, Vec<u8>)> = Vec::new();
    for _ in 0..3 {
        for (role, sent) in talk(&fixture).await? {
            let before = seen.iter().find(|(_, before)| have_a_run(&sent, before));
            if let Some((earlier, _)) = before {
                return Err(Broken(format!("the {role} end sent what the {earlier} end had sent before")));
            }
            seen.push((role, sent));
        }
    }
    Ok(())
}

/// P3. The key is in no `Debug` text, no fingerprint and no error.
pub async fn p3_no_key_is_shown(fixture: Fixture) -> Outcome {
    let node = fixture.ours();
    let mut shown = vec![format!("{node:?}"), format!("{node:#?}"), node.fingerprints().join(" ")];
    for role in ROLES {
        for end_at in [0, 10, 64] {
            let (io, mut peer) = duplex(DuplexConfig::default());
            peer.write_all(&vec![0x5a; end_at]).await.during("write junk")?;
            peer.shutdown().await.during("shutdown")?;
            let (heard, _link) = meet(&*node, io, role, 1).await;
            ensure!(!matches!(heard.end, End::Waits), "junk and the end are waited for, {role}");
            shown.push(heard.end.text());
        }
    }
    for text in shown {
        let form = forms(&fixture.key).into_iter().find(|form| text.contains(form.as_str()));
        ensure!(form.is_none(), "the key is shown, or a part of it: {text}");
    }
    Ok(())
}

/// Nodes of one network have the same fingerprints, those of two networks others, and none are empty.
pub async fn fingerprints_name_the_network(fixture: Fixture) -> Outcome {
    let (ours, again, theirs) =
        (fixture.ours().fingerprints(), fixture.ours().fingerprints(), fixture.theirs().fingerprints());
    ensure!(!ours.is_empty() && ours.iter().all(|print| !print.is_empty()), "there are none: {ours:?}");
    ensure!(ours == again, "two nodes of one network have {ours:?} and {again:?}");
    ensure!(ours.first() != theirs.first(), "two networks have the same first one, {ours:?}");
    Ok(())
}

/// What each end sends when both say the same.
async fn talk(fixture: &Fixture) -> Result<Vec<(Role, Vec<u8>)>, Broken> {
    let mut pair = Pair::new(fixture, DuplexConfig::default()).await?;
    for io in [&mut pair.dialer, &mut pair.listener] {
        say(io, TEXT).await?;
    }
    for io in [&mut pair.dialer, &mut pair.listener] {
        io.read_exact(&mut vec![0; TEXT.len()]).await.during("read")?;
    }
    Ok(ROLES.map(|role| (role, pair.wire.sent_by(role))).into())
}

fn have_a_run(one: &[u8], two: &[u8]) -> bool {
    two.windows(RUN).any(|part| one.windows(RUN).any(|seen| seen == part))
}

/// How a piece of the key may look in a text.
fn forms(key: &[u8]) -> Vec<String> {
    let mut forms = Vec::new();
    for piece in key.windows(RUN.min(key.len())) {
        let hex: String = piece.iter().map(|byte| format!("{byte:02x}")).collect();
        let numbers: Vec<String> = piece.iter().map(ToString::to_string).collect();
        forms.extend([hex.to_uppercase(), hex, numbers.join(", "), numbers.join(",\n    ")]);
        forms.extend(std::str::from_utf8(piece).map(str::to_string));
    }
    forms
}
