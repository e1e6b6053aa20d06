//! The same handshake with the TLS of rust-libp2p at the other end.

#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy does not take for tests")]

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::tls::Config;
use libp2p_core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade};
use skep_api::{
    BoxIo, ConfigSection, Keypair, PeerId,
    security::{Role, SecureCx, Verifier},
};
use skep_security_tls::{PLUGIN, PROTOCOL};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_util::compat::TokioAsyncReadCompatExt;

/// More than a few records, in each direction.
const LEN: usize = 300_000;

fn identities() -> [Keypair; 3] {
    [Keypair::generate_ed25519(), Keypair::generate_secp256k1(), Keypair::generate_ecdsa()]
}

async fn ours(io: DuplexStream, role: Role, key: Keypair, expected: PeerId) {
    let instance =
        (PLUGIN.build)(&ConfigSection::empty("security.tls"), &skep_testkit::build_cx_with(key)).unwrap();
    assert_eq!(instance.protocol(), PROTOCOL);
    let cx = SecureCx::new(role, Verifier::new(Some(expected)), vec!["/yamux/1.0.0".into()]);
    let secured = instance.secure(Box::new(io) as BoxIo, cx).await.unwrap();
    assert_eq!(secured.early_muxer(), None, "rust-libp2p offers none");
    let mut stream = secured.into_parts().0;
    stream.write_all(&[1; LEN]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await.unwrap();
    assert!(got == [2; LEN]);
}

async fn theirs(io: DuplexStream, role: Role, key: Keypair, expected: PeerId) {
    let config = Config::new(&key).unwrap();
    let (peer, mut stream) = match role {
        Role::Dialer => config.upgrade_outbound(io.compat(), PROTOCOL).await.unwrap(),
        Role::Listener => config.upgrade_inbound(io.compat(), PROTOCOL).await.unwrap(),
    };
    assert_eq!(peer, expected);
    let mut got = vec![0; LEN];
    stream.read_exact(&mut got).await.unwrap();
    assert!(got == [1; LEN]);
    stream.write_all(&[2; LEN]).await.unwrap();
    stream.close().await.unwrap();
}

#[tokio::test]
async fn both_ways_with_every_type_of_key() {
    for (role, other) in [(Role::Dialer, Role::Listener), (Role::Listener, Role::Dialer)] {
        for (a, b) in identities().into_iter().zip(identities()) {
            let (io, far) = duplex(1 << 20);
            let (our_id, their_id) = (a.public().to_peer_id(), b.public().to_peer_id());
            tokio::join!(ours(io, role, a, their_id), theirs(far, other, b, our_id));
        }
    }
}
