//! The server: takes clients, within bounds, for as long as the node runs.

use crate::{answer::answer, error::ServeError, exporter::Exporter};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use skep_api::{TaskScope, metrics::Sink};
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};

/// Clients at once; more are told so and hung up on.
const MAX_CLIENTS: usize = 16;
/// The longest request, in bytes.
const MAX_REQUEST: usize = 16 << 10;
/// Most headers of a request.
const MAX_HEADERS: usize = 64;
/// How long a client may take for its request.
const REQUEST: Duration = Duration::from_secs(5);
/// How long a client may take for all of it, the reading of the answer included.
const CONNECTION: Duration = Duration::from_secs(10);
/// The pause after a client could not be taken, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(500);

const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\nconnection: close\r\n\
    retry-after: 10\r\ncontent-length: 38\r\n\r\ntoo many clients at once; retry later\n";

/// Offers the instruments of `sink` at `addr` until the node ends. Returns the address with its port.
///
/// `tasks` is the node's scope, from [`BuildCx`](skep_api::BuildCx): shutdown ends the clients, too.
///
/// # Errors
/// [`ServeError`] if the address cannot be bound.
pub async fn serve(addr: SocketAddr, sink: &Sink, tasks: &TaskScope) -> Result<SocketAddr, ServeError> {
    let fail = |error| ServeError::new(addr, error);
    let listener = TcpListener::bind(addr).await.map_err(fail)?;
    let bound = listener.local_addr().map_err(fail)?;
    if !bound.ip().is_loopback() {
        tracing::warn!(address = %bound, "Metrics are offered beyond this host, to whoever can reach it.");
    }
    let (exporter, scope) = (Exporter::new(sink.clone()), tasks.clone());
    tasks.spawn("metrics", async move {
        let cancelled = scope.cancelled().clone();
        tokio::select! {
            () = cancelled.cancelled() => {}
            () = accept(&listener, &exporter, &scope) => {}
        }
    });
    Ok(bound)
}

/// Takes one client after the other. Never waits for one of them.
async fn accept(listener: &TcpListener, exporter: &Exporter, tasks: &TaskScope) {
    let room = Arc::new(Semaphore::new(MAX_CLIENTS));
    loop {
        let mut client = match listener.accept().await {
            Ok((client, _)) => client,
            Err(error) => {
                tracing::warn!(%error, "A client of the metrics could not be taken.");
                sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            // A new socket has room for it: this does not wait.
            let _ = timeout(PAUSE, client.write_all(TOO_MANY)).await;
            continue;
        };
        let (exporter, cancelled) = (exporter.clone(), tasks.cancelled().clone());
        tasks.spawn("metrics client", async move {
            let _place = place;
            let _ = cancelled.run_until_cancelled(timeout(CONNECTION, talk(client, &exporter))).await;
        });
    }
}

/// Answers the one request of a client.
async fn talk(client: TcpStream, exporter: &Exporter) {
    let service = service_fn(|request| {
        let response = answer(&request, exporter);
        async move { Ok::<_, Infallible>(response) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_REQUEST)
        .max_buf_size(MAX_REQUEST)
        // A client that has been answered makes room for the next.
        .keep_alive(false)
        .serve_connection(TokioIo::new(client), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "A client of the metrics is gone.");
    }
}
