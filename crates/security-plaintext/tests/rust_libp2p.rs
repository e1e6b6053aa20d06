//! The plaintext upgrade of rust-libp2p at the other end.

use libp2p_core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade};
use skep_api::{
    ConfigSection, Keypair, PeerId,
    security::{Role, SecureCx, SecurityErrorKind, Verifier},
};
use skep_security_plaintext::{PLUGIN, PROTOCOL};
use skep_testkit::{DuplexConfig, build_cx_with, duplex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::compat::{FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt};

#[tokio::test]
async fn each_end_knows_the_other_and_words_pass_both_ways() {
    for role in [Role::Dialer, Role::Listener] {
        let (ours, theirs) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        let (our_id, their_id) = (ours.public().to_peer_id(), theirs.public().to_peer_id());
        let (a, b) = duplex(DuplexConfig::default());
        let plugin =
            (PLUGIN.build)(&ConfigSection::empty("security.plaintext"), &build_cx_with(ours)).unwrap();
        let cx = SecureCx::new(role, Verifier::new(Some(their_id)).allowing_insecure(), Vec::new());
        let ours = async {
            let secured = plugin.secure(a, cx).await.unwrap();
            assert_eq!(secured.verified().peer(), their_id);
            let (mut io, ..) = secured.into_parts();
            io.write_all(b"ours").await.unwrap();
            io.flush().await.unwrap();
            let mut heard = [0; 6];
            io.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"theirs");
        };
        let theirs = async {
            let config = libp2p_plaintext::Config::new(&theirs);
            let upgrade = match role {
                Role::Dialer => config.upgrade_inbound(b.compat(), PROTOCOL),
                Role::Listener => config.upgrade_outbound(b.compat(), PROTOCOL),
            };
            let (peer, output) = upgrade.await.unwrap();
            assert_eq!(peer, our_id);
            let mut io = output.compat();
            io.write_all(b"theirs").await.unwrap();
            io.flush().await.unwrap();
            let mut heard = [0; 4];
            io.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"ours");
        };
        tokio::join!(ours, theirs);
    }
}

#[tokio::test]
async fn a_dialler_that_expected_another_peer_leaves_it_without_a_connection() {
    let (a, b) = duplex(DuplexConfig::default());
    let ours = build_cx_with(Keypair::generate_ed25519());
    let plugin = (PLUGIN.build)(&ConfigSection::empty("security.plaintext"), &ours).unwrap();
    let verifier = Verifier::new(Some(PeerId::random())).allowing_insecure();
    let theirs = libp2p_plaintext::Config::new(&Keypair::generate_ed25519());
    let (ours, theirs) = tokio::join!(
        plugin.secure(a, SecureCx::new(Role::Dialer, verifier, Vec::new())),
        theirs.upgrade_inbound(b.compat(), PROTOCOL),
    );
    assert_eq!(ours.map(|_| ()).unwrap_err().kind(), SecurityErrorKind::WrongPeer);
    assert!(theirs.is_err());
}
