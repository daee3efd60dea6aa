//! User code that uses the pool or panics while the pool is at work.

use super::builder;
use pool_core::{Account, Factory, Footprint, KeyedPool, ManualClock, Observer};
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

// A bound that a destructor can pass by taking another of the same key while the first is being admitted.
#[test]
fn the_share_of_a_key_holds_when_a_destructor_acquires() {
    struct Bomb(Rc<RefCell<Option<Box<dyn FnOnce()>>>>);
    impl Drop for Bomb {
        fn drop(&mut self) {
            let action = self.0.borrow_mut().take();
            if let Some(action) = action {
                action();
            }
        }
    }
    impl Footprint for Bomb {}

    let action: Rc<RefCell<Option<Box<dyn FnOnce()>>>> = Rc::default();
    let fuse = Rc::clone(&action);
    let pool = KeyedPool::builder(move |_: &u8| Ok::<_, Infallible>(Bomb(Rc::clone(&fuse))))
        .max_objects(2)
        .max_per_key(1)
        .build();
    let pool = Rc::new(pool);
    let other = pool.acquire_owned(&1).unwrap();
    drop(pool.acquire(&2).unwrap());
    // To make room for an object of key 3, the idle one of key 2 goes; its destructor takes one of key 3 first.
    let taken = Rc::new(RefCell::new(None));
    let (inner, keep) = (Rc::downgrade(&pool), Rc::clone(&taken));
    *action.borrow_mut() = Some(Box::new(move || {
        *keep.borrow_mut() = inner.upgrade().unwrap().acquire_owned(&3).ok();
        other.discard();
    }));
    let second = pool.acquire(&3).map(|lease| lease.into_id());
    let leased = pool.key_stats(&3).unwrap().leased;
    assert_eq!(leased, 1, "more than its share of key 3: {second:?}");
    taken.borrow_mut().take();
}

// An object that stays out for ever, because who was told that it came back panicked before it was taken out of the pool.
#[test]
fn a_panic_of_who_hears_of_a_leak_that_came_back_loses_no_slot() {
    struct Touchy;
    impl Observer<usize> for Touchy {
        fn returned(&self, _: &usize, _: &pool_core::Leak) {
            panic!("planned");
        }
    }
    let account = Account::new("all", 100);
    let clock = ManualClock::default();
    let pool = builder().clock(&clock).observer(Touchy).watch_leaks(1, 5).account(account.clone()).build();
    for end in 0..3 {
        let lease = pool.acquire(&10).unwrap();
        clock.advance(6);
        pool.maintain(usize::MAX);
        let ending = AssertUnwindSafe(|| match end {
            0 => drop(lease),
            1 => lease.discard(),
            _ => drop(lease.detach()),
        });
        assert!(catch_unwind(ending).is_err());
        let stats = pool.stats();
        assert_eq!((stats.leased, stats.created, account.used()), (0, stats.destroyed, 0), "{stats:?}");
    }
}

// Bytes that nobody needs any more and that are withheld from others for as long as a victim's destructor takes.
#[test]
fn what_a_victim_held_beyond_the_need_is_free_before_its_destructor_runs() {
    struct Tells(usize, Account, Rc<RefCell<Vec<usize>>>);
    impl Drop for Tells {
        fn drop(&mut self) {
            self.2.borrow_mut().push(self.1.used());
        }
    }
    struct Telling(Account, Rc<RefCell<Vec<usize>>>, usize);
    impl Factory<usize> for Telling {
        type Object = Tells;
        type Error = Infallible;
        fn create(&self, &bytes: &usize) -> Result<Tells, Infallible> {
            Ok(Tells(bytes, self.0.clone(), Rc::clone(&self.1)))
        }
        fn estimate(&self, &bytes: &usize) -> usize {
            bytes.min(self.2)
        }
        fn measure(&self, object: &Tells) -> usize {
            object.0
        }
    }
    // Known beforehand, and only once it is made.
    for estimate in [usize::MAX, 0] {
        let (account, heard) = (Account::new("a", 1000), Rc::default());
        let pool = KeyedPool::builder(Telling(account.clone(), Rc::clone(&heard), estimate))
            .account(account)
            .build();
        drop(pool.acquire(&1000).unwrap());
        let _small = pool.acquire(&10).unwrap();
        assert_eq!(*heard.borrow(), [10], "estimates up to {estimate}");
    }
}

// An object that is lost, neither idle nor destroyed, because a key panicked as it went with it.
#[test]
fn an_object_whose_key_panics_on_its_way_out_is_destroyed() {
    thread_local!(static UNTIL: Cell<u32> = const { Cell::new(0) });
    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Key;
    impl Drop for Key {
        fn drop(&mut self) {
            let until = UNTIL.replace(UNTIL.get().saturating_sub(1));
            assert!(until != 1, "on purpose");
        }
    }
    struct Object(#[allow(dead_code, reason = "counted")] Rc<()>);
    impl Footprint for Object {}
    /// Listens, so that it gets a key of its own.
    struct Watcher;
    impl Observer<Key> for Watcher {}
    // The observer's is dropped first, then the pool's.
    for panics in [1, 2] {
        let account = Account::new("a", 100);
        let object = Rc::new(());
        let make = |_: &Key| Ok::<_, Infallible>(Object(Rc::clone(&object)));
        let pool = KeyedPool::builder(make).observer(Watcher).account(account).build();
        drop(pool.acquire(&Key).unwrap());
        UNTIL.set(panics);
        assert!(catch_unwind(AssertUnwindSafe(|| pool.trim(0))).is_err());
        assert_eq!((Rc::strong_count(&object), pool.stats().idle, pool.stats().evicted), (1, 0, 1));
    }
}

// An object that is passed over because a destructor took the one before it.
#[test]
fn a_destructor_may_take_what_retain_has_not_seen_yet() {
    struct Takes(usize, std::rc::Weak<KeyedPool<usize, Taking>>, Rc<RefCell<Vec<usize>>>);
    struct Taking(std::rc::Weak<KeyedPool<usize, Taking>>, Rc<RefCell<Vec<usize>>>);
    impl Factory<usize> for Taking {
        type Object = Takes;
        type Error = Infallible;
        fn create(&self, &key: &usize) -> Result<Takes, Infallible> {
            Ok(Takes(key, self.0.clone(), Rc::clone(&self.1)))
        }
    }
    impl Drop for Takes {
        fn drop(&mut self) {
            // Used and released again: the newest now.
            if let Some(pool) = self.1.upgrade().filter(|_| self.0 == 1) {
                self.2
                    .borrow_mut()
                    .extend([2, 3].iter().filter_map(|key| pool.try_acquire(key)).map(|lease| lease.0));
            }
        }
    }
    let taken = Rc::default();
    let pool = Rc::new_cyclic(|pool| KeyedPool::new(Taking(pool.clone(), Rc::clone(&taken))));
    let leases: Vec<_> = (1..=5).map(|key| pool.acquire(&key).unwrap()).collect();
    leases.into_iter().for_each(drop);
    let mut seen = Vec::new();
    assert_eq!(pool.retain(|&key, _| (seen.push(key), key != 1).1), 1);
    // 2 is next, and nobody may have it; 3 may be had, and is then the newest.
    assert_eq!((seen, taken.take()), (vec![1, 2, 4, 5, 3], vec![3]));
    assert_eq!(pool.stats().idle, 4);
}

// One that was used or made a moment ago destroyed before those that were not, because it is where the next one was.
#[test]
fn what_a_destructor_uses_or_makes_is_the_newest_for_the_rest_of_a_trim() {
    type Used = KeyedPool<usize, Using>;
    struct Uses(usize, std::rc::Weak<Used>, Rc<RefCell<Vec<usize>>>);
    struct Using(std::rc::Weak<Used>, Rc<RefCell<Vec<usize>>>, fn(&Used));
    impl Factory<usize> for Using {
        type Object = Uses;
        type Error = Infallible;
        fn create(&self, &key: &usize) -> Result<Uses, Infallible> {
            Ok(Uses(key, self.0.clone(), Rc::clone(&self.1)))
        }
    }
    impl Drop for Uses {
        fn drop(&mut self) {
            self.2.borrow_mut().push(self.0);
            if let Some(pool) = self.1.upgrade().filter(|_| self.0 == 1) {
                (pool.factory().2)(&pool);
            }
        }
    }
    fn uses(pool: &Used) {
        drop(pool.try_acquire(&2));
    }
    fn makes(pool: &Used) {
        pool.retain(|&key, _| key != 2);
        pool.prewarm(&9, 1).unwrap();
    }
    for (during, expected) in [(uses as fn(&Used), vec![1, 3, 4, 5, 2]), (makes, vec![1, 2, 3, 4, 5, 9])] {
        let gone = Rc::default();
        let pool = Rc::new_cyclic(|pool| KeyedPool::new(Using(pool.clone(), Rc::clone(&gone), during)));
        let leases: Vec<_> = (1..=5).map(|key| pool.acquire(&key).unwrap()).collect();
        leases.into_iter().for_each(drop);
        assert_eq!((pool.trim(0), gone.take()), (5, expected));
    }
}
