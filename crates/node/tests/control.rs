//! The control socket: its protocol and its bounds, and the commands that use it.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

#[path = "support/process.rs"]
mod process;
mod support;

use process::{Node, output, skep, text};
use serde_json::{Value, json};
use skep::{
    Swarm,
    api::{Keypair, Multiaddr, TaskScope, config::DurationText, multiaddr::Protocol},
    control::{
        ControlError, Request, SOME_ENTRIES, What, ask,
        backoff::{Cleared, List},
        serve,
        status::{About, Status},
    },
    swarm::DialSettings,
};
use std::{
    fs::{self, DirBuilder},
    net::TcpListener,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use support::{layers, with_tcp};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
};

const LIST: &str = r#"{"command":"backoff.list"}"#;
const LINE: usize = 64 * 1024;
const CLIENTS: usize = 16;

/// A folder of one test in the system's, as the paths of sockets have to be short. It goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("skep-control-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&folder).unwrap();
        Self(folder)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("skep.sock")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn about() -> About {
    About::new("default", None)
}

/// A node in this process, with its control socket.
struct Served {
    swarm: Swarm,
    path: PathBuf,
    _folder: Folder,
}

impl Served {
    async fn new() -> Self {
        let folder = Folder::new();
        let (swarm, tasks) = node();
        let path = folder.socket();
        serve(&path, &swarm, about(), &tasks).await.unwrap();
        Self { swarm, path, _folder: folder }
    }

    async fn client(&self) -> Client {
        Client(BufReader::new(UnixStream::connect(&self.path).await.unwrap()))
    }

    async fn shutdown(&self) {
        let report = self.swarm.shutdown(Duration::from_secs(5)).await;
        assert!(report.forced.is_empty(), "{report:?}");
    }
}

/// A node that remembers for longer than any test takes.
fn node() -> (Swarm, TaskScope) {
    let hour = DurationText::secs(3600);
    let settings =
        DialSettings { backoff_base: hour, backoff_max: hour, negative_ttl: hour, ..DialSettings::default() };
    let builder = with_tcp(layers()).dial(settings);
    let tasks = builder.build_cx().tasks.clone();
    (builder.build().unwrap(), tasks)
}

/// A client that says what it likes.
struct Client(BufReader<UnixStream>);

impl Client {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// The next answer; `None` when the node has hung up.
    async fn answer(&mut self) -> Option<Value> {
        let mut line = String::new();
        // A node that hangs up on unread bytes resets the connection.
        self.0.read_line(&mut line).await.unwrap_or(0);
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
    }

    async fn ask(&mut self, line: &str) -> Value {
        self.send(format!("{line}\n")).await;
        self.answer().await.unwrap()
    }
}

#[tokio::test]
async fn what_failed_is_listed_until_it_is_cleared() {
    let node = Served::new().await;
    let peer = Keypair::generate_ed25519().public().to_peer_id();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let addr: Multiaddr = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
    let dial = async || node.swarm.dial_addr(&addr.clone().with(Protocol::P2p(peer))).await.unwrap_err();
    let list = async || ask::<List>(&node.path, &Request::BackoffList {}).await.unwrap();
    let clear = async |what, value: Option<String>| {
        ask::<Cleared>(&node.path, &Request::BackoffClear { what, value }).await.unwrap().forgotten
    };

    assert!(list().await.is_empty());
    dial().await;
    let listed = list().await;
    let [address] = listed.addresses.as_slice() else { panic!("{listed:?}") };
    assert_eq!((&address.address, &address.peer_id), (&addr.to_string(), &Some(peer.to_string())));
    assert_eq!((address.failures, &*address.code), (1, "refused"));
    assert!(address.seconds_left > 0.0);
    assert_eq!(listed.load.in_flight, 0);
    assert_eq!(listed.paths.iter().map(|path| &*path.path).collect::<Vec<_>>(), ["UDP", "IPv6"]);

    let another = Keypair::generate_ed25519().public().to_peer_id();
    assert_eq!(clear(What::Peer, Some(another.to_string())).await, 0);
    let known = listed.addresses.len() + listed.peers.len();
    assert_eq!(clear(What::Peer, Some(peer.to_string())).await, known);
    assert!(list().await.is_empty());

    dial().await;
    assert_eq!(clear(What::Addr, Some(addr.to_string())).await, 1);
    assert!(list().await.addresses.is_empty());

    clear(What::All, None).await;
    dial().await;
    assert_eq!(clear(What::All, None).await, known);
    assert!(list().await.is_empty());
}

#[tokio::test]
async fn a_client_asks_as_often_as_it_likes_and_mistakes_do_not_end_it() {
    let node = Served::new().await;
    let mut client = node.client().await;
    for (line, error) in [
        ("nonsense", "the request is not JSON: expected ident at line 1 column 2"),
        ("", "the request is not JSON: EOF while parsing a value at line 1 column 0"),
        ("{}", "the request has no text `command`"),
        (r#"{"command":"backoff"}"#, "unknown command \"backoff\""),
        (
            r#"{"command":"backoff.clear","what":"peer","value":7}"#,
            "backoff.clear: invalid type: integer `7`",
        ),
        (r#"{"command":"backoff.clear","what":"peer"}"#, "backoff.clear: no value"),
    ] {
        let answer = client.ask(line).await;
        assert_eq!(answer["ok"], false);
        assert!(answer["error"].as_str().unwrap().starts_with(error), "{answer}");
        assert!(answer["advice"].is_string());
    }
    let unknown = client.ask(r#"{"command":"stat"}"#).await;
    assert_eq!(unknown["advice"], "known here: backoff.list, backoff.clear, prune, reload, status");
    assert_eq!(client.ask(LIST).await["ok"], true);
    assert_eq!(
        client.ask(r#"{"command":"backoff.clear","what":"all"}"#).await,
        json!({"ok":true,"forgotten":0})
    );
}

#[tokio::test]
async fn bytes_that_are_no_text_are_a_mistake_like_others() {
    let node = Served::new().await;
    let mut client = node.client().await;
    client.send(b"\"\xff\xfe\"\n").await;
    assert_eq!(client.answer().await.unwrap()["ok"], false);
    let deep = "[".repeat(LINE - 1);
    assert!(client.ask(&deep).await["error"].as_str().unwrap().contains("recursion limit"));
    assert_eq!(client.ask(LIST).await["ok"], true);
}

#[tokio::test]
async fn the_last_line_needs_no_end() {
    let node = Served::new().await;
    let mut client = node.client().await;
    client.send(LIST).await;
    client.0.shutdown().await.unwrap();
    assert_eq!(client.answer().await.unwrap()["ok"], true);
    assert_eq!(client.answer().await, None);
}

#[tokio::test]
async fn a_line_that_is_too_long_is_refused_and_ends_the_client() {
    let node = Served::new().await;
    let mut client = node.client().await;
    client.send(vec![b' '; LINE + 1]).await;
    assert_eq!(client.answer().await.unwrap()["error"], "the request is longer than 65536 bytes");
    assert_eq!(client.answer().await, None);

    let mut longest = node.client().await;
    let request = format!("{LIST}{}", " ".repeat(LINE - LIST.len()));
    assert_eq!(longest.ask(&request).await["ok"], true);
}

#[tokio::test]
async fn one_client_more_than_there_is_room_for_is_told_so() {
    let node = Served::new().await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = node.client().await;
        assert_eq!(client.ask(LIST).await["ok"], true);
        clients.push(client);
    }
    let refused = ask::<List>(&node.path, &Request::BackoffList {}).await.unwrap_err();
    assert!(matches!(&refused, ControlError::Refused(_)), "{refused:?}");
    assert_eq!(refused.to_string(), "the node refuses: 16 clients are connected already");
    assert_eq!(clients[0].ask(LIST).await["ok"], true);

    // The place is free when the node has seen that the client is gone, which is soon.
    clients.pop();
    let room = async {
        while ask::<List>(&node.path, &Request::BackoffList {}).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(process::HANG, room).await.expect("there is room again");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_hung_up_on() {
    let node = Served::new().await;
    let (mut silent, mut slow) = (node.client().await, node.client().await);
    slow.send("{\"command\":").await;
    assert_eq!((silent.answer().await, slow.answer().await), (None, None));
    assert_eq!(node.client().await.ask(LIST).await["ok"], true);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_holds_up_nobody() {
    let node = Served::new().await;
    let mut deaf = node.client().await;
    // Until the answers fill the socket and the node reads no further.
    let requests = format!("{LIST}\n").repeat(1_000_000);
    let sent = tokio::time::timeout(Duration::from_secs(1), deaf.0.write_all(requests.as_bytes())).await;
    assert!(sent.is_err(), "the node has read all of it");
    assert_eq!(node.client().await.ask(LIST).await["ok"], true);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut rest = Vec::new();
    let _ = deaf.0.read_to_end(&mut rest).await;
    assert!(rest.len() < requests.len(), "the node has hung up");
}

#[tokio::test]
async fn shutdown_hangs_up_and_takes_the_file_away() {
    let node = Served::new().await;
    let mut client = node.client().await;
    assert_eq!(client.ask(LIST).await["ok"], true);
    node.shutdown().await;
    assert_eq!(client.answer().await, None);
    assert!(!node.path.exists());
    let error = ask::<List>(&node.path, &Request::BackoffList {}).await.unwrap_err();
    assert!(matches!(error, ControlError::Missing(..)), "{error:?}");
}

#[tokio::test]
async fn a_path_that_another_node_uses_stays_its_own() {
    let first = Served::new().await;
    let (second, tasks) = node();
    let error = serve(&first.path, &second, about(), &tasks).await.unwrap_err();
    assert!(matches!(&error, ControlError::InUse(path) if *path == first.path), "{error:?}");
    second.shutdown(Duration::from_secs(5)).await;
    assert_eq!(first.client().await.ask(LIST).await["ok"], true);
}

#[tokio::test]
async fn who_is_not_a_node_is_told_apart() {
    let folder = Folder::new();
    let path = folder.socket();
    let asked = async || ask::<List>(&path, &Request::BackoffList {}).await.unwrap_err();
    fs::write(&path, "a file").unwrap();
    assert!(matches!(asked().await, ControlError::NotASocket(_)));
    fs::remove_file(&path).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let reply = |bytes: &'static [u8]| {
        let listener = listener.try_clone().unwrap();
        std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            std::io::BufRead::read_line(&mut std::io::BufReader::new(&client), &mut String::new()).unwrap();
            std::io::Write::write_all(&mut client, bytes).unwrap();
        })
    };
    for bytes in [&b"hello\n"[..], b"{}\n", b"{\"ok\":true}\n", b"{\"ok\":false}\n"] {
        let other = reply(bytes);
        assert!(matches!(asked().await, ControlError::Garbled(..)));
        other.join().unwrap();
    }
    let other = reply(b"");
    assert!(matches!(asked().await, ControlError::Closed(..)));
    other.join().unwrap();
    let other = reply(b"{\"ok\":false,\"error\":\"a\\u001bb\",\"advice\":\"c\\u001bd\"}\n");
    let refused = asked().await;
    assert_eq!((&*refused.to_string(), &*refused.advice()), ("the node refuses: a\\u{1b}b", "c\\u{1b}d"));
    other.join().unwrap();
    drop(listener);
    // A child that another test starts holds the listener, too, until it has become another program.
    let mut error = asked().await;
    while matches!(error, ControlError::Closed(..) | ControlError::TimedOut(..)) {
        error = asked().await;
    }
    assert!(matches!(error, ControlError::Abandoned(..)), "{error:?}");
}

#[test]
fn run_says_where_the_socket_is_and_backoff_finds_it() {
    let folder = Folder::new();
    let path = folder.socket();
    let control = path.to_str().unwrap();
    let node = Node::start(&["run", "--control", control]);
    let lines = node.until("Ctrl-C stops the node");
    let at = lines.iter().position(|line| line == "control socket").unwrap();
    assert_eq!(lines[at + 1], format!("  {control}"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let list = output(&["backoff", "list", "--control", control]);
    let expected = "nothing is left alone\n\n\
        paths\n  \
        path  state  succeeded     window\n  \
        UDP   open   0 of 0 dials  100\n  \
        IPv6  open   0 of 0 dials  100\n\n\
        0 dials in flight, 0 addresses outstanding, 0 queued\n";
    assert_eq!((list.status.code(), text(&list.stdout), text(&list.stderr)), (Some(0), expected, ""));
    let list: Value =
        serde_json::from_slice(&output(&["backoff", "list", "--json", "--control", control]).stdout).unwrap();
    assert_eq!((&list["ok"], &list["addresses"], &list["peers"]), (&json!(true), &json!([]), &json!([])));
    assert_eq!(list["load"], json!({ "in_flight": 0, "outstanding": 0, "queued": 0 }));
    assert_eq!(list["paths"][0]["path"], "UDP");

    let clear = |target: &[&str]| output(&[&["backoff", "clear", "--control", control], target].concat());
    assert_eq!(text(&clear(&[]).stdout), "nothing was left alone\n");
    let addr = "/ip4/192.0.2.1/tcp/4001";
    assert_eq!(text(&clear(&[addr]).stdout), format!("nothing of {addr} was left alone\n"));
    assert_eq!(text(&clear(&["--json"]).stdout), "{\"ok\":true,\"forgotten\":0}\n");

    node.signal("TERM");
    assert_eq!(node.end(), (Some(0), String::new()));
    assert!(!path.exists());
}

#[test]
fn the_variable_stands_for_the_flag_and_json_names_the_socket() {
    let folder = Folder::new();
    let path = folder.socket();
    let with = |args: &[&str]| {
        let mut command = skep(args);
        command.env("SKEP_CONTROL", &path);
        command
    };
    let node = Node::spawn(&mut with(&["run", "--json"]));
    let running: Value = serde_json::from_str(&node.line()).unwrap();
    assert_eq!(running["control"], path.to_str().unwrap());
    assert_eq!(with(&["backoff", "list"]).status().unwrap().code(), Some(0));
    let second = with(&["run"]).output().unwrap();
    let expected = format!(
        "error: another node uses the control socket {}\n  \
         → give each node a path of its own, or stop the other one\n",
        path.display()
    );
    assert_eq!((second.status.code(), text(&second.stderr)), (Some(1), &*expected));
    assert_eq!(with(&["backoff", "list"]).status().unwrap().code(), Some(0));
}

#[test]
fn a_node_that_was_killed_leaves_a_socket_that_the_next_one_replaces() {
    let folder = Folder::new();
    let path = folder.socket();
    let control = path.to_str().unwrap();
    let killed = Node::start(&["run", "--control", control]);
    killed.address();
    killed.signal("KILL");
    assert_eq!(killed.end().0, None);
    let list = output(&["backoff", "list", "--control", control]);
    assert_eq!(list.status.code(), Some(1));
    let error = format!("error: nobody listens at the control socket {control}: Connection refused");
    assert!(text(&list.stderr).starts_with(&error), "{}", text(&list.stderr));

    let next = Node::start(&["run", "--control", control]);
    next.address();
    assert_eq!(output(&["backoff", "list", "--control", control]).status.code(), Some(0));
}

#[test]
fn without_a_node_it_is_said_what_to_do() {
    let folder = Folder::new();
    let path = folder.socket();
    let control = path.to_str().unwrap();
    let list = output(&["backoff", "list", "--control", control]);
    let expected = format!(
        "error: no control socket is at {control}: No such file or directory (os error 2)\n  \
         → start the node with `skep run --control {control}`, or give the path that it has said\n"
    );
    assert_eq!((list.status.code(), text(&list.stdout), text(&list.stderr)), (Some(1), "", &*expected));
    let json = output(&["backoff", "list", "--json", "--control", control]);
    let report: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((json.status.code(), &report["ok"]), (Some(1), &json!(false)));
    assert!(report["advice"].as_str().unwrap().starts_with("start the node with "));
}

#[test]
fn a_file_at_the_path_keeps_the_node_from_starting() {
    let folder = Folder::new();
    let path = folder.socket();
    fs::write(&path, "precious").unwrap();
    let run = output(&["run", "--control", path.to_str().unwrap()]);
    let expected = format!(
        "error: {} is not a control socket and is left as it is\n  \
         → give another path, or move that file away\n",
        path.display()
    );
    assert_eq!((run.status.code(), text(&run.stderr)), (Some(1), &*expected));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[test]
fn wrong_usage_of_backoff_is_status_2() {
    for args in [
        &["backoff"][..],
        &["backoff", "list"],
        &["backoff", "clear"],
        &["backoff", "clear", "localhost", "--control", "/nowhere"],
        &["run", "--control"],
    ] {
        assert_eq!(output(args).status.code(), Some(2), "{args:?}");
    }
}

#[tokio::test]
async fn status_shows_what_is_there() {
    let (served, (peer, _)) = (Served::new().await, node());
    let swarm = &served.swarm;
    let addr = peer.listen(&"/ip4/127.0.0.1/tcp/0".parse().unwrap()).await.unwrap().remove(0);
    let conn = swarm.dial_addr(&addr).await.unwrap();
    swarm.tag_peer(&peer.peer_id(), "dht", 7).unwrap();
    swarm.protect(&peer.peer_id(), "app").unwrap();
    let _lease = conn.lease();

    let request = |max, config| Request::Status { max, streams: true, config };
    let status: Status = ask(&served.path, &request(SOME_ENTRIES, true)).await.unwrap();
    assert_eq!((status.peer_id, status.profile), (swarm.peer_id().to_string(), "default".into()));
    // Composed in code, it has none.
    assert_eq!(status.config, None);
    let shown = &status.connections[0];
    assert_eq!((shown.id, &shown.peer_id), (conn.id(), &peer.peer_id().to_string()));
    assert_eq!((shown.direction.as_str(), shown.kind.as_str(), shown.leases), ("outbound", "direct", 1));
    assert_eq!((shown.transport.as_str(), shown.remote.as_str()), ("tcp", addr.to_string().as_str()));
    assert_eq!((status.totals.connections, status.totals.outbound, status.totals.tagged_peers), (1, 1, 1));
    assert_eq!((status.tags[0].value, &status.tags[0].protected_by), (7, &vec!["app".to_string()]));

    // What is left out is still counted, and the configuration is told when it is asked for.
    let status: Status = ask(&served.path, &request(0, false)).await.unwrap();
    assert_eq!((status.connections.len(), status.tags.len(), status.config), (0, 0, None));
    assert_eq!((status.totals.connections, status.totals.tagged_peers), (1, 1));
    served.shutdown().await;
}
