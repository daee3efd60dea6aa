//! What an account on the heap is made with: [`AccountBuilder`].

use super::Account;
use super::credit::Credit;
use super::event::{AccountEvent, Handler};
use super::evictors::Evictors;
use super::ledger::{Ending, Ledger, LocalNode, listed_in};
#[cfg(target_family = "wasm")]
use super::levels::Tree;
use super::mode::{Local, Mode, Shared, SharedHandle};
use crate::lock::Lock;
use crate::numbered::Numbered;
use crate::sync::{Arc, Ordering::Relaxed};
use crate::wanted;
use alloc::{borrow::Cow, boxed::Box, rc::Rc};
use core::cell::Cell;
use core::mem::ManuallyDrop;

/// Builds an [`Account`]; made by [`Account::builder`] or `Account::local_builder`.
#[must_use = "a builder makes nothing until `build`"]
pub struct AccountBuilder<M: Mode = Shared> {
    ledger: Ledger,
    parent: Option<Account<M>>,
    on_event: Option<Handler<M>>,
    above: Option<Credit>,
}

impl<M: Mode> AccountBuilder<M> {
    fn named(name: Cow<'static, str>) -> Self {
        let mut ledger = Ledger::new("", usize::MAX);
        ledger.name = name;
        Self { ledger, parent: None, on_event: None, above: None }
    }

    /// The account above, which counts these bytes too.
    pub fn parent(mut self, parent: &Account<M>) -> Self {
        wanted::CHILDREN.set();
        // Of a local account its node tells, and this does no harm.
        #[cfg(target_family = "wasm")]
        (self.ledger.tree = Some(Tree::ANY));
        self.parent = Some(parent.clone());
        self
    }

    /// The bytes that no charge passes. Default: none.
    pub fn hard_limit(self, bytes: usize) -> Self {
        self.ledger.hard_limit.store(bytes, Relaxed);
        self
    }

    /// The bytes above which the account is under pressure. Default: none.
    pub fn soft_limit(self, bytes: usize) -> Self {
        self.ledger.soft_limit.store(bytes, Relaxed);
        self
    }

    /// The bytes at which pressure ends. Default: 7/8 of the soft limit.
    pub fn low_watermark(self, bytes: usize) -> Self {
        self.ledger.low_watermark.store(bytes, Relaxed);
        self
    }
}

impl Account {
    /// A root with a hard limit in bytes.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>, hard_limit: usize) -> Self {
        Self::builder(name).hard_limit(hard_limit).build()
    }

    /// An account with any of the limits, a parent and a handler for events.
    pub fn builder(name: impl Into<Cow<'static, str>>) -> AccountBuilder {
        AccountBuilder::named(name.into())
    }
}

impl AccountBuilder {
    /// Who hears of crossings. Called by whichever thread crosses, with nothing locked; may use the account and
    /// its pools. A handler that holds a clone of its own account keeps it alive for ever; one that holds another account ends
    /// that inside its own end, so of a chain of thousands by a stack as deep.
    ///
    /// If it panics, the counts are right all the same. If it panics while another panic unwinds, perhaps its own, by which
    /// the claim goes that it was told of, the second panic goes no further than this with the feature `std`; without, the
    /// process aborts, as with any destructor.
    pub fn on_event(mut self, handler: impl Fn(&AccountEvent) + Send + Sync + 'static) -> Self {
        let handler: Box<dyn Fn(&AccountEvent) + Send + Sync> = Box::new(handler);
        self.on_event = Some(Handler::Boxed(handler));
        self
    }

    /// The account.
    #[must_use]
    pub fn build(self) -> Account {
        let Self { mut ledger, parent, on_event, above: _ } = self;
        ledger.parent = parent;
        ledger.on_event = on_event;
        let parent = ledger.parent.clone();
        let ledger = child_of(parent.as_ref().map(Account::ledger), ledger);
        Account(ManuallyDrop::new(SharedHandle::Counted(ledger)))
    }
}

impl Account<Local> {
    /// A root with a hard limit in bytes, for this thread.
    #[must_use]
    pub fn local(name: impl Into<Cow<'static, str>>, hard_limit: usize) -> Self {
        Self::local_builder(name).hard_limit(hard_limit).build()
    }

    /// An account for this thread, with any of the limits, a parent and a handler for events.
    pub fn local_builder(name: impl Into<Cow<'static, str>>) -> AccountBuilder<Local> {
        AccountBuilder::named(name.into())
    }
}

impl AccountBuilder<Local> {
    /// Makes the account part of a shared one: what it charges is taken from the credit, which takes it from its account.
    ///
    /// With a [`parent`](Self::parent), that one's credit counts, and this is dropped.
    ///
    /// ```
    /// use pool_core::Account;
    ///
    /// let server = Account::new("server", 1000);
    /// let request = Account::local_builder("request").credit(server.credit(100)).hard_limit(600).build();
    /// let body = request.try_reserve(500)?;
    /// assert_eq!((request.used(), server.used()), (500, 500));
    /// assert_eq!(request.try_reserve(200).unwrap_err().account.name(), "request");
    /// # drop(body);
    /// # Ok::<(), pool_core::OverBudget>(())
    /// ```
    pub fn credit(mut self, credit: Credit) -> Self {
        wanted::CHILDREN.set();
        self.above = Some(credit);
        self
    }

    /// Who hears of crossings; as of a shared account, but it need not be `Send` or `Sync`. Crossings of a shared account
    /// above are that one's handler's.
    pub fn on_event(mut self, handler: impl Fn(&AccountEvent<Local>) + 'static) -> Self {
        let handler: Box<dyn Fn(&AccountEvent<Local>)> = Box::new(handler);
        self.on_event = Some(Handler::Boxed(handler));
        self
    }

    /// The account.
    #[must_use]
    pub fn build(self) -> Account<Local> {
        let Self { ledger, parent, on_event, above } = self;
        let above = if parent.is_some() { None } else { above };
        let node = LocalNode {
            ledger: child_of(listed_in(parent.as_ref(), above.as_ref()), ledger),
            above,
            parent,
            on_event,
            evictors: Ending::new(Lock::new(Evictors::new())),
            releases: Cell::new(0),
        };
        Account(ManuallyDrop::new(Rc::new(node)))
    }
}

/// Lists the ledger in the one above, if there is one.
fn child_of(parent: Option<&Ledger>, mut ledger: Ledger) -> Arc<Ledger> {
    let Some(parent) = parent else { return Arc::new(ledger) };
    ledger.number = parent.children.with(Numbered::next_number);
    let ledger = Arc::new(ledger);
    parent.children.with(|children| children.insert(ledger.number, Arc::downgrade(&ledger)));
    ledger
}
