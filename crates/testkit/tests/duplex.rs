//! The duplex that the suites run on.

use skep_api::security::Role;
use skep_testkit::{DuplexConfig, duplex, wiretap};
use std::{io::ErrorKind, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};

#[tokio::test(start_paused = true)]
async fn a_byte_is_on_its_way_for_the_latency() {
    let latency = Duration::from_millis(30);
    let (mut a, mut b) = duplex(DuplexConfig::default().with_latency(latency));
    let start = Instant::now();
    a.write_all(b"x").await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    b.read_u8().await.unwrap();
    assert_eq!(start.elapsed(), latency);
}

#[tokio::test(start_paused = true)]
async fn reads_and_writes_are_as_short_as_asked() {
    let (mut a, mut b) = duplex(DuplexConfig::short(2, 3));
    assert_eq!(a.write(b"abcdef").await.unwrap(), 3);
    assert_eq!(b.read(&mut [0; 8]).await.unwrap(), 2);
    assert_eq!(b.read(&mut [0; 8]).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_writer_waits_for_room() {
    let (mut a, mut b) = duplex(DuplexConfig::default().with_capacity(4));
    let write = tokio::spawn(async move { a.write_all(b"abcdef").await.map(|()| a) });
    let mut heard = [0; 6];
    b.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"abcdef");
    write.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_direction_ends_and_the_other_goes_on() {
    let (mut a, mut b) = duplex(DuplexConfig::default());
    a.write_all(b"last").await.unwrap();
    a.shutdown().await.unwrap();
    let mut heard = String::new();
    b.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "last");
    b.write_all(b"x").await.unwrap();
    assert_eq!(a.read_u8().await.unwrap(), b'x');
    assert_eq!(a.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    drop(a);
    assert_eq!(b.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn the_connection_is_lost_after_so_many_bytes() {
    let (mut a, mut b) = duplex(DuplexConfig::default().lost_after(5));
    a.write_all(b"abc").await.unwrap();
    assert_eq!(b.write(b"defg").await.unwrap(), 2);
    assert_eq!(b.write(b"fg").await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(a.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn the_wire_sees_changes_cuts_and_adds() {
    let (mut a, mut b, wire) = wiretap(DuplexConfig::default());
    wire.flip(Role::Dialer, 1, 0x20);
    wire.cut(Role::Dialer, 4);
    a.write_all(b"abc").await.unwrap();
    assert!(timeout(Duration::from_secs(1), b.read_exact(&mut [0; 4])).await.is_err());
    wire.inject(Role::Dialer, b"!");
    a.write_all(b"def").await.unwrap();
    let mut rest = String::new();
    b.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "!d", "three bytes were read by the attempt at four");
    assert_eq!(wire.sent_by(Role::Dialer), b"abcdef");
    assert_eq!(wire.sent_by(Role::Listener), b"");
}

#[tokio::test(start_paused = true)]
async fn a_changed_byte_arrives_changed() {
    let (mut a, mut b, wire) = wiretap(DuplexConfig::default());
    wire.flip(Role::Dialer, 1, 0x20);
    a.write_all(b"abc").await.unwrap();
    let mut heard = [0; 3];
    b.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"aBc");
}
