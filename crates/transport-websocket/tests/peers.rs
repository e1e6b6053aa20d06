//! Against another implementation: that of `tokio-tungstenite`, whose message layer this crate does not use.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use futures::{SinkExt, StreamExt};
use std::time::Duration;
use support::{io_of, listen, pattern, socket_of, transport};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream, accept_async, client_async,
    tungstenite::{
        Message,
        protocol::frame::{
            Frame,
            coding::{Data, OpCode},
        },
    },
};

const LEN: usize = 1 << 20;

/// Sends in messages of several sizes, some in fragments, some pings between; reads binary messages until a close frame.
async fn speak(mut socket: WebSocketStream<TcpStream>) -> Vec<u8> {
    let sent = pattern(LEN);
    for (n, piece) in sent.chunks(50_000).enumerate() {
        if n % 3 == 0 {
            let (head, tail) = piece.split_at(piece.len() / 3);
            let fragments =
                [(head, Data::Binary, false), (&[][..], Data::Continue, false), (tail, Data::Continue, true)];
            for (bytes, data, last) in fragments {
                let frame = Frame::message(bytes.to_vec(), OpCode::Data(data), last);
                socket.feed(Message::Frame(frame)).await.unwrap();
            }
        } else {
            socket.feed(Message::binary(piece.to_vec())).await.unwrap();
        }
        socket.feed(Message::Ping(vec![n as u8].into())).await.unwrap();
    }
    socket.flush().await.unwrap();
    let (mut heard, mut pongs) = (Vec::new(), 0);
    loop {
        match socket.next().await {
            Some(Ok(Message::Binary(bytes))) => heard.extend_from_slice(&bytes),
            Some(Ok(Message::Pong(_))) => pongs += 1,
            Some(Ok(Message::Close(_))) => {}
            None => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(pongs > 0, "no ping was answered");
    heard
}

/// Echoes what the other side sends, and closes.
async fn echo(io: impl AsyncReadExt + AsyncWriteExt + Unpin) {
    let (mut read, mut write) = tokio::io::split(io);
    let mut some = vec![0; 10_000];
    let mut left = LEN;
    while left > 0 {
        let n = read.read(&mut some).await.unwrap();
        assert!(n > 0, "the peer ended with {left} bytes missing");
        write.write_all(&some[..n]).await.unwrap();
        left -= n;
    }
    write.shutdown().await.unwrap();
    // The peer's answer to the close frame.
    assert_eq!(read.read(&mut some).await.unwrap(), 0);
}

#[tokio::test]
async fn a_foreign_client_is_served() {
    let ours = transport();
    let (mut listener, addr) = listen(&*ours, "/ip4/127.0.0.1/tcp/0/ws").await;
    let client = tokio::spawn(async move {
        let tcp = TcpStream::connect(socket_of(&addr)).await.unwrap();
        let (socket, response) = client_async("ws://localhost/", tcp).await.unwrap();
        assert!(response.headers().get("sec-websocket-protocol").is_none());
        speak(socket).await
    });
    let link = listener.accept().await.unwrap().accept().await.unwrap();
    echo(io_of(link)).await;
    assert!(client.await.unwrap() == pattern(LEN));
}

#[tokio::test]
async fn a_foreign_server_is_used() {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = tcp.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (tcp, _) = tcp.accept().await.unwrap();
        speak(accept_async(tcp).await.unwrap()).await
    });
    let addr = format!("/ip4/127.0.0.1/tcp/{port}/ws").parse().unwrap();
    let link = transport().dial(&addr).await.unwrap();
    echo(io_of(link)).await;
    assert!(server.await.unwrap() == pattern(LEN));
}

#[tokio::test]
async fn a_foreign_client_that_closes_gets_the_answer_and_what_was_written_before() {
    let ours = transport();
    let (mut listener, addr) = listen(&*ours, "/ip4/127.0.0.1/tcp/0/ws").await;
    let client = tokio::spawn(async move {
        let tcp = TcpStream::connect(socket_of(&addr)).await.unwrap();
        let (mut socket, _) = client_async("ws://localhost/", tcp).await.unwrap();
        socket.send(Message::binary(b"bye".to_vec())).await.unwrap();
        socket.close(None).await.unwrap();
        let mut heard = Vec::new();
        while let Some(message) = socket.next().await {
            match message {
                Ok(message) => heard.push(message.into_data()),
                // The server's socket is gone, as it may be after both close frames.
                Err(_) => break,
            }
        }
        heard
    });
    let mut io = io_of(listener.accept().await.unwrap().accept().await.unwrap());
    io.write_all(b"so long").await.unwrap();
    let mut heard = Vec::new();
    io.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"bye");
    drop(io);
    let heard = tokio::time::timeout(Duration::from_secs(30), client).await.unwrap().unwrap();
    assert_eq!(heard.first().unwrap(), &b"so long"[..]);
}
