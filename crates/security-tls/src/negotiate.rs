//! The muxer, as the application protocol of TLS (libp2p specs, connections/inlined-muxer-negotiation.md).
//!
//! The dialler offers its muxers, best first, and `libp2p` last, which means that the muxer is negotiated later. The
//! listener names one of them, and with that both know it. It is the first of the dialler's that it has too, as the
//! specification wants it; a library that goes by the listener's order instead, as rust-libp2p does, is just as well
//! understood, for both ends go by what was named.

use skep_api::security::SecureCx;

/// The application protocol of peers that negotiate the muxer later.
const LIBP2P: &str = "libp2p";

/// What a dialler offers, and what a listener accepts from a peer whose offer it has not seen.
pub(crate) fn offer(cx: &SecureCx) -> Vec<Vec<u8>> {
    let names = cx.muxers.iter().map(String::as_str).chain([LIBP2P]);
    names.filter(|name| fits(name)).map(|name| name.as_bytes().to_vec()).collect()
}

/// What a listener accepts from a peer that offers this.
pub(crate) fn answer<'a>(cx: &SecureCx, theirs: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let theirs: Vec<String> =
        theirs.filter_map(|name| std::str::from_utf8(name).ok()).map(str::to_owned).collect();
    match cx.agree_on_muxer(&theirs) {
        Some(muxer) => vec![muxer.into_bytes(), LIBP2P.into()],
        None => vec![LIBP2P.into()],
    }
}

/// The muxer that both ends know from the application protocol that was named; none if it is negotiated later.
pub(crate) fn muxer(cx: &SecureCx, named: Option<&[u8]>) -> Option<String> {
    let named = std::str::from_utf8(named?).ok()?;
    cx.muxers.iter().find(|muxer| *muxer == named).cloned()
}

/// TLS has room for names of 1 to 255 bytes.
fn fits(name: &str) -> bool {
    (1..=255).contains(&name.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_api::security::{Role, Verifier};

    fn cx(role: Role, muxers: &[&str]) -> SecureCx {
        SecureCx::new(role, Verifier::new(None), muxers.iter().map(|m| (*m).to_owned()).collect())
    }

    #[test]
    fn an_offer_ends_with_libp2p() {
        assert_eq!(offer(&cx(Role::Dialer, &["/a", "/b"])), [b"/a".to_vec(), b"/b".into(), b"libp2p".into()]);
        assert_eq!(offer(&cx(Role::Dialer, &[])), [b"libp2p"]);
        let long = "x".repeat(256);
        assert_eq!(offer(&cx(Role::Dialer, &["", &long])), [b"libp2p"], "what does not fit is left out");
    }

    #[test]
    fn the_answer_goes_by_the_diallers_order() {
        let listener = cx(Role::Listener, &["/b", "/a"]);
        let names = |offer: &[&'static str]| answer(&listener, offer.iter().map(|name| name.as_bytes()));
        assert_eq!(names(&["/a", "/b", "libp2p"]), [b"/a".to_vec(), b"libp2p".into()]);
        assert_eq!(names(&["/c", "libp2p"]), [b"libp2p"]);
        assert_eq!(answer(&listener, [&b"\xff"[..]].into_iter()), [b"libp2p"]);
    }

    #[test]
    fn only_a_muxer_of_ours_is_one() {
        let dialer = cx(Role::Dialer, &["/a"]);
        assert_eq!(muxer(&dialer, Some(b"/a")).as_deref(), Some("/a"));
        for other in [None, Some(&b"libp2p"[..]), Some(b"/c"), Some(b"\xff")] {
            assert_eq!(muxer(&dialer, other), None);
        }
    }
}
