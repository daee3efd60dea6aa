//! [`AudioMemory`]: one budget in bytes for pooled buffers, delay lines and buffers of the program's own.
//!
//! It counts the samples of audio buffers and the lines of delays, which is nearly all that audio needs; the
//! browser's own use for nodes, threads and the page is not known to a page. What is charged to it:
//!
//! - each buffer and delay that a pool makes, until it is destroyed, leased or idle;
//! - each buffer that the program tracks by id: it exists whether it fits or not, so it may take the budget over its
//!   limit, and then the pools evict what is idle and make nothing new until it is back under.
//!
//! When a pool needs room it evicts its own idle objects first, those released longest ago; if that is not enough, the
//! other pools of the same budget give up idle ones, and delays that wait to be silent last. Leased objects stay.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::rc::{Rc, Weak};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::sync::atomic::{AtomicU8, Ordering};
use pool_core::{Account, AccountEventKind, Bytes, OverBudget, PoolStats, Tracker};

/// The default budget: 96 MB in units of 1000, so that tracked audio stays below 100 MB in whatever unit. (96 MiB
/// would be 100.7 MB.)
pub const DEFAULT_BUDGET: usize = 96_000_000;

/// What a pool tells its budget, and does for it. The pools here take part by themselves; one of the program's own,
/// that charges to [`AudioMemory::account`], may too, by [`AudioMemory::join`].
pub trait Member {
    /// Whether it holds nodes; buffers otherwise.
    fn holds_nodes(&self) -> bool;
    /// What it holds; what waits in quarantine counts as leased.
    fn stats(&self) -> PoolStats;
    /// Evicts idle objects of at least `bytes`, or all. Returns what it freed.
    fn evict(&self, bytes: usize) -> usize;
    /// Memory is short: lets go of what waits for something that cannot happen any more. Called before it is asked what it
    /// has.
    fn look_after(&self) {}
    /// Bytes in quarantine.
    fn quarantined_bytes(&self) -> usize {
        0
    }
    /// Gives up objects in quarantine of at least `bytes`, or all. Returns what it freed.
    fn evict_quarantined(&self, bytes: usize) -> usize {
        let _ = bytes;
        0
    }
}

/// A snapshot of what audio holds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct MemoryStats {
    /// Bytes charged now: leased, idle and tracked.
    pub used: usize,
    /// Of those: pooled objects that are out, or wait to be silent.
    pub leased: usize,
    /// Of those: pooled objects that wait to be used again.
    pub idle: usize,
    /// Of those: buffers tracked by id.
    pub tracked: usize,
    /// Most bytes charged at one time, since the last reset.
    pub peak: usize,
    /// The budget.
    pub limit: usize,
    /// Bytes over the budget.
    pub overcommitted: usize,
    /// Buffers tracked by id.
    pub cached_buffers: usize,
    /// Nodes that are leased, or counted with [`track_node`](AudioMemory::track_node).
    pub active_nodes: usize,
    /// Nodes that wait to be used again.
    pub idle_nodes: usize,
}

impl MemoryStats {
    /// One line per figure, for a console.
    #[must_use]
    pub fn report(&self) -> Vec<String> {
        alloc::vec![
            format!("In use: {} of {}", Bytes(self.used), Bytes(self.limit)),
            format!("Leased: {}", Bytes(self.leased)),
            format!("Idle: {}", Bytes(self.idle)),
            format!("Tracked: {}", Bytes(self.tracked)),
            format!("Peak: {}", Bytes(self.peak)),
            format!("Over the budget: {}", Bytes(self.overcommitted)),
            format!("Cached buffers: {}", self.cached_buffers),
            format!("Active nodes: {}", self.active_nodes),
            format!("Idle nodes: {}", self.idle_nodes),
        ]
    }
}

impl MemoryStats {
    /// The stats as a JSON object of whole numbers of bytes and counts, under the names of the fields here.
    #[must_use]
    pub fn to_json(&self) -> String {
        let figures = [
            ("used", self.used),
            ("leased", self.leased),
            ("idle", self.idle),
            ("tracked", self.tracked),
            ("peak", self.peak),
            ("limit", self.limit),
            ("overcommitted", self.overcommitted),
            ("cached_buffers", self.cached_buffers),
            ("active_nodes", self.active_nodes),
            ("idle_nodes", self.idle_nodes),
        ];
        let members: Vec<String> =
            figures.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    }
}

type Callback = Option<Box<dyn Fn(usize)>>;

/// Builds an [`AudioMemory`].
#[must_use = "a builder makes nothing until `build`"]
pub struct AudioMemoryBuilder {
    budget: usize,
    warning_at: Option<usize>,
    recovered_at: Option<usize>,
    on_warning: Callback,
    on_recovery: Callback,
}

impl AudioMemoryBuilder {
    /// The bytes that pools never pass. Default: [`DEFAULT_BUDGET`].
    pub fn budget(mut self, bytes: usize) -> Self {
        self.budget = bytes;
        self
    }

    /// The bytes above which the warning is raised. Default: 7/8 of the budget.
    pub fn warning_at(mut self, bytes: usize) -> Self {
        self.warning_at = Some(bytes);
        self
    }

    /// The bytes at which the warning is taken back, and may be raised again. Default: 7/8 of where it is raised.
    pub fn recovered_at(mut self, bytes: usize) -> Self {
        self.recovered_at = Some(bytes);
        self
    }

    /// Called with the bytes in use when they pass the warning's threshold: once, until they have fallen to
    /// [`recovered_at`](Self::recovered_at). It runs after the operation that passed it, and may use the pools.
    pub fn on_warning(mut self, callback: impl Fn(usize) + 'static) -> Self {
        self.on_warning = Some(Box::new(callback));
        self
    }

    /// Called with the bytes in use when they are back at [`recovered_at`](Self::recovered_at).
    pub fn on_recovery(mut self, callback: impl Fn(usize) + 'static) -> Self {
        self.on_recovery = Some(Box::new(callback));
        self
    }

    /// The memory.
    #[must_use]
    pub fn build(self) -> AudioMemory {
        let soft = self.warning_at.unwrap_or(self.budget - self.budget / 8);
        let mailbox = Arc::new(AtomicU8::new(NO_NEWS));
        let inbox = Arc::clone(&mailbox);
        // An account may be shared by threads, so its handler must be too; the callbacks of a page need not be. The
        // handler leaves a note, and the operation that caused it delivers it.
        let mut account =
            Account::builder("audio").hard_limit(self.budget).soft_limit(soft).on_event(move |event| {
                let note = match event.kind {
                    AccountEventKind::OverSoftLimit => WARNING,
                    AccountEventKind::BackToLow => RECOVERED,
                };
                inbox.store(note, Ordering::Relaxed);
            });
        if let Some(bytes) = self.recovered_at {
            account = account.low_watermark(bytes);
        }
        let account = account.build();
        AudioMemory(Rc::new(Inner {
            tracker: RefCell::new(Tracker::new(account.clone())),
            account,
            mailbox,
            told: Cell::new(RECOVERED),
            on_warning: self.on_warning,
            on_recovery: self.on_recovery,
            members: RefCell::new(Vec::new()),
            nodes: Cell::new(0),
        }))
    }
}

const NO_NEWS: u8 = 0;
const WARNING: u8 = 1;
const RECOVERED: u8 = 2;

struct Inner {
    account: Account,
    tracker: RefCell<Tracker<String>>,
    mailbox: Arc<AtomicU8>,
    /// What the callbacks were told last. An eviction may end a warning and a charge begin it before anybody can be told: then
    /// there is no news.
    told: Cell<u8>,
    on_warning: Callback,
    on_recovery: Callback,
    members: RefCell<Vec<Weak<dyn Member>>>,
    /// Nodes that the program counts itself.
    nodes: Cell<usize>,
}

/// The budget of a page's audio. A handle: clones are the same budget.
///
/// No operation calls into JavaScript, except `track_buffer`, which asks the buffer for its size (2 calls), and `log`.
#[derive(Clone)]
pub struct AudioMemory(Rc<Inner>);

/// [`DEFAULT_BUDGET`], with a warning at 7/8 of it that nobody hears.
impl Default for AudioMemory {
    fn default() -> Self {
        Self::builder().build()
    }
}

impl AudioMemory {
    /// A budget of [`DEFAULT_BUDGET`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Chooses budget, warning and callbacks.
    pub fn builder() -> AudioMemoryBuilder {
        AudioMemoryBuilder {
            budget: DEFAULT_BUDGET,
            warning_at: None,
            recovered_at: None,
            on_warning: None,
            on_recovery: None,
        }
    }

    /// The account that everything is charged to: for pools of the program's own.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.0.account
    }

    /// Counts `bytes` under `id`, and returns what was counted under it before. O(1).
    ///
    /// What is tracked exists already, so this succeeds over the budget too; the pools then evict idle objects.
    ///
    /// # Errors
    ///
    /// [`OverBudget`] only if the count itself would overflow; nothing is changed by it.
    pub fn track(&self, id: &str, bytes: usize) -> Result<Option<usize>, OverBudget> {
        let before = self.0.tracker.borrow_mut().track(id.to_owned(), bytes)?;
        self.settle();
        Ok(before)
    }

    /// Counts no more what is under `id`, and returns its bytes; `None` if there is nothing. O(1).
    pub fn untrack(&self, id: &str) -> Option<usize> {
        let bytes = self.0.tracker.borrow_mut().untrack(id);
        self.deliver();
        bytes
    }

    /// The same as [`untrack`](Self::untrack), by the name that the design note has.
    pub fn untrack_buffer(&self, id: &str) -> Option<usize> {
        self.untrack(id)
    }

    /// Marks `id` as just used, so that [`evict_to`](Self::evict_to) takes it last. `false` if it is not tracked. O(1).
    pub fn touch(&self, id: &str) -> bool {
        self.0.tracker.borrow_mut().touch(id)
    }

    /// Bytes under `id`.
    #[must_use]
    pub fn tracked(&self, id: &str) -> Option<usize> {
        self.0.tracker.borrow().bytes_of(id)
    }

    /// Counts only those for which `keep` says so, and returns the bytes of the others. O(tracked).
    pub fn retain(&self, mut keep: impl FnMut(&str, usize) -> bool) -> usize {
        let all: Vec<(String, usize)> =
            self.0.tracker.borrow().iter().map(|(id, bytes)| (id.clone(), bytes)).collect();
        // Asked with nothing borrowed: the predicate may use this memory.
        let dropped: Vec<String> =
            all.into_iter().filter(|(id, bytes)| !keep(id, *bytes)).map(|(id, _)| id).collect();
        let freed = dropped.iter().filter_map(|id| self.0.tracker.borrow_mut().untrack(id.as_str())).sum();
        self.deliver();
        freed
    }

    /// Counts only those with an id in `keep`, and returns the bytes of the others. O(tracked x keep); for many ids
    /// use [`retain`](Self::retain) with a set.
    pub fn cleanup(&self, keep: &[&str]) -> usize {
        self.retain(|id, _| keep.contains(&id))
    }

    /// Brings the bytes in use down to `target`: first idle pooled objects, then tracked buffers, those used longest
    /// ago first. Returns the ids that are no longer counted, in that order: the program lets go of those buffers.
    pub fn evict_to(&self, target: usize) -> Vec<String> {
        let ids = match self.evict_pools_to(target) {
            0 => Vec::new(),
            over => {
                let mut tracker = self.0.tracker.borrow_mut();
                let target = tracker.used().saturating_sub(over);
                tracker.evict_to(target)
            }
        };
        self.deliver();
        ids
    }

    /// The part of [`evict_to`](Self::evict_to) that is the pools'; returns the bytes that are still to go.
    #[doc(hidden)]
    pub fn evict_pools_to(&self, target: usize) -> usize {
        self.make_room(self.used().saturating_sub(target));
        self.used().saturating_sub(target)
    }

    /// Counts no tracked buffer any more, and evicts every idle pooled object. What is leased stays.
    pub fn clear(&self) {
        self.0.tracker.borrow_mut().clear();
        self.clear_pools();
    }

    /// As [`clear`](Self::clear), of what is not tracked here: for the npm package, which tracks in JavaScript.
    #[doc(hidden)]
    pub fn clear_pools(&self) {
        self.make_room(usize::MAX);
        self.0.nodes.set(0);
        self.deliver();
    }

    /// Counts a node that no pool knows of.
    pub fn track_node(&self) {
        self.0.nodes.set(self.0.nodes.get().saturating_add(1));
    }

    /// Counts such a node no more; never below zero.
    pub fn untrack_node(&self) {
        self.0.nodes.set(self.0.nodes.get().saturating_sub(1));
    }

    /// Bytes charged now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.0.account.used()
    }

    /// Most bytes charged at one time, since [`reset_peak`](Self::reset_peak).
    #[must_use]
    pub fn peak(&self) -> usize {
        self.0.account.peak()
    }

    /// Sets the peak to what is in use now.
    pub fn reset_peak(&self) {
        self.0.account.reset_peak();
    }

    /// The budget in bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.account.hard_limit()
    }

    /// Changes the budget. Idle objects that no longer fit are evicted; returns the bytes that are over all the same.
    pub fn set_limit(&self, bytes: usize) -> usize {
        self.0.account.set_hard_limit(bytes);
        self.settle();
        self.0.account.overcommitted()
    }

    /// What audio holds. O(pools).
    #[must_use]
    pub fn stats(&self) -> MemoryStats {
        let account = &self.0.account;
        let mut stats = MemoryStats {
            used: account.used(),
            tracked: self.0.tracker.borrow().used(),
            peak: account.peak(),
            limit: account.hard_limit(),
            overcommitted: account.overcommitted(),
            cached_buffers: self.0.tracker.borrow().len(),
            active_nodes: self.0.nodes.get(),
            ..MemoryStats::default()
        };
        for member in self.members() {
            let pool = member.stats();
            stats.leased += pool.leased_bytes;
            stats.idle += pool.idle_bytes;
            if member.holds_nodes() {
                stats.active_nodes += pool.leased;
                stats.idle_nodes += pool.idle;
            }
        }
        stats
    }

    /// The stats as text, one figure per line.
    #[must_use]
    pub fn report(&self) -> String {
        self.stats().report().join("\n")
    }

    /// Lets a pool take part, for as long as it lives.
    pub fn join(&self, member: Weak<dyn Member>) {
        let mut members = self.0.members.borrow_mut();
        members.retain(|member| member.strong_count() > 0);
        members.push(member);
    }

    /// Makes room for a charge that a pool was refused although it would have evicted its own idle objects: those of
    /// the other pools that take part go too. Nothing is evicted if even everything would not do.
    ///
    /// True if there is room now, so that asking again is worth it.
    pub fn make_room_for(&self, refusal: &OverBudget) -> bool {
        if refusal.account != self.0.account || refusal.requested > self.limit() {
            return false;
        }
        let needed = refusal.requested.saturating_sub(refusal.free);
        let members = self.members();
        members.iter().for_each(|member| member.look_after());
        let evictable = members.iter().map(|member| member.stats().idle_bytes + member.quarantined_bytes());
        evictable.sum::<usize>() >= needed && self.make_room(needed) >= needed
    }

    /// Evicts idle objects of at least `bytes`, or all there are; then quarantined ones.
    fn make_room(&self, bytes: usize) -> usize {
        let mut freed = 0;
        let members = self.members();
        for evict in [<dyn Member>::evict, <dyn Member>::evict_quarantined] {
            for member in &members {
                if freed < bytes {
                    freed += evict(&**member, bytes - freed);
                }
            }
        }
        freed
    }

    /// What follows a charge that asked nobody: idle objects go as far as the budget is passed, and callbacks that are due
    /// are called.
    #[doc(hidden)]
    pub fn settle(&self) {
        let over = self.0.account.overcommitted();
        if over > 0 {
            self.make_room(over);
        }
        self.deliver();
    }

    /// Calls the callbacks that are due, with nothing borrowed. One atomic load if there is no news.
    pub(crate) fn deliver(&self) {
        let mailbox = &self.0.mailbox;
        if mailbox.load(Ordering::Relaxed) == NO_NEWS {
            return;
        }
        let news = mailbox.swap(NO_NEWS, Ordering::Relaxed);
        if self.0.told.replace(news) == news {
            return;
        }
        let callback = if news == WARNING { &self.0.on_warning } else { &self.0.on_recovery };
        if let Some(callback) = callback {
            callback(self.used());
        }
    }

    fn members(&self) -> Vec<Rc<dyn Member>> {
        self.0.members.borrow().iter().filter_map(Weak::upgrade).collect()
    }
}

#[cfg(feature = "web-sys")]
mod web {
    use super::{AudioMemory, OverBudget};
    use crate::console;
    use crate::key::buffer_bytes;
    use web_sys::AudioBuffer;

    impl AudioMemory {
        /// Counts the samples of `buffer` under `id`; see [`track`](Self::track). The buffer itself is not kept.
        /// 2 calls into JavaScript.
        ///
        /// # Errors
        ///
        /// As [`track`](Self::track).
        pub fn track_buffer(&self, id: &str, buffer: &AudioBuffer) -> Result<Option<usize>, OverBudget> {
            let bytes = buffer_bytes(buffer.number_of_channels(), buffer.length());
            self.track(id, bytes.unwrap_or(usize::MAX))
        }

        /// Writes the stats to the console, as a group.
        pub fn log(&self) {
            console::group("Audio memory", &self.stats().report());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;
    use pool_core::{AcquireError, KeyedPool};

    fn memory(budget: usize) -> AudioMemory {
        AudioMemory::builder().budget(budget).build()
    }

    type Bytewise = KeyedPool<usize, fn(&usize) -> Result<Block, core::convert::Infallible>>;

    struct Block(usize);
    impl pool_core::Footprint for Block {
        fn footprint(&self) -> usize {
            self.0
        }
    }

    struct TestPool {
        core: Bytewise,
        nodes: bool,
    }

    impl Member for TestPool {
        fn holds_nodes(&self) -> bool {
            self.nodes
        }
        fn stats(&self) -> PoolStats {
            self.core.stats()
        }
        fn evict(&self, bytes: usize) -> usize {
            self.core.evict_to(self.core.stats().bytes().saturating_sub(bytes))
        }
    }

    fn pool(memory: &AudioMemory, nodes: bool) -> Rc<TestPool> {
        let make: fn(&usize) -> Result<Block, core::convert::Infallible> = |bytes| Ok(Block(*bytes));
        let pool = Rc::new(TestPool {
            core: KeyedPool::builder(make).account(memory.account().clone()).build(),
            nodes,
        });
        let member: Weak<TestPool> = Rc::downgrade(&pool);
        memory.join(member);
        pool
    }

    // 96 MiB would be over the 100 MB that the project promises.
    #[test]
    fn the_default_stays_below_100_mb() {
        assert!(AudioMemory::new().limit() < 100_000_000);
    }

    // The seed's manager, name by name: wrong sums, ids that stay, bytes that are not returned.
    #[test]
    fn tracked_buffers_come_and_go() {
        let memory = memory(1000);
        assert_eq!(memory.track("kick", 300).ok(), Some(None));
        assert_eq!(memory.track("snare", 200).ok(), Some(None));
        assert_eq!(memory.track("kick", 100).ok(), Some(Some(300)), "the old size, not added up");
        assert_eq!((memory.used(), memory.stats().cached_buffers), (300, 2));
        assert_eq!((memory.tracked("kick"), memory.tracked("hat")), (Some(100), None));
        assert_eq!((memory.untrack_buffer("kick"), memory.untrack("kick")), (Some(100), None));
        assert_eq!(memory.track("hat", 50).ok(), Some(None));
        assert_eq!(memory.cleanup(&["hat"]), 200);
        assert_eq!((memory.used(), memory.peak()), (50, 500));
        memory.reset_peak();
        assert_eq!(memory.peak(), 50);
        memory.clear();
        assert_eq!((memory.used(), memory.stats().cached_buffers), (0, 0));
    }

    // Least recently used first, touched last, and no more than needed.
    #[test]
    fn eviction_is_in_lru_order() {
        let memory = memory(1000);
        for id in ["a", "b", "c", "d"] {
            assert!(memory.track(id, 100).is_ok());
        }
        assert!(memory.touch("a"));
        assert!(!memory.touch("nobody"));
        assert_eq!(memory.evict_to(250), vec!["b".to_string(), "c".to_string()]);
        assert_eq!(memory.evict_to(250), Vec::<String>::new());
        assert_eq!(memory.used(), 200);
    }

    // A predicate that looks at the memory would panic if anything were borrowed.
    #[test]
    fn a_predicate_may_use_the_memory() {
        let memory = memory(1000);
        assert!(memory.track("a", 100).is_ok() && memory.track("b", 10).is_ok());
        let freed = memory.retain(|id, bytes| {
            assert_eq!(memory.tracked(id), Some(bytes));
            memory.touch(id) && bytes < 100
        });
        assert_eq!((freed, memory.used()), (100, 10));
    }

    // The seed warns at every single call above the threshold.
    #[test]
    fn the_warning_is_raised_once() {
        let heard = Rc::new(RefCell::new(Vec::new()));
        let (warnings, recoveries) = (Rc::clone(&heard), Rc::clone(&heard));
        let memory = AudioMemory::builder()
            .budget(1000)
            .warning_at(500)
            .recovered_at(200)
            .on_warning(move |used| warnings.borrow_mut().push((used, '!')))
            .on_recovery(move |used| recoveries.borrow_mut().push((used, '.')))
            .build();
        for (id, bytes) in [("a", 300), ("b", 300), ("c", 100)] {
            assert!(memory.track(id, bytes).is_ok());
        }
        memory.untrack("a");
        assert!(memory.track("a", 300).is_ok());
        assert_eq!(*heard.borrow(), [(600, '!')]);
        memory.untrack("a");
        memory.untrack("b");
        assert!(memory.track("b", 500).is_ok());
        assert_eq!(*heard.borrow(), [(600, '!'), (100, '.'), (600, '!')]);
    }

    // What exists is counted even over the budget; then idle objects go, and nothing new is made.
    #[test]
    fn tracked_bytes_push_idle_objects_out() {
        let memory = memory(1000);
        let buffers = pool(&memory, false);
        drop(buffers.core.acquire(&600).expect("fits"));
        assert_eq!((memory.stats().idle, memory.stats().used), (600, 600));
        assert!(memory.track("song", 900).is_ok());
        assert_eq!((memory.stats().idle, memory.stats().overcommitted), (0, 0));
        assert!(memory.track("song", 1200).is_ok());
        assert_eq!(memory.stats().overcommitted, 200);
        assert!(matches!(buffers.core.acquire(&1), Err(AcquireError::OverBudget(_))));
        memory.untrack("song");
        assert!(buffers.core.acquire(&1).is_ok());
    }

    // A pool that is refused while another of the same budget sits on idle objects.
    #[test]
    fn pools_make_room_for_each_other() {
        let memory = memory(1000);
        let (buffers, delays) = (pool(&memory, false), pool(&memory, true));
        drop(delays.core.acquire(&700).expect("fits"));
        let held = buffers.core.acquire(&200).expect("fits");
        let Err(AcquireError::OverBudget(refusal)) = buffers.core.acquire(&400) else {
            panic!("900 of 1000 are charged");
        };
        assert!(memory.make_room_for(&refusal));
        let second = buffers.core.acquire(&400).expect("there is room now");
        assert_eq!((memory.used(), delays.core.stats().evicted), (600, 1));
        // Even everything would not do: then nothing goes.
        drop(second);
        let Err(AcquireError::OverBudget(refusal)) = delays.core.acquire(&900) else { panic!("too much") };
        assert!(!memory.make_room_for(&refusal));
        assert_eq!(buffers.core.stats().idle, 1);
        drop(held);
        drop(buffers);
        assert_eq!(memory.used(), 0, "a pool that is gone holds nothing");
    }

    // Figures that are mixed up between nodes and buffers, or leased and idle.
    #[test]
    fn stats_add_up() {
        let memory = memory(10_000);
        let (buffers, nodes) = (pool(&memory, false), pool(&memory, true));
        let leases = (buffers.core.acquire(&100).expect("fits"), nodes.core.acquire(&30).expect("fits"));
        drop(nodes.core.acquire(&40).expect("fits"));
        assert!(memory.track("song", 1000).is_ok());
        memory.track_node();
        memory.track_node();
        memory.untrack_node();
        let stats = memory.stats();
        assert_eq!((stats.leased, stats.idle, stats.tracked), (130, 40, 1000));
        assert_eq!(stats.used, stats.leased + stats.idle + stats.tracked);
        assert_eq!((stats.active_nodes, stats.idle_nodes), (2, 1));
        assert_eq!(memory.report().lines().count(), stats.report().len());
        let json = memory.stats().to_json();
        assert!(
            json.starts_with("{\"used\":1170,\"leased\":130,") && json.ends_with("\"idle_nodes\":1}"),
            "{json}"
        );
        assert!(memory.report().starts_with("In use: 1.14 KiB of 9.77 KiB"), "{}", memory.report());
        memory.untrack_node();
        memory.untrack_node();
        drop(leases);
        assert_eq!(memory.stats().active_nodes, 0, "never below zero");
    }

    // A limit below what is in use succeeds, evicts, and tells the rest.
    #[test]
    fn a_lower_limit_reports_what_is_left() {
        let memory = memory(1000);
        let buffers = pool(&memory, false);
        let lease = buffers.core.acquire(&300).expect("fits");
        drop(buffers.core.acquire(&400).expect("fits"));
        assert_eq!(memory.set_limit(100), 200);
        assert_eq!((memory.stats().idle, memory.limit()), (0, 100));
        drop(lease);
    }
}
