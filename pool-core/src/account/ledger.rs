//! One level's counts: [`Ledger`].

use super::Account;
use super::event::{AccountEvent, Handler};
#[cfg(target_family = "wasm")]
use super::levels::Tree;
use super::mode::Shared;
use super::quiet::Quiet;
use crate::bytes::Bytes;
use crate::sync::{
    AtomicBool, AtomicUsize, Count,
    Ordering::{Acquire, Relaxed},
    const_fn,
};
use core::fmt;

#[cfg(feature = "alloc")]
use super::credit::{Credit, Line};
#[cfg(feature = "alloc")]
use super::evict::Evict;
#[cfg(feature = "alloc")]
use super::evictors::Evictors;
#[cfg(feature = "alloc")]
use super::mode::{Local, SharedHandle};
#[cfg(feature = "alloc")]
use crate::numbered::Numbered;
#[cfg(feature = "alloc")]
use crate::{
    lock::Lock,
    sync::{Arc, Count64, Weak},
    wanted,
};
#[cfg(feature = "alloc")]
use alloc::{borrow::Cow, boxed::Box, rc::Rc, vec::Vec};
#[cfg(feature = "alloc")]
use core::{cell::Cell, mem};

/// What an account's end drops only if anybody asked for it: a page need not download how.
#[cfg(feature = "alloc")]
pub(crate) type Ending<T> = mem::ManuallyDrop<T>;

#[cfg(feature = "alloc")]
type Name = Cow<'static, str>;
#[cfg(not(feature = "alloc"))]
type Name = &'static str;

/// The level of an account tree at which bytes are counted: what an [`Account`] points to.
///
/// Programs with an allocator use `Account::new` and never see it. Without one, ledgers are statics:
///
/// ```
/// use pool_core::{Account, Ledger};
///
/// static RAM: Ledger = Ledger::new("ram", 4096);
/// static RADIO: Ledger = Ledger::child("radio", 1024, Account::from_static(&RAM));
///
/// let radio = Account::from_static(&RADIO);
/// let frame = radio.try_reserve(1000)?;
/// assert_eq!(RAM.account().used(), 1000);
/// assert_eq!(radio.try_reserve(100).unwrap_err().free, 24);
/// # drop(frame);
/// # Ok::<(), pool_core::OverBudget>(())
/// ```
///
/// What each charge writes has a line of memory of its own where there is an allocator, and what it only reads lies in the
/// next: so threads that charge the same account hand one line to and fro, and what they look at after they have written
/// stays where it is. An account on the heap counts its handles in another line, which each new reservation writes, too.
#[repr(C)]
pub struct Ledger {
    /// What is in use and, of a shared account, what is lent to [`Credit`]s.
    pub(crate) used: OwnLine<AtomicUsize>,
    /// Up to where a charge passes neither limit nor peak.
    pub(crate) quiet: Quiet,
    pub(crate) hard_limit: AtomicUsize,
    pub(crate) peak: Count,
    pub(crate) soft_limit: AtomicUsize,
    /// Whether the soft limit was crossed and the low watermark not yet reached again.
    pub(crate) over_soft: AtomicBool,
    /// `usize::MAX` stands for 7/8 of the soft limit.
    pub(crate) low_watermark: Count,
    /// The highest peak before the last reset.
    pub(crate) former_peak: Count,
    pub(crate) external: Count,
    pub(crate) name: Name,
    // What follows is of shared accounts; a local one has it in its node.
    pub(crate) parent: Option<Account>,
    /// There if there is a parent.
    #[cfg(target_family = "wasm")]
    pub(crate) tree: Option<&'static Tree<Shared>>,
    pub(crate) on_event: Option<Handler<Shared>>,
    /// Whose ledgers are directly below; those in a `static` are not listed.
    #[cfg(feature = "alloc")]
    pub(crate) children: Ending<Lock<Numbered<Weak<Ledger>>>>,
    /// Its number on that list of the account above.
    #[cfg(feature = "alloc")]
    pub(crate) number: u64,
    /// Pools at or below that give idle objects back.
    #[cfg(feature = "alloc")]
    pub(crate) evictors: Ending<Lock<Evictors<Arc<Box<dyn Evict + Send + Sync>>>>>,
    /// How many those are, here or of the node, to be read without the lock.
    #[cfg(feature = "alloc")]
    pub(crate) giving: Count,
    /// Objects of those that are only to be destroyed.
    #[cfg(feature = "alloc")]
    pub(crate) doomed: Count,
    /// Those of the whole tree that have ever had objects in quarantine, if this is the top, here or of the node.
    #[cfg(feature = "alloc")]
    pub(crate) quarantining: Count,
    /// Credits at or below, and how many they are.
    #[cfg(feature = "alloc")]
    pub(crate) credits: Lock<Vec<Arc<Line>>>,
    #[cfg(feature = "alloc")]
    pub(crate) lending: AtomicUsize,
    /// How many there were that are no more.
    #[cfg(feature = "alloc")]
    pub(crate) credits_gone: AtomicUsize,
    /// Bytes that pools of the whole tree have given back, ever and wrapping, if this is the top; see `admit`.
    #[cfg(feature = "alloc")]
    pub(crate) given_back: AtomicUsize,
    /// Counts the misses of the whole tree, if this is the top.
    #[cfg(feature = "alloc")]
    pub(crate) epoch: OwnLine<Count64>,
}

/// A count apart from what is written more often or less often.
#[cfg_attr(feature = "alloc", repr(align(64)))]
pub(crate) struct OwnLine<T>(T);

impl<T> core::ops::Deref for OwnLine<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl Ledger {
    const_fn! {
        /// A root with a hard limit in bytes (`usize::MAX` for none), without soft limit.
        #[must_use]
        pub fn new(name: &'static str, hard_limit: usize) -> Self {
            Self::with(name, None, hard_limit, usize::MAX, None)
        }
    }

    const_fn! {
        /// A ledger below `parent`, with a hard limit of its own in bytes (`usize::MAX` for none).
        #[must_use]
        pub fn child(name: &'static str, hard_limit: usize, parent: Account) -> Self {
            Self::with(name, Some(parent), hard_limit, usize::MAX, None)
        }
    }

    const_fn! {
        /// A ledger with a soft limit, whose crossings `handler` hears of.
        #[must_use]
        pub fn watched(
            name: &'static str,
            hard_limit: usize,
            soft_limit: usize,
            handler: fn(&AccountEvent),
            parent: Option<Account>
        ) -> Self {
            Self::with(name, parent, hard_limit, soft_limit, Some(Handler::Plain(handler)))
        }
    }

    const_fn! {
        fn with(
            name: &'static str,
            parent: Option<Account>,
            hard_limit: usize,
            soft_limit: usize,
            on_event: Option<Handler<Shared>>
        ) -> Self {
            #[cfg(feature = "alloc")]
            let name = Cow::Borrowed(name);
            Self {
                used: OwnLine(AtomicUsize::new(0)),
                quiet: Quiet::new(),
                hard_limit: AtomicUsize::new(hard_limit),
                peak: Count::new(0),
                soft_limit: AtomicUsize::new(soft_limit),
                over_soft: AtomicBool::new(false),
                low_watermark: Count::new(usize::MAX),
                former_peak: Count::new(0),
                external: Count::new(0),
                name,
                #[cfg(target_family = "wasm")]
                tree: if parent.is_some() { Some(Tree::ANY) } else { None },
                parent,
                on_event,
                #[cfg(feature = "alloc")]
                children: Ending::new(Lock::new(Numbered::new())),
                #[cfg(feature = "alloc")]
                number: 0,
                #[cfg(feature = "alloc")]
                evictors: Ending::new(Lock::new(Evictors::new())),
                #[cfg(feature = "alloc")]
                giving: Count::new(0),
                #[cfg(feature = "alloc")]
                doomed: Count::new(0),
                #[cfg(feature = "alloc")]
                quarantining: Count::new(0),
                #[cfg(feature = "alloc")]
                credits: Lock::new(Vec::new()),
                #[cfg(feature = "alloc")]
                lending: AtomicUsize::new(0),
                #[cfg(feature = "alloc")]
                credits_gone: AtomicUsize::new(0),
                #[cfg(feature = "alloc")]
                given_back: AtomicUsize::new(0),
                #[cfg(feature = "alloc")]
                epoch: OwnLine(Count64::new(0)),
            }
        }
    }

    /// The account of a ledger in a `static`.
    #[must_use]
    pub const fn account(&'static self) -> Account {
        Account::from_static(self)
    }

    pub(crate) fn name(&self) -> &str {
        #[cfg(feature = "alloc")]
        return &self.name;
        #[cfg(not(feature = "alloc"))]
        self.name
    }

    /// Bytes in use, without what is lent and not used.
    pub(crate) fn in_use(&self) -> usize {
        #[cfg(feature = "alloc")]
        if wanted::LENDING.is_set() && self.lending.load(Relaxed) != 0 {
            // The lock keeps lenders from taking back in between; what a holder gives back itself may be missed once.
            return self.credits.with(|lines| {
                let lent: usize = lines.iter().map(|line| line.recallable()).sum();
                self.used.load(Relaxed).saturating_sub(lent)
            });
        }
        self.used.load(Relaxed)
    }

    /// The bytes in use that a charge may leave without a record, an event or a limit to be seen to.
    pub(crate) fn quiet_bound(&self) -> usize {
        let soft = if self.over_soft.load(Relaxed) { usize::MAX } else { self.soft_limit.load(Relaxed) };
        self.hard_limit.load(Relaxed).min(self.peak.load(Relaxed)).min(soft)
    }

    #[inline]
    pub(crate) fn low(&self) -> usize {
        let soft = self.soft_limit.load(Relaxed);
        match self.low_watermark.load(Relaxed) {
            usize::MAX => soft - soft / 8,
            // A watermark above the soft limit would end the pressure that begins there.
            low => low.min(soft),
        }
    }

    pub(crate) fn lifetime_peak(&self) -> usize {
        // Acquire: if the peak was reset, the former one as it was before.
        let peak = self.peak.load(Acquire);
        self.former_peak.load(Relaxed).max(peak)
    }
}

#[cfg(feature = "alloc")]
impl Drop for Ledger {
    fn drop(&mut self) {
        if wanted::GIVING.is_set() {
            drop(self.evictors.with(mem::take));
        }
        if !wanted::CHILDREN.is_set() {
            return;
        }
        drop(self.children.with(mem::take));
        let mut child = self.number;
        let mut above = self.parent.take();
        // Those above that go too go one after the other and not each inside the one below: a tree may be deep.
        while let Some(parent) = above {
            forget_child(parent.ledger(), child);
            let SharedHandle::Counted(parent) = parent.into_handle() else { break };
            child = parent.number;
            above = Arc::into_inner(parent).and_then(|mut last| last.parent.take());
        }
    }
}

/// Takes a ledger that goes, or has gone, off the list of the one above.
#[cfg(feature = "alloc")]
pub(crate) fn forget_child(parent: &Ledger, child: u64) {
    let gone = parent.children.with(|children| children.remove(child));
    drop(gone);
}

/// A local account: its ledger, which anybody may read, and what only its thread may touch.
#[cfg(feature = "alloc")]
pub struct LocalNode {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) parent: Option<Account<Local>>,
    pub(crate) on_event: Option<Handler<Local>>,
    pub(crate) evictors: Ending<Lock<Evictors<Rc<Box<dyn Evict>>>>>,
    pub(crate) above: Option<Credit>,
    /// Counts the releases of the whole tree, if this is the top.
    pub(crate) releases: Cell<u64>,
}

#[cfg(feature = "alloc")]
impl LocalNode {
    fn listed_in(&self) -> Option<&Ledger> {
        listed_in(self.parent.as_ref(), self.above.as_ref())
    }
}

/// The ledger of which a local account is a child.
#[cfg(feature = "alloc")]
pub(crate) fn listed_in<'a>(
    parent: Option<&'a Account<Local>>,
    above: Option<&'a Credit>,
) -> Option<&'a Ledger> {
    match (parent, above) {
        (Some(parent), _) => Some(parent.ledger()),
        (None, Some(credit)) => Some(credit.account().ledger()),
        (None, None) => None,
    }
}

#[cfg(feature = "alloc")]
impl Drop for LocalNode {
    fn drop(&mut self) {
        if wanted::GIVING.is_set() {
            drop(self.evictors.with(mem::take));
        }
        if let Some(above) = self.listed_in() {
            forget_child(above, self.ledger.number);
        }
        // As in `Ledger`.
        let mut above = self.parent.take();
        while let Some(mut last) = above.and_then(|parent| Rc::into_inner(parent.into_handle())) {
            if let Some(above) = last.listed_in() {
                forget_child(above, last.ledger.number);
            }
            above = last.parent.take();
        }
    }
}

impl Ledger {
    /// `audio: 3.00 MiB of 91.55 MiB, peak 12.00 MiB`
    pub(crate) fn fmt_line(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name(), Bytes(self.in_use()))?;
        match self.hard_limit.load(Relaxed) {
            usize::MAX => {}
            limit => write!(f, " of {}", Bytes(limit))?,
        }
        write!(f, ", peak {}", Bytes(self.peak.load(Relaxed)))
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_line(f)
    }
}

#[cfg(test)]
#[cfg(feature = "std")]
mod tests {
    use super::*;

    // A server that makes an account for each request, and one list that grows for ever; or a refusal that keeps its
    // account's memory.
    #[test]
    fn accounts_that_are_gone_leave_nothing_behind() {
        let server = Account::new("server", 100);
        let page = Account::local_builder("page").credit(server.credit(10)).build();
        for _ in 0..3 {
            let request = Account::builder("request").parent(&server).build();
            let part = Account::local_builder("part").parent(&page).build();
            let own = Account::local_builder("own").credit(request.credit(1)).build();
            let refusals =
                (request.try_reserve(101).err(), own.reference(), part.reference(), request.reference());
            let listed = |ledger: &Ledger| ledger.children.with(|children| children.len());
            assert_eq!([&server, &request].map(|account| listed(account.ledger())), [2, 1]);
            assert_eq!(listed(page.ledger()), 1);
            let last = |ledger: &Ledger| {
                ledger.children.with(|children| children.after(0).last().map(|(_, child)| child.clone()))
            };
            let gone = [server.ledger(), page.ledger(), request.ledger()].map(last);
            drop((refusals, part, own, request));
            assert!(gone.iter().flatten().all(|gone| gone.upgrade().is_none()));
            assert_eq!((listed(server.ledger()), listed(page.ledger())), (1, 0));
        }
        assert_eq!(std::format!("{:?}", server.ledger()), "server: 0 B of 100 B, peak 0 B");
    }
}
