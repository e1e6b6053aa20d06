//! Nodes of one network, of two, and of none; and a network that changes its key.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "helpers of tests")]

use skep_api::{
    BoxIo, ConfigSection,
    error::chain,
    protector::{Protector, ProtectorError, ProtectorErrorKind},
    security::Role,
};
use skep_protector_psk::PLUGIN;
use skep_testkit::{DuplexConfig, duplex, wiretap};
use std::{io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

const HEADER: &[u8] = b"\x13/multistream/1.0.0\n";
const NEW: &str = "testdata/swarm.key";
const OLD: &str = "testdata/swarm.old.key";

/// On paused time, so that a wait without end is seen at once.
const MINUTE: Duration = Duration::from_secs(60);

fn node(key_file: &str, accept: &[&str]) -> Arc<dyn Protector> {
    let table = serde_json::json!({ "key_file": key_file, "accept": accept });
    let section = ConfigSection::from_table("protector.psk", table.as_object().unwrap().clone());
    (PLUGIN.build)(&section, &skep_testkit::build_cx()).unwrap()
}

type Ends = (Result<Vec<u8>, ProtectorError>, Result<Vec<u8>, ProtectorError>);

/// What each end hears when both say the header and their own name, the dialler first.
async fn meet(dialer: &dyn Protector, listener: &dyn Protector, (a, b): (BoxIo, BoxIo)) -> Ends {
    let both = async { tokio::join!(talk(dialer, a, Role::Dialer), talk(listener, b, Role::Listener)) };
    timeout(MINUTE, both).await.expect("somebody waits for ever")
}

async fn talk(node: &dyn Protector, io: BoxIo, role: Role) -> Result<Vec<u8>, ProtectorError> {
    let (mut reads, mut writes) = tokio::io::split(node.protect(io, role).await?);
    let mut heard = Vec::new();
    let says = async {
        writes.write_all(&[HEADER, role.to_string().as_bytes()].concat()).await?;
        writes.shutdown().await
    };
    let hears = async { reads.read_to_end(&mut heard).await.map(drop) };
    match tokio::try_join!(hears, says) {
        Ok(_) => Ok(heard),
        Err(error) => Err(*inner(error)),
    }
}

fn inner(error: io::Error) -> Box<ProtectorError> {
    error.into_inner().expect("an error of the contract").downcast().expect("an error of the contract")
}

#[track_caller]
fn understood((dialer, listener): Ends) {
    assert_eq!(dialer.unwrap(), [HEADER, b"inbound"].concat());
    assert_eq!(listener.unwrap(), [HEADER, b"outbound"].concat());
}

#[tokio::test(start_paused = true)]
async fn members_understand_each_other_wherever_the_bytes_are_split() {
    let (node, config) = (node(NEW, &[]), DuplexConfig::default());
    for size in 1..=80 {
        understood(meet(&*node, &*node, duplex(DuplexConfig::short(size, usize::MAX))).await);
        understood(meet(&*node, &*node, duplex(DuplexConfig::short(usize::MAX, size))).await);
        understood(meet(&*node, &*node, duplex(config.with_capacity(size))).await);
    }
}

#[tokio::test(start_paused = true)]
async fn members_of_two_networks_do_not() {
    let (ours, theirs) = (node(NEW, &[]), node(OLD, &[]));
    let (dialer, listener) = meet(&*ours, &*theirs, duplex(DuplexConfig::default())).await;
    let (dialer, listener) = (dialer.unwrap_err(), listener.unwrap_err());
    assert_eq!(
        chain(&listener),
        "the peer is not of this private network: what it sends is not encrypted with a key of this node"
    );
    assert_eq!(listener.kind(), ProtectorErrorKind::WrongNetwork);
    // The listener said its nonce, and went away when it knew.
    assert_eq!(
        chain(&dialer),
        "the connection broke while it was protected: after 24 of the 44 bytes that show who the peer is: \
         unexpected end of file"
    );
    assert_eq!(dialer.kind(), ProtectorErrorKind::Io);
}

#[tokio::test(start_paused = true)]
async fn a_network_changes_its_key_while_it_works() {
    let config = DuplexConfig::default();
    // Before, while the new one is accepted everywhere, while the new one is dialled with, and after.
    let steps = [node(OLD, &[]), node(OLD, &[NEW]), node(NEW, &[OLD]), node(NEW, &[])];
    for (i, one) in steps.iter().enumerate() {
        for (j, two) in steps.iter().enumerate() {
            let (dialer, listener) = meet(&**one, &**two, duplex(config)).await;
            // What is dialled with from here, and accepted there.
            let works = if i < 2 { j < 3 } else { j > 0 };
            assert_eq!(dialer.is_ok() && listener.is_ok(), works, "step {i} dials step {j}");
            assert_eq!(listener.is_ok(), works, "step {i} dials step {j}");
        }
    }
    let both = |node: &dyn Protector| node.fingerprints();
    assert_eq!(
        both(&*steps[2]),
        ["45fc986bbc9388a11d939df26f730f0c".to_string(), both(&*steps[0])[0].clone()]
    );
    assert_eq!(both(&*steps[1]), [both(&*steps[0])[0].clone(), both(&*steps[3])[0].clone()]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_named_twice_counts_once() {
    assert_eq!(node(NEW, &[NEW, OLD, OLD]).fingerprints(), node(NEW, &[OLD]).fingerprints());
}

#[tokio::test(start_paused = true)]
async fn a_peer_of_no_private_network_is_known_by_its_first_words() {
    for role in [Role::Dialer, Role::Listener] {
        let (io, mut peer) = duplex(DuplexConfig::default());
        // It says no more before it has an answer, and 20 bytes are fewer than a nonce.
        peer.write_all(HEADER).await.unwrap();
        let error = timeout(MINUTE, talk_open(&*node(NEW, &[]), io, role)).await.unwrap();
        assert_eq!(
            error.to_string(),
            "the peer is not of this private network: it speaks in clear, so it is of no private network"
        );
        assert_eq!(error.kind(), ProtectorErrorKind::WrongNetwork);
    }
}

/// Says the header, leaves the link open, and returns the error that reading ends in.
async fn talk_open(node: &dyn Protector, io: BoxIo, role: Role) -> ProtectorError {
    match node.protect(io, role).await {
        Err(error) => error,
        Ok(mut io) => {
            io.write_all(HEADER).await.unwrap();
            *inner(io.read_u8().await.unwrap_err())
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stranger_is_known_by_its_first_wrong_byte() {
    // With two keys, one byte in 256 that is wrong under the one is right under the other, and the next one decides.
    let node = node(NEW, &[]);
    let (a, b, wire) = wiretap(DuplexConfig::default());
    understood(meet(&*node, &*node, (a, b)).await);
    for role in [Role::Dialer, Role::Listener] {
        let said = wire.sent_by(if role == Role::Dialer { Role::Listener } else { Role::Dialer });
        for wrong in 24..44 {
            let (io, mut peer) = duplex(DuplexConfig::default());
            let mut said = said[..=wrong].to_vec();
            said[wrong] ^= 0x80;
            peer.write_all(&said).await.unwrap();
            let error = timeout(MINUTE, talk_open(&*node, io, role)).await.unwrap();
            assert_eq!(error.kind(), ProtectorErrorKind::WrongNetwork, "{role}, byte {wrong}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_ends_or_breaks_early_is_an_error_of_the_stream() {
    let node = node(NEW, &[]);
    for role in [Role::Dialer, Role::Listener] {
        for count in 0..24 {
            let (io, mut peer) = duplex(DuplexConfig::default());
            peer.write_all(&vec![7; count]).await.unwrap();
            peer.shutdown().await.unwrap();
            let error = timeout(MINUTE, talk_open(&*node, io, role)).await.unwrap();
            assert_eq!(error.kind(), ProtectorErrorKind::Io);
            assert_eq!(error.detail(), format!("after {count} of the 44 bytes that show who the peer is"));
        }
    }
    let (io, peer, wire) = wiretap(DuplexConfig::default());
    wire.lose();
    let error = node.protect(io, Role::Listener).await.unwrap_err();
    assert_eq!(error.detail(), "this node's nonce could not be sent");
    drop(peer);
}
