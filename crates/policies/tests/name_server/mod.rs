//! A name server on real sockets, with answers written by hand and a record of what it was asked.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, its helpers too"
)]
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{
    collections::HashSet,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{Arc, Mutex},
    thread,
};

pub(crate) const A: u16 = 1;
pub(crate) const CNAME: u16 = 5;
pub(crate) const SOA: u16 = 6;
pub(crate) const TXT: u16 = 16;

/// Longest answer over UDP; what is longer has to be asked for over TCP.
const MAX_UDP: usize = 1_200;

/// A record: its type, and the bytes that it holds.
pub(crate) type Record = (u16, Vec<u8>);

/// What to say to a question.
pub(crate) enum Reply {
    /// These records, with a time to live in seconds.
    Records(u32, Vec<Record>),
    /// There is no such name, which may be kept for so many seconds, if given.
    NoName(Option<u32>),
    /// The name has no such records, which may be kept for so many seconds.
    NoRecords(u32),
    /// The server has failed.
    Failure,
    /// Nothing at all.
    Silence,
    /// Bytes that are no answer.
    Garbage,
}

/// The server. Its threads stay for as long as the program.
#[derive(Clone)]
pub(crate) struct NameServer {
    pub(crate) addr: SocketAddr,
    asked: Arc<Mutex<Asked>>,
}

#[derive(Default)]
struct Asked {
    /// All of them, by their bytes: a question that is sent again has the same.
    known: HashSet<Vec<u8>>,
    new: usize,
    all: usize,
}

impl NameServer {
    /// Answers questions by name, in lower case, and type.
    pub(crate) fn start(zone: fn(&str, u16) -> Reply) -> Self {
        let (udp, tcp) = sockets();
        let server = Self { addr: udp.local_addr().unwrap(), asked: Arc::default() };
        let (over_udp, over_tcp) = (server.clone(), server.clone());
        thread::spawn(move || over_udp.serve_udp(&udp, zone));
        thread::spawn(move || {
            for stream in tcp.incoming().flatten() {
                let server = over_tcp.clone();
                thread::spawn(move || server.serve_tcp(stream, zone));
            }
        });
        server
    }

    /// How many questions came since the last time, without those that were sent again.
    pub(crate) fn asked(&self) -> usize {
        std::mem::take(&mut self.asked.lock().unwrap().new)
    }

    /// How many questions came in all.
    pub(crate) fn asked_ever(&self) -> usize {
        self.asked.lock().unwrap().all
    }

    fn serve_udp(&self, socket: &UdpSocket, zone: fn(&str, u16) -> Reply) {
        let mut buffer = [0; 2_048];
        while let Ok((len, from)) = socket.recv_from(&mut buffer) {
            let query = &buffer[..len];
            let Some(mut answer) = self.answer(query, zone) else { continue };
            if answer.len() > MAX_UDP {
                answer = cut(query);
            }
            let _ = socket.send_to(&answer, from);
        }
    }

    fn serve_tcp(&self, mut stream: TcpStream, zone: fn(&str, u16) -> Reply) {
        let mut len = [0; 2];
        while stream.read_exact(&mut len).is_ok() {
            let mut query = vec![0; usize::from(u16::from_be_bytes(len))];
            if stream.read_exact(&mut query).is_err() {
                return;
            }
            let Some(answer) = self.answer(&query, zone) else { continue };
            let len = u16::try_from(answer.len()).unwrap().to_be_bytes();
            let _ = stream.write_all(&[&len, answer.as_slice()].concat());
        }
    }

    fn note(&self, query: &[u8]) {
        let mut asked = self.asked.lock().unwrap();
        asked.all += 1;
        asked.new += usize::from(asked.known.insert(query.to_vec()));
    }

    fn answer(&self, query: &[u8], zone: fn(&str, u16) -> Reply) -> Option<Vec<u8>> {
        let (name, kind, question) = question(query);
        self.note(query);
        let (code, ttl, records, negative) = match zone(&name, kind) {
            Reply::Records(ttl, records) => (0, ttl, records, None),
            Reply::NoName(ttl) => (3, 0, Vec::new(), ttl),
            Reply::NoRecords(ttl) => (0, 0, Vec::new(), Some(ttl)),
            Reply::Failure => (2, 0, Vec::new(), None),
            Reply::Silence => return None,
            Reply::Garbage => return Some([&query[..2], &[0xff; 40]].concat()),
        };
        let mut out = header(query, code, records.len(), negative.is_some());
        out.extend(question);
        for (kind, data) in &records {
            put(&mut out, *kind, ttl, data);
        }
        if let Some(ttl) = negative {
            // Two empty names, then serial, refresh, retry, expire, minimum.
            let data = [vec![0, 0], [0u32, 0, 0, 0, ttl].map(u32::to_be_bytes).concat()].concat();
            put(&mut out, SOA, ttl, &data);
        }
        Some(out)
    }
}

/// A port that is free over both.
fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
}

/// A response to a recursive question as RFC 1035 section 4.1.1 lays it out.
fn header(query: &[u8], code: u8, answers: usize, authority: bool) -> Vec<u8> {
    let mut out = query[..2].to_vec();
    out.extend([0x81, 0x80 | code, 0, 1]);
    out.extend(u16::try_from(answers).unwrap().to_be_bytes());
    out.extend([0, u8::from(authority), 0, 0]);
    out
}

/// The answer that says to come back over TCP.
fn cut(query: &[u8]) -> Vec<u8> {
    let mut out = header(query, 0, 0, false);
    out[2] |= 0x02;
    out.extend(question(query).2);
    out
}

/// One record; its name is a pointer to the question, its class IN.
fn put(out: &mut Vec<u8>, kind: u16, ttl: u32, data: &[u8]) {
    out.extend([0xc0, 12]);
    out.extend(kind.to_be_bytes());
    out.extend([0, 1]);
    out.extend(ttl.to_be_bytes());
    out.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    out.extend(data);
}

/// The name and type asked for, and the bytes of the question.
fn question(query: &[u8]) -> (String, u16, &[u8]) {
    let mut labels = Vec::new();
    let mut at = 12;
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8(query[at + 1..end].to_vec()).unwrap());
        at = end;
    }
    let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    (labels.join(".").to_lowercase(), kind, &query[12..at + 5])
}

/// An address record.
pub(crate) fn a(ip: [u8; 4]) -> Record {
    (A, ip.to_vec())
}

/// A text record, in strings of up to 255 bytes.
pub(crate) fn txt(text: &str) -> Record {
    let strings = text.as_bytes().chunks(255);
    (TXT, strings.flat_map(|s| [&[u8::try_from(s.len()).unwrap()], s].concat()).collect())
}

/// A record that says that the name is another's.
pub(crate) fn cname(name: &str) -> Record {
    let labels = name.split('.').flat_map(|l| [&[u8::try_from(l.len()).unwrap()], l.as_bytes()].concat());
    (CNAME, labels.chain([0]).collect())
}
