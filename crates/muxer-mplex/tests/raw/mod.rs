//! A peer that writes frames by hand, and the node that it talks to.
#![allow(dead_code, reason = "not every test file needs all of it")]

use skep_api::{
    BoxIo, CloseReason, ConfigSection,
    muxer::{Muxed, MuxedConn, MuxedStream},
    security::Role,
};
use skep_muxer_mplex::PLUGIN;
use skep_testkit::{DuplexConfig, duplex};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    task::JoinHandle,
    time::timeout,
};

pub(crate) const OPEN: u8 = 0;
pub(crate) const MESSAGE_RECEIVER: u8 = 1;
pub(crate) const MESSAGE_INITIATOR: u8 = 2;
pub(crate) const CLOSE_RECEIVER: u8 = 3;
pub(crate) const CLOSE_INITIATOR: u8 = 4;
pub(crate) const RESET_RECEIVER: u8 = 5;
pub(crate) const RESET_INITIATOR: u8 = 6;

/// The node under test.
pub(crate) struct Node {
    pub(crate) conn: Arc<dyn MuxedConn>,
    pub(crate) driver: JoinHandle<CloseReason>,
}

impl Node {
    pub(crate) async fn reason(self) -> CloseReason {
        self.driver.await.unwrap()
    }

    pub(crate) async fn open(&self) -> Box<dyn MuxedStream> {
        self.conn.open().await.unwrap()
    }

    pub(crate) async fn accept(&self) -> Box<dyn MuxedStream> {
        self.conn.accept().await.unwrap()
    }
}

/// A frame as it was read: the number of the stream, the flag, the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) stream: u64,
    pub(crate) flag: u8,
    pub(crate) body: Vec<u8>,
}

/// The peer.
pub(crate) struct Raw {
    pub(crate) read: ReadHalf<BoxIo>,
    pub(crate) write: WriteHalf<BoxIo>,
}

/// A node of this role with the default table, and its peer.
pub(crate) fn pair(role: Role) -> (Node, Raw) {
    configured(role, "", DuplexConfig::default())
}

/// A node with this table, and its peer.
pub(crate) fn configured(role: Role, toml: &str, config: DuplexConfig) -> (Node, Raw) {
    let (io, peer) = duplex(config);
    let (read, write) = tokio::io::split(peer);
    (node(io, role, toml), Raw { read, write })
}

pub(crate) fn node(io: BoxIo, role: Role, toml: &str) -> Node {
    let table: serde_json::Map<String, serde_json::Value> = toml::from_str(toml).unwrap();
    let section = ConfigSection::from_table("muxer.mplex", table);
    let muxer = (PLUGIN.build)(&section, &skep_testkit::build_cx()).unwrap();
    let Muxed { conn, driver } = muxer.mux(io, role);
    Node { conn, driver: tokio::spawn(driver) }
}

pub(crate) fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 127 {
        bytes.push(u8::try_from(number % 128).unwrap() | 0x80);
        number /= 128;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}

/// The two numbers in front of a body of this length.
pub(crate) fn header(stream: u64, flag: u8, len: u64) -> Vec<u8> {
    [varint(stream << 3 | u64::from(flag)), varint(len)].concat()
}

pub(crate) fn frame(stream: u64, flag: u8, body: &[u8]) -> Vec<u8> {
    [header(stream, flag, body.len() as u64), body.to_vec()].concat()
}

impl Raw {
    pub(crate) async fn send(&mut self, stream: u64, flag: u8, body: &[u8]) {
        self.write.write_all(&frame(stream, flag, body)).await.unwrap();
    }

    /// The next frame; `None` at the end of file.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        let first = self.number().await?;
        let mut body = vec![0; usize::try_from(self.number().await?).unwrap()];
        self.read.read_exact(&mut body).await.ok()?;
        Some(Frame { stream: first >> 3, flag: (first % 8) as u8, body })
    }

    async fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.read.read_u8().await.ok()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        panic!("a varint without an end");
    }

    /// Expects a frame without a body.
    pub(crate) async fn expect(&mut self, stream: u64, flag: u8) {
        assert_eq!(self.frame().await, Some(Frame { stream, flag, body: Vec::new() }));
    }

    /// Whether nothing more comes for a while.
    pub(crate) async fn is_silent(&mut self) -> bool {
        timeout(Duration::from_secs(5), self.frame()).await.is_err()
    }
}
