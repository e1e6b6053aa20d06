//! A peer that writes frames by hand, and the node that it talks to.
#![allow(dead_code, reason = "not every test file needs all of it")]

use skep_api::{
    BoxIo, CloseReason, ConfigSection,
    muxer::{Muxed, MuxedConn, MuxedStream},
    security::Role,
};
use skep_muxer_yamux::PLUGIN;
use skep_testkit::{DuplexConfig, duplex};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    task::JoinHandle,
    time::timeout,
};

pub(crate) const DATA: u8 = 0;
pub(crate) const CREDIT: u8 = 1;
pub(crate) const PING: u8 = 2;
pub(crate) const GO_AWAY: u8 = 3;
pub(crate) const SYN: u16 = 1;
pub(crate) const ACK: u16 = 2;
pub(crate) const FIN: u16 = 4;
pub(crate) const RST: u16 = 8;

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

/// A frame as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u16,
    pub(crate) stream: u32,
    pub(crate) len: u32,
    pub(crate) body: Vec<u8>,
}

/// The peer.
pub(crate) struct Raw {
    pub(crate) read: ReadHalf<BoxIo>,
    pub(crate) write: WriteHalf<BoxIo>,
}

/// A listening node and the peer that dialled it.
pub(crate) fn listener() -> (Node, Raw) {
    pair(Role::Listener, "", DuplexConfig::default())
}

/// A dialling node and the peer that it dialled.
pub(crate) fn dialer() -> (Node, Raw) {
    pair(Role::Dialer, "", DuplexConfig::default())
}

/// A node with this table, and its peer.
pub(crate) fn pair(role: Role, toml: &str, config: DuplexConfig) -> (Node, Raw) {
    let (io, peer) = duplex(config);
    let (read, write) = tokio::io::split(peer);
    (node(io, role, toml), Raw { read, write })
}

/// Two nodes, the dialling one first.
pub(crate) fn nodes(config: DuplexConfig) -> (Node, Node) {
    let (dialer, listener) = duplex(config);
    (node(dialer, Role::Dialer, ""), node(listener, Role::Listener, ""))
}

fn node(io: BoxIo, role: Role, toml: &str) -> Node {
    let table: serde_json::Map<String, serde_json::Value> = toml::from_str(toml).unwrap();
    let section = ConfigSection::from_table("muxer.yamux", table);
    let muxer = (PLUGIN.build)(&section, &skep_testkit::build_cx()).unwrap();
    let Muxed { conn, driver } = muxer.mux(io, role);
    Node { conn, driver: tokio::spawn(driver) }
}

pub(crate) fn header(kind: u8, flags: u16, stream: u32, len: u32) -> Vec<u8> {
    let mut bytes = vec![0, kind];
    bytes.extend(flags.to_be_bytes());
    bytes.extend(stream.to_be_bytes());
    bytes.extend(len.to_be_bytes());
    bytes
}

impl Raw {
    pub(crate) async fn send(&mut self, kind: u8, flags: u16, stream: u32, len: u32) {
        self.write.write_all(&header(kind, flags, stream, len)).await.unwrap();
    }

    pub(crate) async fn data(&mut self, flags: u16, stream: u32, body: &[u8]) {
        self.send(DATA, flags, stream, u32::try_from(body.len()).unwrap()).await;
        self.write.write_all(body).await.unwrap();
    }

    /// The next frame, with pings answered; `None` at the end of file.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        loop {
            let frame = self.any_frame().await?;
            if frame.kind != PING {
                return Some(frame);
            }
            if frame.flags & ACK == 0 {
                // The node may be gone, and what it sent is still to be read.
                let _ = self.write.write_all(&header(PING, ACK, 0, frame.len)).await;
            }
        }
    }

    /// The next frame, whatever it is.
    pub(crate) async fn any_frame(&mut self) -> Option<Frame> {
        let mut bytes = [0; 12];
        self.read.read_exact(&mut bytes).await.ok()?;
        let [version, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3] = bytes;
        assert_eq!(version, 0);
        let len = u32::from_be_bytes([l0, l1, l2, l3]);
        let mut body = vec![0; if kind == DATA { len as usize } else { 0 }];
        self.read.read_exact(&mut body).await.ok()?;
        let stream = u32::from_be_bytes([s0, s1, s2, s3]);
        Some(Frame { kind, flags: u16::from_be_bytes([f0, f1]), stream, len, body })
    }

    /// The next frame of this kind.
    pub(crate) async fn next(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.frame().await.expect("the connection ended");
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// Whether nothing more comes for a while.
    pub(crate) async fn is_silent(&mut self) -> bool {
        timeout(Duration::from_secs(5), self.frame()).await.is_err()
    }
}
