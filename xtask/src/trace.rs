//! Times of garbage collection out of Chromium's trace events.
//!
//! Two collectors work together: V8's, whose collections stop the script, and Blink's, which marks as part of those, and
//! sweeps in tasks of its own: there the memory of dead nodes and buffers is given back.
//!
//! The page sets marks (`performance.mark`): the first tells its process and thread, which no other
//! source does reliably, two more tell the time that counts. A trace whose buffer ran over has
//! lost its end and so the last mark: then the answer is "not known" and no smaller figure.

use serde_json::Value;

/// The mark that tells the page's process.
pub(crate) const PAGE_MARK: &str = "pool-demo-page";
/// The mark that opens the measured time.
pub(crate) const START_MARK: &str = "pool-demo-measure-start";
/// The mark that closes it.
pub(crate) const END_MARK: &str = "pool-demo-measure-end";

/// What the page's main thread spent on garbage collection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct GcTimes {
    /// All collections together, milliseconds of the wall.
    pub(crate) total_ms: f64,
    /// The same in milliseconds that the thread ran, which other programs do not lengthen; if the browser tells.
    pub(crate) thread_ms: Option<f64>,
    /// Of that, all but what Blink does in tasks of its own; if the browser tells.
    pub(crate) stops_thread_ms: Option<f64>,
    /// The longest stretch without a break, milliseconds.
    pub(crate) longest_ms: f64,
}

/// Where something happened.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Thread {
    pid: u64,
    tid: u64,
}

/// Gathers events as they are drained from the driver's log.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    page: Option<Thread>,
    start: Option<f64>,
    end: Option<f64>,
    collections: Vec<Collection>,
}

/// A collection or a phase of one, in microseconds.
#[derive(Debug, Clone, Copy)]
struct Collection {
    thread: Thread,
    begin: f64,
    end: f64,
    /// How long the thread ran.
    ran: Option<f64>,
    /// Whether it is Blink's.
    blink: bool,
}

impl Trace {
    /// Takes entries of chromedriver's log `performance`.
    pub(crate) fn add(&mut self, entries: &[Value]) {
        for entry in entries {
            let Some(text) = entry["message"].as_str() else { continue };
            let Ok(mut outer) = serde_json::from_str::<Value>(text) else { continue };
            let message = outer["message"].take();
            if message["method"] == "Tracing.dataCollected" {
                self.add_event(&message["params"]);
            }
        }
    }

    fn add_event(&mut self, event: &Value) {
        let (Some(name), Some(begin), Some(pid), Some(tid)) =
            (event["name"].as_str(), event["ts"].as_f64(), event["pid"].as_u64(), event["tid"].as_u64())
        else {
            return;
        };
        let thread = Thread { pid, tid };
        match name {
            PAGE_MARK => self.page = Some(thread),
            START_MARK => self.start = Some(begin),
            END_MARK => self.end = Some(begin),
            // Only complete events have a duration.
            "MinorGC" | "MajorGC" => self.add_collection(thread, begin, event, false),
            _ if name.starts_with("V8.GC") => self.add_collection(thread, begin, event, false),
            _ if name.starts_with("CppGC.") => self.add_collection(thread, begin, event, true),
            _ => {}
        }
    }

    fn add_collection(&mut self, thread: Thread, begin: f64, event: &Value, blink: bool) {
        if let Some(duration) = event["dur"].as_f64() {
            let ran = event["tdur"].as_f64();
            self.collections.push(Collection { thread, begin, end: begin + duration, ran, blink });
        }
    }

    /// The process of the page, once its mark was seen.
    pub(crate) fn page_pid(&self) -> Option<u32> {
        self.page.and_then(|thread| thread.pid.try_into().ok())
    }

    /// Whether the last mark was seen: nothing that counts is still to come.
    pub(crate) fn is_complete(&self) -> bool {
        self.end.is_some()
    }

    /// The times between the marks, if all were seen.
    pub(crate) fn gc_times(&self) -> Option<GcTimes> {
        let (page, from, to) = (self.page?, self.start?, self.end?);
        let counts = |it: &&Collection| it.thread == page && it.end > from && it.begin < to;
        let mut collections: Vec<Collection> = self.collections.iter().filter(counts).copied().collect();
        // Events nest (a `MajorGC` holds its `V8.GC...` phases), so what counts is the outermost, which comes first.
        collections.sort_by(|a, b| a.begin.total_cmp(&b.begin).then(b.end.total_cmp(&a.end)));
        let (mut total, mut ran, mut stopped, mut longest) = (0.0_f64, 0.0_f64, 0.0_f64, 0.0_f64);
        // One that took less than a microsecond tells no time of the thread; a browser that tells none of any does not know.
        let told = collections.is_empty() || collections.iter().any(|it| it.ran.is_some());
        // The stretch that is looked at.
        let (mut open, mut close) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
        for collection in collections {
            let (begin, end) = (collection.begin.max(from), collection.end.min(to));
            if end <= close {
                continue;
            }
            if begin > close {
                open = begin;
            }
            total += end - begin.max(close);
            // Of one that a mark cuts, the same part.
            let part = (end - begin) / (collection.end - collection.begin);
            let of_thread = collection.ran.unwrap_or(0.0) * part;
            ran += of_thread;
            if !collection.blink {
                stopped += of_thread;
            }
            close = end;
            longest = longest.max(close - open);
        }
        let ms = |microseconds: f64| microseconds / 1000.0;
        Some(GcTimes {
            total_ms: ms(total),
            thread_ms: told.then_some(ms(ran)),
            stops_thread_ms: told.then_some(ms(stopped)),
            longest_ms: ms(longest),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(name: &str, tid: u64, begin: f64, duration: Option<f64>) -> Value {
        let mut params = json!({ "name": name, "pid": 7, "tid": tid, "ts": begin });
        if let Some(duration) = duration {
            params["dur"] = json!(duration);
            params["tdur"] = json!(duration / 2.0);
        }
        let message = json!({ "message": { "method": "Tracing.dataCollected", "params": params } });
        json!({ "message": message.to_string() })
    }

    /// Catches: nested phases counted twice, another thread's collections, ones outside the measured time, and the memory of
    /// nodes given back as if it took no time.
    #[test]
    fn collections_of_the_page_between_the_marks_count_once() {
        let mut trace = Trace::default();
        trace.add(&[
            entry(PAGE_MARK, 1, 400.0, None),
            entry("MinorGC", 1, 500.0, Some(400.0)),
            entry(START_MARK, 1, 1000.0, None),
            entry("MajorGC", 1, 2000.0, Some(3000.0)),
            entry("V8.GC_MARK_COMPACTOR", 1, 2100.0, Some(2000.0)),
            entry("CppGC.AtomicMark", 1, 2200.0, Some(500.0)),
            entry("CppGC.IncrementalSweep", 1, 6000.0, Some(1500.0)),
            entry("CppGC.ConcurrentSweep", 3, 6000.0, Some(1500.0)),
            entry("V8.GCScavenger", 1, 8000.0, Some(1000.0)),
            entry("MinorGC", 2, 8000.0, Some(9000.0)),
            entry("FunctionCall", 1, 1000.0, Some(9000.0)),
            entry(END_MARK, 1, 10_000.0, None),
            entry("MinorGC", 1, 11_000.0, Some(400.0)),
        ]);
        assert_eq!(trace.page_pid(), Some(7));
        let (thread_ms, stops_thread_ms) = (Some(2.75), Some(2.0));
        let times = GcTimes { total_ms: 5.5, thread_ms, stops_thread_ms, longest_ms: 3.0 };
        assert_eq!(trace.gc_times(), Some(times));
    }

    /// Catches: a figure that is lost to one short event, and one that is made of none.
    #[test]
    fn time_of_the_thread_is_known_if_any_is_told() {
        let mut trace = Trace::default();
        let marks = [(PAGE_MARK, 900.0), (START_MARK, 1000.0), (END_MARK, 9000.0)];
        trace.add(&marks.map(|(name, begin)| entry(name, 1, begin, None)));
        let silent = |begin: f64| {
            let params = json!({ "name": "MinorGC", "pid": 7, "tid": 1, "ts": begin, "dur": 2.0 });
            let message = json!({ "message": { "method": "Tracing.dataCollected", "params": params } });
            json!({ "message": message.to_string() })
        };
        trace.add(&[silent(2000.0)]);
        assert_eq!(trace.gc_times().unwrap().thread_ms, None);
        trace.add(&[entry("MinorGC", 1, 3000.0, Some(100.0)), silent(4000.0)]);
        assert_eq!(trace.gc_times().unwrap().thread_ms, Some(0.05));
    }

    /// Catches: a trace cut short by a full buffer that looks like a page without collections.
    #[test]
    fn a_trace_without_its_end_tells_nothing() {
        let mut trace = Trace::default();
        let marks = [entry(PAGE_MARK, 1, 900.0, None), entry(START_MARK, 1, 1000.0, None)];
        trace.add(&marks);
        trace.add(&[entry("MinorGC", 1, 2000.0, Some(100.0))]);
        assert!(!trace.is_complete());
        assert_eq!(trace.gc_times(), None);
    }
}
