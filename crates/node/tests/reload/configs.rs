//! Random configurations, all of them valid.

use fastrand::Rng;
use std::fmt::Write;

/// A configuration whose parts that cannot be reloaded are always the same. `port` is that of a listener that stays;
/// others may come and go beside it.
pub(crate) fn random(rng: &mut Rng, port: u64) -> String {
    let mut listen = vec![format!("/memory/{port}")];
    listen.extend((1..4).filter(|_| rng.bool()).map(|n| format!("/memory/{}", port + n)));
    rng.shuffle(&mut listen);
    let pick = |rng: &mut Rng, words: &[&'static str]| words[rng.usize(..words.len())];
    let mut gates: Vec<_> =
        ["ip_filter", "ip_filter/b", "ip_filter/c"].into_iter().filter(|_| rng.bool()).collect();
    rng.shuffle(&mut gates);
    let shadow: Vec<_> = gates.iter().filter(|_| rng.bool()).collect();
    let mut services: Vec<_> =
        ["auto_connect", "reconnect", "health"].into_iter().filter(|_| rng.bool()).collect();
    rng.shuffle(&mut services);
    let selector = pick(rng, &["best", "round_robin", "least_loaded", "latency_based"]);
    let (ranker, resolver) = (pick(rng, &["smart", "sequential"]), pick(rng, &["static", "none"]));
    let pruner = pick(rng, &["watermark", "none"]);
    let mut protocols = vec!["ping", "identify"];
    if rng.bool() {
        protocols.remove(0);
    }
    let mut text = format!(
        "listen = {listen:?}\n[stack]\ntransports = [\"memory\"]\ngates = {gates:?}\nshadow_gates = {shadow:?}\n\
         selector = {selector:?}\nranker = {ranker:?}\nresolver = {resolver:?}\npruner = {pruner:?}\n\
         protocols = {protocols:?}\nservices = {services:?}\n"
    );
    for gate in &gates {
        let denied = rng.u8(..);
        let _ = writeln!(text, "[gate.{gate:?}]\ndeny = [\"10.{denied}.0.0/16\"]");
    }
    if pruner == "watermark" {
        let low = rng.u32(20..90);
        let _ = writeln!(text, "[pruner.watermark]\nlow = {low}\nhigh = {}", low + rng.u32(0..50));
    }
    if services.contains(&"auto_connect") {
        let _ = writeln!(text, "[service.auto_connect]\ntarget = {}", rng.u32(1..20));
    }
    if resolver == "static" && rng.bool() {
        let _ = writeln!(text, "[resolver.static.hosts]\n\"a.test\" = [\"10.0.0.{}\"]", rng.u8(..));
    }
    let _ = writeln!(
        text,
        "[swarm]\nmax_connections_per_peer = {}\nstream_timeout = \"{}s\"\nmax_inbound_streams = {}\n\
         [dial]\ntimeout = \"{}s\"\nmax_outstanding = {}\n[retry]\nmax_retries = {}",
        rng.u32(3..8),
        rng.u32(5..20),
        rng.u32(64..256),
        rng.u32(10..60),
        rng.u32(16..60),
        rng.u32(0..5),
    );
    text
}
