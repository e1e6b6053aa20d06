//! `capture`: what a transcript says, who may read it, and what it costs those whose words it holds.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod inside;

use inside::{Folder, linked, memory, muxed, noise, yamux};
use skep_api::{
    BuildCx, Code, Keypair, Multiaddr, TaskScope,
    context::Spawn,
    decorator::Decorator,
    multiaddr::Protocol,
    security::{Role, SecureCx, Verifier},
};
use skep_testkit::{DuplexConfig, duplex};
use std::{
    future::Future,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex},
    task::Poll,
};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// The node's tasks, which end when the test says so.
#[derive(Clone, Debug, Default)]
struct Tasks {
    running: Arc<Mutex<Vec<JoinHandle<()>>>>,
    cancelled: CancellationToken,
}

impl Spawn for Tasks {
    fn spawn(&self, name: &'static str, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        assert_eq!(name, "decorator.capture");
        self.running.lock().unwrap().push(tokio::spawn(task));
    }
}

impl Tasks {
    fn started(&self) -> usize {
        self.running.lock().unwrap().len()
    }

    /// Shuts the node down, and waits until its tasks have ended.
    async fn shut_down(&self) {
        self.cancelled.cancel();
        let running = std::mem::take(&mut *self.running.lock().unwrap());
        for task in running {
            task.await.unwrap();
        }
    }
}

fn capture(file: &Path, table: &str) -> (Arc<dyn Decorator>, Tasks) {
    let (plugin, tasks) = (skep_decorators::capture::PLUGIN, Tasks::default());
    let scope = TaskScope::new(Arc::new(tasks.clone()), tasks.cancelled.clone());
    let table = format!("file = {:?}\n{table}", file.display().to_string());
    let cx = BuildCx::new(Keypair::generate_ed25519(), scope);
    ((plugin.build)(&inside::section(&plugin, &table), &cx).unwrap(), tasks)
}

/// Says this over a link of a decorated transport, and shuts the node down.
async fn say(decorator: &dyn Decorator, tasks: &Tasks, words: &[u8]) {
    let near = decorator.transport("memory", memory()).unwrap();
    let (mut near, mut far) = linked(&*near, &*memory()).await;
    near.write_all(words).await.unwrap();
    far.read_exact(&mut vec![0; words.len()]).await.unwrap();
    drop(near);
    tasks.shut_down().await;
}

/// The lines without the times that they begin with.
fn lines(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let untimed = |line: &str| match line.split_once(' ') {
        Some((time, rest)) if time.parse::<f64>().is_ok() => rest.to_string(),
        _ => line.to_string(),
    };
    text.lines().map(untimed).collect()
}

#[tokio::test]
async fn a_link_is_told_from_its_beginning_to_its_end() {
    let folder = Folder::new();
    let file = folder.path("transcript");
    let (decorator, tasks) = capture(&file, "bytes_per_event = 8");
    let transport = decorator.transport("memory", memory()).unwrap();
    let (mut near, mut far) = linked(&*transport, &*memory()).await;
    near.write_all(b"\x13/multistream/1.0.0\n").await.unwrap();
    far.read_exact(&mut [0; 20]).await.unwrap();
    far.write_all(b"ok").await.unwrap();
    far.shutdown().await.unwrap();
    near.read_to_end(&mut Vec::new()).await.unwrap();
    near.shutdown().await.unwrap();
    drop(near);
    assert!(transport.dial(&"/memory/9".parse().unwrap()).await.is_err());
    tasks.shut_down().await;

    let lines = lines(&file);
    assert!(lines[0].starts_with("# skep capture, begun "), "{lines:?}");
    assert!(lines[1].starts_with("transport.memory 1 - open outbound local=/memory/"), "{lines:?}");
    assert!(lines[1].contains(" remote=/memory/"));
    let expected = [
        "transport.memory 1 - sent 20 132f6d756c746973 |./multis| +12",
        "transport.memory 1 - received 2 6f6b |ok|",
        "transport.memory 1 - end_of_file",
        "transport.memory 1 - finished",
        "transport.memory 1 - dropped",
    ];
    assert_eq!(lines[2..7], expected);
    let refused = "transport.memory - - dial /memory/9 failed refused: the address refused the connection";
    assert!(lines[7].starts_with(refused), "{lines:?}");
    assert_eq!(lines.len(), 8);
}

/// Around a security upgrade the words are in the clear, and who said them.
#[tokio::test]
async fn above_security_is_what_the_peers_have_said() {
    let folder = Folder::new();
    let file = folder.path("transcript");
    let (decorator, tasks) = capture(&file, "");
    let (us, them) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let peer = them.public().to_peer_id();
    let (a, b) = duplex(DuplexConfig::default());
    let near = decorator.security("noise", noise(us)).unwrap();
    let far = noise(them);
    let cx = |role| SecureCx::new(role, Verifier::new(None), Vec::new());
    let far = tokio::spawn(async move {
        let (mut io, ..) = far.secure(b, cx(Role::Listener)).await.unwrap().into_parts();
        let mut heard = [0; 8];
        io.read_exact(&mut heard).await.unwrap();
        heard
    });
    let (mut io, ..) = near.secure(a, cx(Role::Dialer)).await.unwrap().into_parts();
    io.write_all(b"a secret").await.unwrap();
    io.flush().await.unwrap();
    assert_eq!(far.await.unwrap(), *b"a secret");
    tasks.shut_down().await;
    let lines = lines(&file);
    assert_eq!(lines[1], format!("security.noise 1 - open outbound peer={peer}"));
    assert_eq!(lines[2], "security.noise 1 - sent 8 6120736563726574 |a secret|");
}

#[tokio::test]
async fn streams_of_a_muxer_are_told_apart() {
    let folder = Folder::new();
    let file = folder.path("transcript");
    let (decorator, tasks) = capture(&file, "");
    let (near, far) = muxed(&*decorator.muxer("yamux", yamux()).unwrap(), &*yamux());
    let mut one = near.open().await.unwrap();
    let mut two = near.open().await.unwrap();
    one.write_all(b"one").await.unwrap();
    two.write_all(b"two").await.unwrap();
    one.flush().await.unwrap();
    two.flush().await.unwrap();
    drop((far.accept().await.unwrap(), far.accept().await.unwrap()));
    two.reset(Code(7));
    let (first, second) = (one.id(), two.id());
    drop((one, two));
    near.close(Code::NONE).await;
    // The driver's end is told by its own task.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    tasks.shut_down().await;
    let lines = lines(&file);
    for expected in [
        "muxer.yamux 1 - open outbound".to_string(),
        format!("muxer.yamux 1 {first} open outbound"),
        format!("muxer.yamux 1 {second} open outbound"),
        format!("muxer.yamux 1 {first} sent 3 6f6e65 |one|"),
        format!("muxer.yamux 1 {second} sent 3 74776f |two|"),
        format!("muxer.yamux 1 {second} reset code 0x7"),
        format!("muxer.yamux 1 {first} dropped"),
        "muxer.yamux 1 - ended: closed by this node (none)".to_string(),
    ] {
        assert!(lines.contains(&expected), "{expected} is not in {lines:#?}");
    }
}

/// An address that a peer has told may hold anything; a line stays a line.
#[tokio::test]
async fn what_comes_from_a_peer_forges_no_line() {
    let folder = Folder::new();
    let file = folder.path("transcript");
    let (decorator, tasks) = capture(&file, "");
    let transport = decorator.transport("memory", memory()).unwrap();
    let name = "a\n0.1 transport.memory 1 - sent 1 00 |.|\u{1b}[2J";
    let addr = Multiaddr::empty().with(Protocol::Dns(name.into())).with(Protocol::Tcp(1));
    assert!(transport.dial(&addr).await.is_err());
    tasks.shut_down().await;
    let lines = lines(&file);
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[1].starts_with("transport.memory - - dial /dns/a\\n0.1 transport.memory"), "{lines:#?}");
    assert!(!lines[1].contains('\u{1b}'));
}

#[tokio::test]
async fn nothing_is_opened_or_started_before_something_passes() {
    let folder = Folder::new();
    let file = folder.path("transcript");
    let (decorator, tasks) = capture(&file, "");
    let transport = decorator.transport("memory", memory()).unwrap();
    let _muxer = decorator.muxer("yamux", yamux()).unwrap();
    assert!(decorator.warning().is_some() && transport.supports(&"/memory/1".parse().unwrap()));
    assert!(!file.exists() && tasks.started() == 0);
    say(&*decorator, &tasks, b"now").await;
    assert!(file.exists());
}

#[cfg(unix)]
mod who_may_read {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn mode(file: &Path) -> u32 {
        std::fs::metadata(file).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn only_the_owner_of_a_new_file() {
        let folder = Folder::new();
        let file = folder.path("transcript");
        let (decorator, tasks) = capture(&file, "");
        say(&*decorator, &tasks, b"hello").await;
        assert_eq!(mode(&file), 0o600);
    }

    #[tokio::test]
    async fn only_the_owner_of_a_file_that_was_open_to_all() {
        for existing in ["append", "overwrite"] {
            let folder = Folder::new();
            let file = folder.path("transcript");
            std::fs::write(&file, "before\n").unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
            let (decorator, tasks) = capture(&file, &format!("existing = \"{existing}\""));
            say(&*decorator, &tasks, b"hello").await;
            assert_eq!(mode(&file), 0o600, "{existing}");
            assert!(lines(&file).iter().any(|line| line.ends_with("|hello|")));
        }
    }

    /// Neither what a link leads to nor what is no file is written, and the connections go on.
    #[tokio::test]
    async fn a_link_is_not_followed() {
        for existing in ["refuse", "append", "overwrite"] {
            let folder = Folder::new();
            let (target, link) = (folder.path("target"), folder.path("link"));
            std::fs::write(&target, "before\n").unwrap();
            symlink(&target, &link).unwrap();
            let (decorator, tasks) = capture(&link, &format!("existing = \"{existing}\""));
            say(&*decorator, &tasks, b"hello").await;
            assert_eq!(std::fs::read_to_string(&target).unwrap(), "before\n", "{existing}");
        }
    }

    #[tokio::test]
    async fn a_folder_is_no_file() {
        let folder = Folder::new();
        let (decorator, tasks) = capture(&folder.path("."), "existing = \"append\"");
        say(&*decorator, &tasks, b"hello").await;
    }
}

#[tokio::test]
async fn a_file_that_is_there_is_left_appended_to_or_overwritten() {
    for (existing, kept, written) in
        [("refuse", true, false), ("append", true, true), ("overwrite", false, true)]
    {
        let folder = Folder::new();
        let file = folder.path("transcript");
        std::fs::write(&file, "before, and longer than what comes after it\n".repeat(100)).unwrap();
        let (decorator, tasks) = capture(&file, &format!("existing = \"{existing}\""));
        say(&*decorator, &tasks, b"hello").await;
        let lines = lines(&file);
        assert_eq!(lines[0].starts_with("before"), kept, "{existing}");
        assert_eq!(lines.iter().any(|line| line.ends_with("|hello|")), written, "{existing}");
        if !kept {
            assert!(lines.iter().all(|line| !line.starts_with("before")), "{existing}");
        }
    }
}

#[tokio::test]
async fn a_transcript_ends_with_a_note_when_it_is_full() {
    let folder = Folder::new();
    let file = folder.path("transcript");
    let (decorator, tasks) = capture(&file, "max_size = \"4KiB\"");
    let near = decorator.transport("memory", memory()).unwrap();
    let (mut near, mut far) = linked(&*near, &*memory()).await;
    for _ in 0..100 {
        near.write_all(&[b'x'; 100]).await.unwrap();
        far.read_exact(&mut [0; 100]).await.unwrap();
        tokio::task::yield_now().await;
    }
    tasks.shut_down().await;
    let size = std::fs::metadata(&file).unwrap().len();
    assert!((3_500..=4_096).contains(&size), "{size} bytes");
    let lines = lines(&file);
    assert_eq!(lines.last().unwrap(), "# the transcript ends: the file has reached max_size = 4KiB");
    // And the connection goes on.
    near.write_all(b"still here").await.unwrap();
    far.read_exact(&mut [0; 10]).await.unwrap();
}

/// Whoever writes does not wait for the disk: what the queue has no room for is counted.
#[tokio::test]
async fn what_the_queue_has_no_room_for_is_counted() {
    let folder = Folder::new();
    let file = folder.path("transcript");
    let (decorator, tasks) = capture(&file, "");
    let near = decorator.transport("memory", memory()).unwrap();
    let (mut near, _far) = linked(&*near, &*memory()).await;
    // One poll each, and no turn for the writer in between.
    std::future::poll_fn(|cx| {
        for n in 0..1_000u32 {
            let written = Pin::new(&mut near).poll_write(cx, &n.to_be_bytes());
            assert!(matches!(written, Poll::Ready(Ok(4))), "{written:?}");
        }
        Poll::Ready(())
    })
    .await;
    // The writer empties the queue, and the next event finds room.
    while !std::fs::read_to_string(&file).is_ok_and(|text| text.lines().count() > 200) {
        tokio::task::yield_now().await;
    }
    near.write_all(b"the end").await.unwrap();
    tasks.shut_down().await;
    let lines = lines(&file);
    let told = lines.iter().filter(|line| line.contains(" sent 4 ")).count();
    let missing: usize = lines
        .iter()
        .filter_map(|line| line.strip_prefix("# ")?.strip_suffix(" events are missing: the queue was full"))
        .map(|count| count.parse::<usize>().unwrap())
        .sum();
    assert_eq!(told + missing, 1_000, "{told} told, {missing} missing");
    assert!(told >= 200 && missing >= 700, "{told} told, {missing} missing");
    // They are missing where the note is.
    let note = lines.iter().position(|line| line.contains("are missing")).unwrap();
    let (before, after) = (&lines[note - 1], &lines[note + 1]);
    assert!(before.contains(" sent 4 ") && after.ends_with("|the end|"), "{before} / {after}");
}

#[test]
fn the_operator_is_told_what_is_recorded_and_where() {
    let folder = Folder::new();
    let file = folder.path("transcript");
    let (decorator, _) = capture(&file, "");
    let file = format!("{:?}", file.display().to_string());
    assert_eq!(
        decorator.warning().unwrap(),
        format!(
            "decorator capture records traffic in the file {file}, decrypted where it passes above security: whoever \
             reads the file reads what the peers said"
        )
    );
    let _transport = decorator.transport("tcp", memory());
    let _muxer = decorator.muxer("yamux/lan", yamux());
    let warning = decorator.warning().unwrap();
    assert!(warning.contains(&format!("traffic at transport.tcp, muxer.yamux/lan in the file {file}")));
}
