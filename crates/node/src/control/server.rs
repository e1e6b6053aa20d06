//! The node's end: takes clients, within bounds, for as long as the node runs.

use super::{
    answer::{answer, refused},
    error::ControlError,
    line::{self, Line},
    protocol::Refusal,
    socket::{self, ControlSocket},
    status::About,
};
use skep_api::TaskScope;
use skep_swarm::Swarm;
use std::{io, path::Path, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::UnixStream,
    sync::Semaphore,
    time::timeout,
};

/// Clients at once; more are told so and hung up on.
const MAX_CLIENTS: usize = 16;
/// The longest request.
const MAX_REQUEST: usize = 64 << 10;
/// How long a client may take for a request, from the answer to the one before.
const IDLE: Duration = Duration::from_secs(30);
/// How long a client may take to read an answer.
const WRITE: Duration = Duration::from_secs(10);
/// The pause after a client could not be taken, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(500);

/// Offers a control socket at `path` until the node ends, and then takes the file away.
///
/// `tasks` is the node's scope, from [`BuildCx`](skep_api::BuildCx): shutdown ends the clients, too.
///
/// # Errors
/// [`ControlError`] where there cannot be a socket, as when another node uses that path.
pub async fn serve(path: &Path, node: &Swarm, about: About, tasks: &TaskScope) -> Result<(), ControlError> {
    let socket = socket::bind(path).await?;
    let (node, about, scope) = (node.clone(), Arc::new(about), tasks.clone());
    tasks.spawn("control", async move {
        let cancelled = scope.cancelled().clone();
        tokio::select! {
            () = cancelled.cancelled() => {}
            () = accept(&socket, &node, &about, &scope) => {}
        }
    });
    Ok(())
}

/// Takes one client after the other. Never waits for one of them.
async fn accept(socket: &ControlSocket, node: &Swarm, about: &Arc<About>, tasks: &TaskScope) {
    let room = Arc::new(Semaphore::new(MAX_CLIENTS));
    loop {
        let mut client = match socket.accept().await {
            Ok(client) => client,
            Err(error) => {
                tracing::warn!(%error, "A client of the control socket could not be taken.");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            // A new socket has room for one line: this does not wait.
            let _ = timeout(PAUSE, client.write_all(&refused(too_many()))).await;
            continue;
        };
        let (node, about, cancelled) = (node.clone(), Arc::clone(about), tasks.cancelled().clone());
        tasks.spawn("control client", async move {
            let _place = place;
            tokio::select! {
                () = cancelled.cancelled() => {}
                ended = talk(client, &node, &about) => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "A client of the control socket is gone.");
                    }
                }
            }
        });
    }
}

/// Answers one client, line by line, until it ends, takes too long or says too much.
async fn talk(mut client: UnixStream, node: &Swarm, about: &About) -> io::Result<()> {
    let (reader, mut writer) = client.split();
    let mut reader = BufReader::new(reader);
    loop {
        let line = timeout(IDLE, line::read(&mut reader, MAX_REQUEST)).await??;
        let (answer, more) = match line {
            Line::Whole(line) => (answer(&line, node, about).await, true),
            Line::TooLong => (refused(too_long()), false),
            Line::End => return Ok(()),
        };
        timeout(WRITE, writer.write_all(&answer)).await??;
        if !more {
            return Ok(());
        }
    }
}

fn too_many() -> Refusal {
    Refusal::new(format!("{MAX_CLIENTS} clients are connected already"), "try again when one of them is done")
}

fn too_long() -> Refusal {
    Refusal::new(format!("the request is longer than {MAX_REQUEST} bytes"), "send one object a line")
}
