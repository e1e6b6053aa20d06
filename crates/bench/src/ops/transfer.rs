//! Bulk data over one connection, in one or several streams.

use super::{Figures, Meter, object};
use crate::{
    Failure,
    args::{Client, Op},
    node, protocol,
};
use serde_json::json;

pub(crate) async fn run(args: &Client) -> Result<Figures, Failure> {
    let client = node::Client::new(&args.common.stack, &args.addr)?;
    let conn = client.connect().await?;
    let mut streams = Vec::new();
    for _ in 0..args.streams {
        streams.push(node::open(&conn).await?);
    }
    let each = args.bytes.checked_div(args.streams).unwrap_or_default();
    let (op, block) = (args.op, args.block as usize);
    let meter = Meter::start(args.server_pid);
    let mut tasks = Vec::new();
    for mut stream in streams {
        tasks.push(tokio::spawn(async move {
            match op {
                Op::Upload => protocol::upload(&mut stream, each, block).await,
                _ => protocol::download(&mut stream, each, block).await,
            }
        }));
    }
    for task in tasks {
        task.await??;
    }
    let (seconds, c, s) = meter.stop();
    node::close(conn).await;
    let bytes = each.saturating_mul(args.streams) as f64;
    let gib = bytes / f64::from(1 << 30);
    Ok(object(json!({
        "bytes": bytes, "streams": args.streams, "secs": seconds, "bytes_per_sec": bytes / seconds,
        "cpu_per_gib": (c.total + s.total) / gib, "cpu_client": c.total, "cpu_server": s.total,
        "cpu_client_user": c.user, "cpu_client_sys": c.system,
        "cpu_server_user": s.user, "cpu_server_sys": s.system,
    })))
}
