//! The other Rust implementation, `libp2p-pnet`, as dialler and as listener.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use libp2p_pnet::{PnetConfig, PreSharedKey};
use skep_api::{BoxIo, ConfigSection, security::Role};
use skep_protector_psk::PLUGIN;
use skep_testkit::{DuplexConfig, duplex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::compat::{FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt};

const HEADER: &[u8] = b"\x13/multistream/1.0.0\n";

fn key() -> PreSharedKey {
    include_str!("../testdata/swarm.key").parse().unwrap()
}

async fn ours(io: BoxIo, role: Role) -> BoxIo {
    let table = toml::from_str("key_file = \"testdata/swarm.key\"").unwrap();
    let section = ConfigSection::from_table("protector.psk", table);
    let node = (PLUGIN.build)(&section, &skep_testkit::build_cx()).unwrap();
    assert_eq!(node.fingerprints(), [key().fingerprint().to_string()]);
    node.protect(io, role).await.unwrap()
}

async fn theirs(io: BoxIo) -> BoxIo {
    let output = PnetConfig::new(key()).handshake(io.compat()).await.unwrap();
    Box::new(output.compat())
}

/// Says the header and a text, and returns what it hears.
async fn talk(mut io: BoxIo, text: &[u8]) -> Vec<u8> {
    io.write_all(HEADER).await.unwrap();
    io.flush().await.unwrap();
    io.read_exact(&mut [0; 20]).await.unwrap();
    let (mut reads, mut writes) = tokio::io::split(io);
    let mut heard = Vec::new();
    let write = async {
        writes.write_all(text).await.unwrap();
        writes.shutdown().await.unwrap();
    };
    tokio::join!(write, reads.read_to_end(&mut heard)).1.unwrap();
    heard
}

#[tokio::test(start_paused = true)]
async fn both_ways_with_the_other_rust_implementation() {
    for role in [Role::Dialer, Role::Listener] {
        for config in [DuplexConfig::default(), DuplexConfig::short(777, 1_000)] {
            let (a, b) = duplex(config);
            let (mine, yours): (Vec<u8>, Vec<u8>) =
                ((0..=250).cycle().take(300_000).collect(), vec![5; 200_000]);
            let (heard, heard_there) =
                tokio::join!(async { talk(ours(a, role).await, &mine).await }, async {
                    talk(theirs(b).await, &yours).await
                },);
            assert!(heard == yours && heard_there == mine, "{role}");
        }
    }
}
