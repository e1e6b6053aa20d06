//! What a connection costs that does nothing.

use super::{Figures, Meter, object};
use crate::{Failure, account::resident, args::Client, node, protocol};
use serde_json::json;
use skep::SwarmConn;
use std::time::Duration;

/// Connections made before the memory is first read, so that what is made once is not counted.
const WARM: u64 = 16;

pub(crate) async fn run(args: &Client) -> Result<Figures, Failure> {
    let me = std::process::id();
    let mut kept = Vec::new();
    for _ in 0..WARM {
        kept.push(connect(args).await?);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (server_before, client_before) = (resident(args.server_pid), resident(me));
    for _ in 0..args.conns {
        kept.push(connect(args).await?);
    }
    let hold = Duration::from_millis(args.hold_ms);
    tokio::time::sleep(hold).await;
    let (server_after, client_after) = (resident(args.server_pid), resident(me));
    let meter = Meter::start(args.server_pid);
    tokio::time::sleep(hold).await;
    let (seconds, c, s) = meter.stop();
    let alive = count_alive(&kept).await;
    let n = args.conns as f64;
    Ok(object(json!({
        "conns": n, "alive": alive - WARM as f64, "server_rss_base": server_before,
        "server_bytes_per_conn": (server_after - server_before) / n,
        "client_bytes_per_node": (client_after - client_before) / n,
        "server_idle_cpu_pct": s.total / seconds * 100.0, "client_idle_cpu_pct": c.total / seconds * 100.0,
    })))
}

async fn connect(args: &Client) -> Result<(node::Client, SwarmConn), Failure> {
    let client = node::Client::new(&args.common.stack, &args.addr)?;
    let conn = client.connect().await?;
    let mut stream = node::open(&conn).await?;
    protocol::first_echo(&mut stream).await?;
    stream.finish().await?;
    if args.touch > 0 {
        let block = args.block as usize;
        protocol::upload(&mut node::open(&conn).await?, args.touch, block).await?;
        protocol::download(&mut node::open(&conn).await?, args.touch, block).await?;
    }
    Ok((client, conn))
}

async fn count_alive(kept: &[(node::Client, SwarmConn)]) -> f64 {
    let mut alive = 0.0;
    for (_, conn) in kept {
        let echo = async {
            let mut stream = node::open(conn).await?;
            protocol::first_echo(&mut stream).await?;
            Ok::<_, Failure>(())
        };
        if let Ok(Ok(())) = tokio::time::timeout(Duration::from_secs(5), echo).await {
            alive += 1.0;
        }
    }
    alive
}
