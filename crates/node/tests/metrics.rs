//! Metrics of a node: that they are counted, bounded, told in the documents, and offered by `skep run`.
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
use serde_json::Value;
use skep::{
    DialOptions, Swarm, SwarmBuilder,
    api::{
        Code, ConfigSection, Keypair, Multiaddr, PeerId,
        metrics::{Instrument, Series, Sink, Snapshot},
        multiaddr::Protocol,
    },
    metrics_prometheus::Exporter,
    transport_memory::MemoryHub,
};
use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    time::Duration,
};
use support::{ECHO, RESET, echo_works, layers_with, sim};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A node of the simulated network that counts.
fn node(hub: &MemoryHub) -> (Swarm, Sink) {
    let sink = Sink::new();
    (sim::on_with(&sim::Sim::new(hub), layers_with(builder(&sink))).build().unwrap(), sink)
}

fn builder(sink: &Sink) -> SwarmBuilder {
    SwarmBuilder::new(Keypair::generate_ed25519()).metrics(sink.clone())
}

/// Two nodes with a connection between them, and the sinks of both: of the one that listens, and of the one that dials.
async fn pair() -> (skep::SwarmConn, (Swarm, Sink), (Swarm, Sink)) {
    let hub = MemoryHub::new();
    let (server, client) = (node(&hub), node(&hub));
    let addr = listen(&server.0).await;
    (client.0.dial_addr(&addr).await.unwrap(), server, client)
}

async fn listen(swarm: &Swarm) -> Multiaddr {
    let addrs = swarm.listen(&"/memory/0".parse().unwrap()).await.unwrap();
    addrs[0].clone().with(Protocol::P2p(swarm.peer_id()))
}

/// The lines of a metric, without its name.
fn lines(sink: &Sink, metric: &str) -> Vec<String> {
    let text = Exporter::new(sink.clone()).render().unwrap();
    let of =
        |line: &str| line.strip_prefix(metric).filter(|rest| rest.starts_with([' ', '{'])).map(String::from);
    text.lines().filter_map(of).collect()
}

/// Waits, on the clock of the test, until a metric has a line.
async fn until(sink: &Sink, metric: &str, line: &str) {
    for _ in 0..1000 {
        if lines(sink, metric).iter().any(|found| found == line) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no {metric}{line} among {:#?}", lines(sink, metric));
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_counted_from_its_handshake_to_its_end_on_both_sides() {
    let (conn, (server, at_server), (_client, at_client)) = pair().await;
    echo_works(&conn).await;
    for (sink, direction) in [(&at_server, "inbound"), (&at_client, "outbound")] {
        let way = format!(r#"direction="{direction}",transport="sim""#);
        until(sink, "skep_connections", &format!(r#"{{direction="{direction}"}} 1"#)).await;
        assert_eq!(lines(sink, "skep_peers"), [" 1"]);
        let opened = format!(r#"{{{way},security="noise",muxer="yamux"}} 1"#);
        assert_eq!(lines(sink, "skep_connections_opened_total"), [opened]);
        for (stage, plugin) in [("security", "noise"), ("muxer", "yamux")] {
            let line =
                format!(r#"{{stage="{stage}",plugin="{plugin}",direction="{direction}",outcome="ok"}} 1"#);
            assert!(lines(sink, "skep_handshakes_total").contains(&line), "{line}");
        }
    }
    assert_eq!(lines(&at_client, "skep_dials_total"), [r#"{outcome="connected"} 1"#]);
    let attempt = r#"{transport="sim",stage="ready",outcome="connected"} 1"#;
    assert_eq!(lines(&at_client, "skep_dial_attempts_total"), [attempt]);
    conn.close(Code(77)).await;
    let end = |direction: &str, by: &str| {
        let way = format!(r#"direction="{direction}",transport="sim",security="noise",muxer="yamux""#);
        format!(r#"{{{way},by="{by}",reason="application"}} 1"#)
    };
    until(&at_client, "skep_connections_closed_total", &end("outbound", "local")).await;
    until(&at_server, "skep_connections_closed_total", &end("inbound", "remote")).await;
    let lifetime = lines(&at_server, "skep_connection_duration_seconds_count");
    assert_eq!(lifetime, [r#"{direction="inbound",transport="sim"} 1"#]);
    assert_eq!(lines(&at_server, "skep_metrics_overflow_total"), Vec::<String>::new());
    drop(server);
}

#[tokio::test(start_paused = true)]
async fn bytes_are_the_same_at_both_ends() {
    let (conn, (_server, at_server), (_client, at_client)) = pair().await;
    let mut stream = conn.open_stream(&[ECHO.into()]).await.unwrap();
    stream.write_all(&[7; 100_000]).await.unwrap();
    stream.finish().await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    conn.close(Code::NONE).await;
    let bytes = |sink: &Sink, flow: &str| -> u64 {
        let lines = lines(sink, "skep_transport_bytes_total");
        let line = lines.iter().find(|line| line.contains(flow)).unwrap();
        line.split_whitespace().last().unwrap().parse().unwrap()
    };
    let sent = bytes(&at_client, "sent");
    assert!((100_000..150_000).contains(&sent), "{sent}");
    until(&at_server, "skep_connections", r#"{direction="inbound"} 0"#).await;
    // What was on its way when the link went is in one count only.
    assert!(sent.abs_diff(bytes(&at_server, "received")) < 100);
    assert!(bytes(&at_server, "sent").abs_diff(bytes(&at_client, "received")) < 100);
}

#[tokio::test(start_paused = true)]
async fn streams_are_counted_by_how_they_end() {
    let (conn, (_server, at_server), (_client, at_client)) = pair().await;
    echo_works(&conn).await;
    let open = || async { conn.open_stream(&[ECHO.into()]).await.unwrap() };
    let mut reset = open().await;
    reset.write_all(b"x").await.unwrap();
    reset.read_u8().await.unwrap();
    reset.reset(Code(1));
    drop(reset);
    drop(open().await);
    let mut by_peer = conn.open_stream(&[RESET.into()]).await.unwrap();
    by_peer.write_all(b"x").await.unwrap();
    by_peer.read_u8().await.unwrap_err();
    drop(by_peer);
    let nobody = ["/nobody/1", "/nobody/2"].map(String::from);
    conn.open_stream(&nobody).await.unwrap().read_u8().await.unwrap_err();
    for outcome in ["finished", "reset_local", "dropped", "reset_remote", "not_agreed"] {
        let line = format!(r#"{{direction="outbound",outcome="{outcome}"}} 1"#);
        until(&at_client, "skep_streams_closed_total", &line).await;
    }
    assert_eq!(lines(&at_client, "skep_streams_opened_total"), [r#"{direction="outbound"} 5"#]);
    let agreed = lines(&at_client, "skep_streams_agreed_total");
    let of = |protocol: &str, n: u32| format!(r#"{{direction="outbound",protocol="{protocol}"}} {n}"#);
    assert_eq!(agreed, [of(ECHO, 3), of(RESET, 1), of("/nobody/2", 1)]);
    until(&at_server, "skep_streams_closed_total", r#"{direction="inbound",outcome="finished"} 1"#).await;
    assert!(!lines(&at_server, "skep_streams_agreed_total").iter().any(|line| line.contains("nobody")));
}

#[tokio::test(start_paused = true)]
async fn failures_are_counted_where_they_are() {
    let hub = MemoryHub::new();
    let (server, at_server) = node(&hub);
    let (client, at_client) = node(&hub);
    let addr = listen(&server).await.iter().filter(|p| !matches!(p, Protocol::P2p(_))).collect::<Multiaddr>();
    // Somebody else was wanted.
    let wrong = addr.clone().with(Protocol::P2p(PeerId::random()));
    client.dial_addr(&wrong).await.unwrap_err();
    assert_eq!(lines(&at_client, "skep_dials_total"), [r#"{outcome="wrong_peer"} 1"#]);
    let attempts = lines(&at_client, "skep_dial_attempts_total");
    assert_eq!(attempts, [r#"{transport="sim",stage="security",outcome="wrong_peer"} 1"#]);
    // Left alone after that.
    client.dial_addr(&wrong).await.unwrap_err();
    let left = lines(&at_client, "skep_dial_left_alone");
    assert_eq!(left, [r#"{what="addresses"} 1"#, r#"{what="peers"} 1"#]);
    until(&at_server, "skep_connection_permits", " 0").await;
    let failures = lines(&at_server, "skep_inbound_failures_total");
    assert!(failures.iter().all(|line| line.contains(r#"stage="security""#)), "{failures:?}");
    assert_eq!(failures.len(), 1, "{failures:?}");
    // A caller that goes.
    let silent = sim::public(1);
    let gone = tokio::time::timeout(Duration::from_millis(100), client.dial_addr(&silent)).await;
    assert!(gone.is_err());
    until(&at_client, "skep_dials_total", r#"{outcome="cancelled"} 1"#).await;
    let cancelled = r#"{transport="sim",stage="connect",outcome="cancelled"} 1"#;
    until(&at_client, "skep_dial_attempts_total", cancelled).await;
}

#[tokio::test(start_paused = true)]
async fn gates_are_counted_by_what_they_say() {
    let hub = MemoryHub::new();
    let sink = Sink::new();
    let gate = skep::policies::gate::ip_filter::PLUGIN;
    let builder = sim::on_with(&sim::Sim::new(&hub), layers_with(builder(&sink)));
    let table = serde_json::json!({ "deny": ["203.0.113.0/24"] }).as_object().unwrap().clone();
    let section = ConfigSection::from_table("gate.ip_filter", table);
    let gate = (gate.build)(&section, builder.build_cx()).unwrap();
    let node = builder.gate("ip_filter", gate).build().unwrap();
    node.dial_addr(&"/ip4/203.0.113.1/tcp/1".parse().unwrap()).await.unwrap_err();
    let verdicts = lines(&sink, "skep_gate_verdicts_total");
    let denied = r#"{gate="ip_filter",checkpoint="addr_dial",verdict="deny"} 1"#;
    assert!(verdicts.iter().any(|line| line == denied), "{verdicts:?}");
    assert_eq!(lines(&sink, "skep_dial_addresses_skipped_total"), [r#"{stage="gate",code="denied"} 1"#]);
}

#[tokio::test(start_paused = true)]
async fn lookups_of_names_are_counted() {
    let sink = Sink::new();
    let builder = sim::on_with(&sim::Sim::new(&MemoryHub::new()), layers_with(builder(&sink)));
    let table = serde_json::json!({ "hosts": { "here.example": ["203.0.113.1"] } });
    let section = ConfigSection::from_table("resolver.static", table.as_object().unwrap().clone());
    let resolver = (skep::policies::resolver::r#static::PLUGIN.build)(&section, builder.build_cx()).unwrap();
    let node = builder.resolver("static", resolver).build().unwrap();
    for name in ["here.example", "nowhere.example"] {
        let addr = format!("/dns4/{name}/tcp/1").parse().unwrap();
        let options = DialOptions::default().timeout(Duration::from_secs(1));
        node.dial_addr_with(&addr, options).await.unwrap_err();
    }
    let lookups = lines(&sink, "skep_resolutions_total");
    let of = |outcome: &str| format!(r#"{{resolver="static",outcome="{outcome}"}} 1"#);
    assert_eq!(lookups, [of("name_not_found"), of("ok")]);
    assert_eq!(lines(&sink, "skep_resolution_duration_seconds_count"), [r#"{resolver="static"} 1"#]);
}

fn series(sink: &Sink) -> usize {
    sink.gather().iter().map(|snapshot| snapshot.series.len()).sum()
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_strangers_make_no_more_series_than_ten() {
    let hub = MemoryHub::new();
    let (at_sim, sink) = (sim::Sim::new(&hub), Sink::new());
    let node = sim::on_with(&at_sim, layers_with(builder(&sink))).build().unwrap();
    let addr = listen(&node).await;
    let mut after_ten = 0;
    for n in 0..10_000 {
        // An address and a peer that nobody has seen before.
        let nobody = sim::public(n);
        at_sim.route(&nobody, sim::Route::Refuses(Duration::ZERO));
        node.dial_addr(&nobody.with(Protocol::P2p(PeerId::random()))).await.unwrap_err();
        // A peer that nobody has seen before, with protocols of its own making.
        if n % 100 == 9 {
            let (stranger, _) = self::node(&hub);
            let conn = stranger.dial_addr(&addr).await.unwrap();
            echo_works(&conn).await;
            let protocols = [format!("/a/{n}"), format!("/b/{n}")];
            conn.open_stream(&protocols).await.unwrap().read_u8().await.unwrap_err();
            stranger.shutdown(Duration::from_secs(1)).await;
            until(&sink, "skep_connections", r#"{direction="inbound"} 0"#).await;
        }
        if n == 9 {
            after_ten = series(&sink);
        }
    }
    let others: Vec<_> = sink.gather().into_iter().flat_map(|s| s.series).filter(is_other).collect();
    assert_eq!(others, []);
    assert_eq!(lines(&sink, "skep_dials_total"), [r#"{outcome="refused"} 10000"#]);
    assert_eq!((series(&sink), after_ten > 30), (after_ten, true), "{after_ten} series after ten");
}

fn is_other(series: &Series) -> bool {
    series.labels.iter().any(|(_, value)| **value == *"other")
}

#[tokio::test]
async fn two_nodes_in_one_process_count_apart_and_one_without_a_sink_counts_nothing() {
    let hub = MemoryHub::new();
    let ((one, at_one), (two, at_two)) = (node(&hub), node(&hub));
    let (silent, addr) = sim::listener(&hub).await;
    one.dial_addr(&addr.with(Protocol::P2p(silent.peer_id()))).await.unwrap();
    assert_eq!(lines(&at_one, "skep_dials_total").len(), 1);
    assert_eq!(lines(&at_two, "skep_dials_total").len(), 0);
    drop((one, two));
}

#[tokio::test(start_paused = true)]
async fn the_sink_does_not_keep_a_node_alive() {
    let (node, sink) = node(&MemoryHub::new());
    listen(&node).await;
    assert_eq!(lines(&sink, "skep_listeners"), [" 1"]);
    node.shutdown(Duration::from_secs(1)).await;
    drop(node);
    for _ in 0..2 {
        assert_eq!(lines(&sink, "skep_listeners"), [" 0"]);
    }
}

#[tokio::test]
async fn a_plugin_can_count_with_the_sink_of_its_node() {
    let sink = Sink::new();
    let builder = builder(&sink);
    let counted = builder.build_cx().metrics.counters(Instrument::new("my_plugin_requests", "Requests."));
    counted.with(&[]).inc();
    assert_eq!(lines(&sink, "my_plugin_requests_total"), [" 1"]);
}

/// What the page says of a metric: name, type, labels, unit.
type Row = [String; 4];

fn documented() -> Vec<Row> {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let page = fs::read_to_string(page).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let mut rows: Vec<Row> = rows
        .map(|row| {
            let mut cells = row.split('|').skip(1).map(|cell| cell.trim().trim_matches('`').to_string());
            [(); 4].map(|()| cells.next().unwrap())
        })
        .collect();
    rows.sort();
    rows
}

fn row(snapshot: &Snapshot) -> Row {
    let unit = snapshot.unit.map_or(String::new(), |unit| unit.name().into());
    [snapshot.full_name.clone(), snapshot.kind.name().into(), snapshot.labels.join(", "), unit]
}

#[tokio::test]
async fn the_page_has_every_metric_and_no_other() {
    let sink = Sink::new();
    let builder = sim::on_with(&sim::Sim::new(&MemoryHub::new()), layers_with(builder(&sink)));
    let section = ConfigSection::empty("resources.scoped");
    let scoped = (skep::policies::resources::scoped::PLUGIN.build)(&section, builder.build_cx()).unwrap();
    let section = ConfigSection::empty("service.health");
    let health = (skep::policies::service::health::PLUGIN.build)(&section, builder.build_cx()).unwrap();
    let section = ConfigSection::empty("decorator.metrics");
    let metrics = (skep::decorators::metrics::PLUGIN.build)(&section, builder.build_cx()).unwrap();
    let yamux = (skep::muxer_yamux::PLUGIN.build)(&ConfigSection::empty("muxer.yamux"), builder.build_cx());
    let _decorated = metrics.muxer("yamux", yamux.unwrap()).unwrap();
    let _node = builder.resources("scoped", scoped).service("health", health).build().unwrap();
    let mut there: Vec<_> = sink.gather().iter().map(row).collect();
    there.sort();
    assert_eq!(documented(), there);
    assert_eq!(sink.problems(), []);
}

/// What `GET path` gives, with the head.
fn get(url: &str) -> String {
    let (addr, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut client = TcpStream::connect(addr.parse::<SocketAddr>().unwrap()).unwrap();
    client.set_read_timeout(Some(process::HANG)).unwrap();
    write!(client, "GET /{path} HTTP/1.1\r\nhost: {addr}\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_running_node_can_be_scraped() {
    let node = Node::start(&["run", "--json", "--metrics", "127.0.0.1:0"]);
    let said: Value = serde_json::from_str(&node.line()).unwrap();
    let (url, addr) = (said["metrics"].as_str().unwrap(), said["addresses"][0].as_str().unwrap());
    assert!(output(&["ping", addr, "--count", "1"]).status.success());
    let answer = get(url);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    // Which security protocol comes first is the processor's business.
    let opened = |security| {
        let labels = format!(r#"direction="inbound",transport="tcp",security="{security}",muxer="yamux""#);
        answer.contains(&format!("skep_connections_opened_total{{{labels}}} 1"))
    };
    assert!(opened("tls") || opened("noise"), "{answer}");
    assert!(answer.contains("skep_listeners 2\n") && answer.ends_with("# EOF\n"), "{answer}");
    assert!(get(&url.replace("/metrics", "/healthz")).ends_with("\r\n\r\nok\n"));
    node.signal("TERM");
    assert_eq!(node.end().0, Some(0));
}

#[test]
fn the_address_is_printed_and_can_come_from_the_environment() {
    let node = Node::spawn(skep(&["run"]).env("SKEP_METRICS", "127.0.0.1:0"));
    let said = node.until("Ctrl-C stops the node");
    let url = said.iter().find(|line| line.contains("http://")).expect("the address is printed").trim();
    assert!(url.ends_with("/metrics") && get(url).contains("skep_peers 0\n"), "{url}");
    node.signal("INT");
    assert_eq!(node.end().0, Some(0));
}

#[test]
fn without_the_option_there_are_no_metrics() {
    let node = Node::start(&["run", "--json"]);
    let said: Value = serde_json::from_str(&node.line()).unwrap();
    assert_eq!(said["metrics"], Value::Null);
}

#[test]
fn an_address_that_cannot_be_is_told_with_advice() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let failed = output(&["run", "--metrics", &addr]);
    let said = text(&failed.stderr);
    assert_eq!(failed.status.code(), Some(1));
    assert!(said.contains(&addr) && said.contains("another program uses"), "{said}");
    assert!(said.contains("port 0 takes a free one"), "{said}");
    let wrong = output(&["run", "--metrics", "9100"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("such as 127.0.0.1:9100"), "{}", text(&wrong.stderr));
}

#[tokio::test(start_paused = true)]
async fn what_the_resource_manager_denies_is_counted_by_kind() {
    let (hub, sink) = (MemoryHub::new(), Sink::new());
    let builder = sim::on_with(&sim::Sim::new(&hub), layers_with(builder(&sink)));
    let table = serde_json::json!({ "limits": { "peer": { "connections": 1 } } });
    let section = ConfigSection::from_table("resources.scoped", table.as_object().unwrap().clone());
    let scoped = (skep::policies::resources::scoped::PLUGIN.build)(&section, builder.build_cx()).unwrap();
    let node = builder.resources("scoped", scoped).build().unwrap();
    let (_peer, at) = sim::listener(&hub).await;
    node.dial_addr(&at).await.unwrap();
    node.dial_addr_with(&at, DialOptions::default().always()).await.unwrap_err();
    let system = r#"{scope="system",resource="connections_outbound"} 1"#;
    assert!(lines(&sink, "skep_resources_in_use").iter().any(|line| line == system));
    let denied = r#"{scope="peer",resource="connections"} 1"#;
    assert_eq!(lines(&sink, "skep_resources_denied_total"), [denied]);
    assert!(
        lines(&sink, "skep_resources_limit").iter().any(|line| line.starts_with(r#"{scope="transient""#))
    );
}
