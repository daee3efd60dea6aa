//! The ready observers, against the real facades.
#![cfg(all(feature = "log", feature = "tracing", feature = "metrics"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use pool_core::{Account, Footprint, KeyedPool, ManualClock, NoClock, Observer, ToLog, ToMetrics, ToTracing};
use std::fmt::Write as _;
use std::sync::Mutex;

struct Block(usize);
impl Footprint for Block {
    fn footprint(&self) -> usize {
        self.0
    }
}

/// One of each kind of event but pressure.
fn work(observer: impl Observer<usize>) {
    let clock = ManualClock::default();
    let pool = KeyedPool::builder(|&bytes: &usize| Ok::<_, &str>(Block(bytes)))
        .account(Account::new("small", 100))
        .observer(observer)
        .clock(&clock)
        .watch_leaks(1, 5)
        .build();
    let lease = pool.acquire(&60).unwrap();
    assert!(pool.acquire(&50).is_err());
    clock.advance(6);
    pool.maintain(9);
    drop(lease);
    pool.trim(0);
}

static RECORDS: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Logger;
impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {} {}", record.level(), record.target(), record.args());
        RECORDS.lock().unwrap().push(line);
    }
    fn flush(&self) {}
}

// A level that floods, a target that nobody can filter by, a number left out.
#[test]
fn to_log_writes_a_record_for_each_event() {
    log::set_logger(&Logger).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    work(ToLog::new("blocks"));
    let records = RECORDS.lock().unwrap();
    let starts = [
        "DEBUG pool blocks: created 60, 60 B",
        "WARN pool blocks: refused 50: account \"small\" refused 50 B",
        "WARN pool blocks: 60 of ",
        "INFO pool blocks: 60 of ",
        "DEBUG pool blocks: removed 60, 60 B: evicted_as_asked",
    ];
    assert_eq!(records.len(), starts.len(), "{records:?}");
    for (record, start) in records.iter().zip(starts) {
        assert!(record.starts_with(start), "{record}");
    }
}

/// A subscriber that writes each event's fields into a line.
struct Lines<'a>(&'a Mutex<Vec<String>>);

struct Fields(String);
impl tracing::field::Visit for Fields {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl tracing::Subscriber for Lines<'static> {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut fields = Fields(format!("{}", event.metadata().level()));
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

// A field that is text where a number can be compared, or is missing.
#[test]
fn to_tracing_sends_the_numbers_as_fields() {
    static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
    tracing::subscriber::with_default(Lines(&LINES), || work(ToTracing::new("blocks")));
    let lines = LINES.lock().unwrap();
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert!(
        lines[0].starts_with("DEBUG ")
            && lines[0].contains("message=created pool=\"blocks\" key=60 bytes=60"),
        "{lines:?}"
    );
    let refused = "why=\"over_budget\" account=\"small\" requested=50 free=40 evictable=0";
    assert!(lines[1].starts_with("WARN ") && lines[1].contains(refused), "{lines:?}");
    assert!(lines[2].contains("leaked") && lines[2].contains("age=6"), "{lines:?}");
    assert!(lines[4].contains("why=\"evicted_as_asked\""), "{lines:?}");
}

// A count per key, a wrong label, an event that is not counted.
#[test]
fn to_metrics_counts_by_pool_and_reason() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        work(ToMetrics::new("blocks"));
        let account = Account::builder("soft").soft_limit(10).build();
        let pool = KeyedPool::builder(|&bytes: &usize| Ok::<_, &str>(Block(bytes)))
            .observer(ToMetrics::new("pressed"))
            .account(account)
            .clock(NoClock)
            .build();
        let _held = pool.acquire(&20).unwrap();
        pool.maintain(9);
    });
    let mut seen: Vec<String> = snapshotter
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, _, _, value)| {
            let labels: Vec<_> = key.key().labels().map(|label| label.value().to_owned()).collect();
            let value = match value {
                DebugValue::Counter(count) => count as f64,
                DebugValue::Gauge(level) => level.into_inner(),
                DebugValue::Histogram(_) => panic!("no histograms"),
            };
            format!("{} {} {value}", key.key().name(), labels.join(" "))
        })
        .collect();
    seen.sort();
    let expected = [
        "pool_created_bytes_total blocks 60",
        "pool_created_bytes_total pressed 20",
        "pool_created_total blocks 1",
        "pool_created_total pressed 1",
        "pool_leaked_total blocks 1",
        "pool_pressure pressed 1",
        "pool_refused_total blocks over_budget 1",
        "pool_removed_bytes_total blocks evicted_as_asked 60",
        "pool_removed_total blocks evicted_as_asked 1",
        "pool_returned_total blocks 1",
    ];
    assert_eq!(seen, expected);
}
