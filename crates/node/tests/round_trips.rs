//! Round trips are a product number: counted in virtual time, over a link that delays and costs nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use skep::api::ConfigSection;
use std::time::Duration;
use support::{ECHO, layers};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

const ONE_WAY: Duration = Duration::from_millis(50);
const ROUND_TRIP: Duration = Duration::from_millis(100);
/// The link's own making takes a round trip, as TCP's does; it is not counted. In tenths.
const LINK: u128 = 10;

fn node() -> skep::Swarm {
    let builder = layers();
    let serde_json::Value::Object(table) = serde_json::json!({ "hub": "round trips", "latency": "50ms" })
    else {
        unreachable!()
    };
    let section = ConfigSection::from_table("transport.memory", table);
    let transport = (skep::transport_memory::PLUGIN.build)(&section, builder.build_cx()).unwrap();
    builder.transport("memory", transport).build().unwrap()
}

async fn first_echo(conn: &skep::SwarmConn) {
    let mut stream = conn.open_stream(&[ECHO.into()]).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), b'x');
    stream.finish().await.unwrap();
}

/// In units of a tenth of a round trip, so that a timer's millisecond does not matter.
fn tenths(since: Instant) -> u128 {
    (since.elapsed().as_millis() + 5) * 10 / ROUND_TRIP.as_millis()
}

#[tokio::test(start_paused = true)]
async fn the_first_echo_takes_two_round_trips_and_a_second_streams_one() {
    let (a, b) = (node(), node());
    let addr = a.listen(&"/memory/0".parse().unwrap()).await.unwrap()[0].clone();
    let begun = Instant::now();
    let conn = b.dial_addr(&addr).await.unwrap();
    assert_eq!(tenths(begun), LINK + 10, "secured and multiplexed");
    first_echo(&conn).await;
    assert_eq!(tenths(begun), LINK + 20, "first byte back");

    tokio::time::sleep(10 * ONE_WAY).await;
    let begun = Instant::now();
    first_echo(&conn).await;
    assert_eq!(tenths(begun), 10, "a second stream's first byte back");
}
