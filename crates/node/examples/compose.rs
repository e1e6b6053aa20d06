//! Two nodes composed in code, without a profile: `cargo run -p skep --example compose`.

use skep::{
    Swarm, SwarmBuilder,
    api::{BuildCx, ConfigErrors, ConfigSection, Keypair, config::DurationText, multiaddr::Protocol},
    protocols::ping,
    transport_tcp::{Config, TcpTransport},
};
use std::{error::Error, sync::Arc, time::Duration};

/// A layer is a trait object: made by hand, or by a plugin from its table.
fn node() -> Result<Swarm, Box<dyn Error>> {
    let builder = SwarmBuilder::new(Keypair::generate_ed25519());
    let cx = builder.build_cx().clone();
    let tcp = Config { connect_timeout: DurationText::secs(2), ..Config::default() };
    let builder = builder
        .transport("tcp", Arc::new(TcpTransport::new(tcp)))
        .security("noise", plain(skep::security_noise::PLUGIN.build, &cx)?)
        .muxer("yamux", plain(skep::muxer_yamux::PLUGIN.build, &cx)?)
        .protocol("ping", plain(ping::PLUGIN.build, &cx)?);
    Ok(builder.build()?)
}

type Made<T> = Result<T, ConfigErrors>;

/// A plugin by its defaults.
fn plain<T>(build: fn(&ConfigSection, &BuildCx) -> Made<T>, cx: &BuildCx) -> Made<T> {
    build(&ConfigSection::empty("by default"), cx)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (server, client) = (node()?, node()?);
    let bound = server.listen(&"/ip4/127.0.0.1/tcp/0".parse()?).await?;
    let addr = bound.into_iter().next().ok_or("no address")?.with(Protocol::P2p(server.peer_id()));

    let conn = client.dial_addr(&addr).await?;
    let mut stream = conn.open_stream(&[ping::PROTOCOL.into()]).await?;
    println!("{} answered in {:?}", conn.peer(), ping::ping(&mut stream).await?);
    stream.finish().await?;
    client.shutdown(Duration::from_secs(1)).await;
    server.shutdown(Duration::from_secs(1)).await;
    Ok(())
}
