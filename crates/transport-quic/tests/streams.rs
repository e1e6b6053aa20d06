//! Streams over QUIC connections on loopback: how they end, and what each end is told.

mod ends;
mod relay;

use ends::{connect_at, connection, listen, multiaddr_of, socket_of, transport};
use relay::Relay;
use skep_testkit::{
    harness::{Broken, Clock},
    suite::streams::{Carries, Connected, Fixture},
};
use std::sync::Arc;

/// A silent peer is found soon, and windows are small, so that writers come to wait for readers.
const TABLE: &str = "
    idle_timeout = \"3s\"
    keep_alive = \"500ms\"
    stream_window = 262144
    connection_window = 2097152
    send_window = 2097152
";

async fn connect() -> Result<Connected, Broken> {
    let (dialer, node) = (transport(TABLE), transport(TABLE));
    let (mut listener, addr) = listen(&node).await;
    let relay = Relay::to(socket_of(&addr));
    let (dialed, accepted) = connect_at(&dialer, &mut listener, &multiaddr_of(relay.addr)).await;
    let cut = relay.cut();
    let cut = Arc::new(move || {
        let _lives_as_long = &relay;
        cut();
    });
    Ok(Connected::muxed(connection(dialed), connection(accepted), cut))
}

fn quic() -> Fixture {
    Fixture::new(Clock::Real, Carries::QUIC, connect)
}

mod dialer_opens {
    skep_testkit::streams_suite!(super::quic());
}
mod listener_opens {
    skep_testkit::streams_suite!(super::quic().opened_by(skep_api::security::Role::Listener));
}
