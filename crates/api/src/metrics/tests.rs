use super::*;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

fn find<'a>(all: &'a [Snapshot], full_name: &str) -> &'a Snapshot {
    all.iter().find(|snapshot| snapshot.full_name == full_name).unwrap()
}

fn counts(snapshot: &Snapshot) -> Vec<(String, u64)> {
    let labels = |series: &Series| {
        series.labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
    };
    let count = |series: &Series| match series.value {
        Value::Counter(count) => count,
        _ => panic!("{series:?} is no counter"),
    };
    snapshot.series.iter().map(|series| (labels(series), count(series))).collect()
}

fn one(labels: &str, count: u64) -> (String, u64) {
    (labels.into(), count)
}

#[test]
fn handles_of_one_series_count_together() {
    let sink = Sink::new();
    let direction = Values::of(["in", "out"]);
    let bytes =
        sink.counters(Instrument::new("x", "Bytes.").unit(Unit::Bytes).label("direction", &direction));
    bytes.with(&["in"]).add(3);
    bytes.with(&["in"]).inc();
    bytes.with(&["out"]).raise_to(9);
    bytes.with(&["out"]).raise_to(7);
    let all = sink.gather();
    assert_eq!(counts(find(&all, "x_bytes_total")), [one("direction=in", 4), one("direction=out", 9)]);
}

#[test]
fn what_is_not_allowed_goes_to_other_and_is_counted() {
    let sink = Sink::new();
    let x = sink.counters(Instrument::new("x", "X.").label("a", &Values::of(["1"])));
    for n in 0..10_000 {
        x.with(&[&format!("peer {n}")]).inc();
    }
    x.with(&[]).inc();
    x.with(&["1", "2"]).inc();
    let all = sink.gather();
    assert_eq!(counts(find(&all, "x_total")), [one("a=1", 1), one("a=other", 10_001)]);
    assert_eq!(counts(find(&all, "skep_metrics_overflow_total")), [one("metric=x_total", 10_002)]);
}

#[test]
fn series_beyond_the_cap_go_to_one_and_are_counted() {
    let sink = Sink::new();
    let numbers = Values::of((0..100).map(|n| n.to_string()));
    let x = sink.counters(Instrument::new("x", "X.").label("a", &numbers).label("b", &numbers).max_series(2));
    for n in 0..100 {
        x.with(&[&n.to_string(), "0"]).inc();
    }
    let all = sink.gather();
    let expected = [one("a=0,b=0", 1), one("a=1,b=0", 1), one("a=other,b=other", 98)];
    assert_eq!(counts(find(&all, "x_total")), expected);
    assert_eq!(counts(find(&all, "skep_metrics_overflow_total")), [one("metric=x_total", 98)]);
}

#[test]
fn a_set_grows_by_what_the_program_allows_up_to_its_cap() {
    let values = Values::up_to(2);
    let sink = Sink::new();
    let x = sink.counters(Instrument::new("x", "X.").label("protocol", &values));
    assert!(values.allow("/a") && values.allow("/b") && values.allow("/a"));
    assert!(!values.allow("/c"));
    assert!(!values.allow(&"x".repeat(1000)));
    assert!(!Values::of(["1"]).allow("2"), "a closed set stays as it is");
    x.with(&["/a"]).inc();
    x.with(&["/c"]).inc();
    let all = sink.gather();
    assert_eq!(counts(find(&all, "x_total")), [one("protocol=/a", 1), one("protocol=other", 1)]);
}

#[test]
fn an_instrument_is_shared_by_those_who_describe_it_alike() {
    let sink = Sink::new();
    let x = |value| sink.counters(Instrument::new("x", "X.").label("a", &Values::of([value])));
    let (first, second) = (x("tcp"), x("tcp/lan"));
    first.with(&["tcp"]).inc();
    second.with(&["tcp"]).inc();
    second.with(&["tcp/lan"]).inc();
    first.with(&["quic"]).inc();
    let all = sink.gather();
    assert_eq!(counts(find(&all, "x_total")), [one("a=tcp", 2), one("a=tcp/lan", 1), one("a=other", 1)]);
    assert_eq!(sink.problems(), []);
}

#[test]
fn mistakes_are_told_and_count_nothing() {
    let sink = Sink::new();
    let taken = Problem::Taken { name: "x" };
    let values = Values::of(["1"]);
    let _ = sink.counters(Instrument::new("x", "X."));
    let other = sink.counters(Instrument::new("x", "X.").label("a", &values));
    other.with(&["1"]).inc();
    assert_eq!(sink.problems(), [taken]);
    for (name, label) in [("X", "a"), ("x_total", "a"), ("a-b", "a"), ("", "a"), ("y", "le"), ("y", "A")] {
        let flawed = sink.counters(Instrument::new(name, "").label(label, &values));
        assert!(!flawed.is_attached(), "{name:?} {label:?}");
    }
    assert!(!sink.counters(Instrument::new("y_bytes", "").unit(Unit::Bytes)).is_attached());
    assert!(!sink.histograms(Instrument::new("y", ""), &[2.0, 1.0]).is_attached());
    assert!(!sink.counters(Instrument::new("y", "").label("a", &values).label("a", &values)).is_attached());
    assert_eq!(sink.gather().len(), 2, "x, and what found no series");
}

#[test]
fn a_histogram_sorts_into_the_first_bucket_that_is_large_enough() {
    let sink = Sink::new();
    let x = sink.histograms(Instrument::new("x", "X.").unit(Unit::Seconds), &[0.5, 1.0]).with(&[]);
    x.observe(0.5);
    x.observe_duration(Duration::from_millis(750));
    x.observe(8.0);
    x.observe(f64::NAN);
    assert_eq!(x.count(), 3);
    let all = sink.gather();
    let expected = Value::Histogram { sum: 9.25, buckets: vec![(0.5, 1), (1.0, 1), (f64::INFINITY, 1)] };
    assert_eq!(find(&all, "x_seconds").series[0].value, expected);
}

#[test]
fn what_is_looked_at_is_let_go_when_it_is_gone_or_panics() {
    let sink = Sink::new();
    let gauge = sink.gauges(Instrument::new("x", "X.")).with(&[]);
    let calls = Arc::new(AtomicUsize::new(0));
    let (watched, weak) = (Arc::new(7), Arc::downgrade(&Arc::new(0)));
    let seen = Arc::downgrade(&watched);
    sink.on_scrape(move || {
        seen.upgrade().is_some_and(|value| {
            gauge.set(*value);
            true
        })
    });
    for gone in [true, false] {
        let (calls, weak) = (Arc::clone(&calls), weak.clone());
        sink.on_scrape(move || {
            calls.fetch_add(1, Ordering::Relaxed);
            assert!(gone, "on purpose");
            weak.upgrade().is_some()
        });
    }
    for _ in 0..3 {
        assert_eq!(find(&sink.gather(), "x").series[0].value, Value::Gauge(7));
    }
    assert_eq!(calls.load(Ordering::Relaxed), 2, "each was called once");
}

#[test]
fn a_detached_sink_counts_nothing() {
    let sink = Sink::default();
    let x = sink.counters(Instrument::new("x", "X."));
    x.with(&[]).inc();
    let y = sink.histograms(Instrument::new("y", "Y."), &[1.0]).with(&["too", "many"]);
    y.observe(1.0);
    let z = sink.gauges(Instrument::new("z", "Z.")).with(&[]);
    z.set(1);
    z.add(1);
    sink.on_scrape(|| panic!("nobody looks"));
    assert_eq!((x.with(&[]).get(), y.count(), z.get(), sink.gather().len()), (0, 0, 0, 0));
    assert!(!sink.is_attached());
}
