//! The text that Prometheus reads, to the letter.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that fails panics"
)]

use skep_api::metrics::{Instrument, Sink, Unit, Values};
use skep_metrics_prometheus::Exporter;

const GOLDEN: &str = r#"# HELP skep_connections_opened Connections that were registered.
# TYPE skep_connections_opened counter
skep_connections_opened_total{direction="inbound",transport="tcp/lan"} 2
skep_connections_opened_total{direction="inbound",transport="other"} 1
# HELP skep_handshake_duration_seconds How long handshakes took.
# TYPE skep_handshake_duration_seconds histogram
# UNIT skep_handshake_duration_seconds seconds
skep_handshake_duration_seconds_sum{plugin="noise"} 1.25
skep_handshake_duration_seconds_count{plugin="noise"} 2
skep_handshake_duration_seconds_bucket{le="0.5",plugin="noise"} 1
skep_handshake_duration_seconds_bucket{le="2.0",plugin="noise"} 2
skep_handshake_duration_seconds_bucket{le="+Inf",plugin="noise"} 2
# HELP skep_peers Peers with at least one connection.
# TYPE skep_peers gauge
skep_peers 3
# HELP skep_transport_bytes Bytes of transports.
# TYPE skep_transport_bytes counter
# UNIT skep_transport_bytes bytes
# HELP skep_metrics_overflow Series that were wanted and went to `other`, as a value is not allowed or there are too many.
# TYPE skep_metrics_overflow counter
skep_metrics_overflow_total{metric="skep_connections_opened_total"} 1
# EOF
"#;

#[test]
fn the_text_is_that_of_openmetrics() {
    let sink = Sink::new();
    let (direction, transports) = (Values::of(["inbound", "outbound"]), Values::of(["tcp/lan"]));
    let opened = Instrument::new("skep_connections_opened", "Connections that were registered.")
        .label("direction", &direction)
        .label("transport", &transports);
    let opened = sink.counters(opened);
    opened.with(&["inbound", "tcp/lan"]).add(2);
    opened.with(&["inbound", "/ip4/192.0.2.1/tcp/4001"]).inc();
    let plugins = Values::of(["noise"]);
    let handshakes = Instrument::new("skep_handshake_duration", "How long handshakes took.")
        .unit(Unit::Seconds)
        .label("plugin", &plugins);
    let handshakes = sink.histograms(handshakes, &[0.5, 2.0]).with(&["noise"]);
    handshakes.observe(0.25);
    handshakes.observe(1.0);
    let peers = sink.gauges(Instrument::new("skep_peers", "Peers with at least one connection."));
    peers.with(&[]).set(3);
    let bytes = Instrument::new("skep_transport", "Bytes of transports.").unit(Unit::Bytes);
    let _ = sink.counters(bytes.label("transport", &transports));
    assert_eq!(Exporter::new(sink).render().unwrap(), GOLDEN);
}

#[test]
fn values_of_labels_cannot_break_out_of_their_quotes() {
    let sink = Sink::new();
    let values = Values::of(["a\"b\\c\nd"]);
    sink.counters(Instrument::new("x", "X.").label("l", &values)).with(&["a\"b\\c\nd"]).inc();
    let text = Exporter::new(sink).render().unwrap();
    assert!(text.contains("x_total{l=\"a\\\"b\\\\c\\nd\"} 1\n"), "{text}");
}

#[test]
fn a_node_without_metrics_has_none() {
    assert_eq!(Exporter::new(Sink::default()).render().unwrap(), "# EOF\n");
}
