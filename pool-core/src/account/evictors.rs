//! The pools at or below an account that give idle objects back: [`Evictors`].
//!
//! Whoever is short wants the pool whose oldest idle object was released longest ago, of perhaps thousands. No pool says when
//! that changes, for acquires and releases have better to do. But it changes one way only: the oldest goes, and what comes is
//! newer. So what a pool said when it was last asked is a lower bound of what it would say now, and the pools are in order by it:
//!
//! ```text
//! 3 textures   5 meshes   9 sounds          textures are asked, whose oldest is of 8 by now
//! 5 meshes   8 textures   9 sounds          meshes are asked, and are still of 5: nobody has an older one
//! ```
//!
//! A pool that has nothing idle goes where what it gets next will belong: behind all that was released until now. So who looks
//! asks, besides the one that gives, those whose oldest has gone since they were asked, and each that has nothing once for as long
//! as it takes until all is used or evicted that was idle when it was asked before: O(log pools) each.

use crate::numbered::Numbered;
use alloc::collections::{BinaryHeap, binary_heap::PeekMut};
use core::cmp::Reverse;

/// Whether pools are kept in order. A page has few, and would have to download how.
pub(super) const ORDERED: bool = cfg!(not(target_family = "wasm"));

/// Pools, by a counted pointer `E`.
pub struct Evictors<E> {
    all: Numbered<E>,
    /// A place for each of them, and for some that are gone, until that is found or half of all are so.
    by_age: BinaryHeap<Reverse<Place>>,
    /// Those of `all` that have ever had objects in quarantine.
    quarantining: Numbered<()>,
    /// How often somebody began to look for the oldest.
    looks: u64,
}

/// Where a pool is in the order of age.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// Its oldest idle object was released no earlier.
    since: u64,
    /// The look at which it had none; 0 if it had one.
    vain: u64,
    number: u64,
}

/// A look for the oldest.
#[derive(Clone, Copy)]
pub(super) struct Look {
    number: u64,
    /// How many more it may ask.
    asks: usize,
}

/// A pool that may have the oldest.
pub(super) struct Candidate<E> {
    number: u64,
    /// Its oldest was released no earlier.
    pub(super) since: u64,
    pub(super) evictor: E,
}

impl<E> Default for Evictors<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Evictors<E> {
    pub(crate) const fn new() -> Self {
        Self { all: Numbered::new(), by_age: BinaryHeap::new(), quarantining: Numbered::new(), looks: 0 }
    }
}

impl<E: Clone> Evictors<E> {
    /// A number that no pool has had here.
    pub(super) fn next_number(&mut self) -> u64 {
        self.all.next_number()
    }

    pub(super) fn insert(&mut self, number: u64, evictor: E) {
        if ORDERED {
            self.by_age.push(Reverse(Place { since: 0, vain: 0, number }));
        }
        self.all.insert(number, evictor);
    }

    /// To be dropped when nothing is locked; whether it was among those that quarantine.
    pub(super) fn remove(&mut self, number: u64) -> Option<(E, bool)> {
        let evictor = self.all.remove(number)?;
        if ORDERED && self.by_age.len() > 2 * self.all.len() {
            let all = &self.all;
            self.by_age.retain(|Reverse(place)| all.get(place.number).is_some());
        }
        Some((evictor, self.quarantining.remove(number).is_some()))
    }

    /// The next few after this one, by their numbers, and which was the last; `None` where there are no more.
    pub(super) fn after<const N: usize>(&self, last: &mut u64, few: &mut [Option<E>; N]) {
        let mut next = self.all.after(*last);
        few.fill_with(|| {
            let (number, evictor) = next.next()?;
            *last = number;
            Some(evictor.clone())
        });
    }

    pub(super) fn begin_to_quarantine(&mut self, number: u64) {
        self.quarantining.insert(number, ());
    }

    /// The next after this one of those that have ever had objects in quarantine.
    pub(super) fn quarantining_after(&self, number: u64) -> Option<(u64, E)> {
        let (number, ()) = self.quarantining.after(number).next()?;
        Some((number, self.all.get(number)?.clone()))
    }

    /// Begins a look for the oldest that asks no more than so many, nor more than twice as many as there are: for others look, too,
    /// and change what is known.
    pub(super) fn look(&mut self, asks: usize) -> Look {
        self.looks += 1;
        Look { number: self.looks, asks: asks.min(2 * self.all.len()) }
    }

    /// Whom to ask next. `None` if all had nothing in this look, or it has asked enough.
    pub(super) fn next(&mut self, look: &mut Look) -> Option<Candidate<E>> {
        loop {
            let first = self.by_age.peek_mut()?;
            let Reverse(Place { since, vain, number }) = *first;
            match self.all.get(number) {
                Some(evictor) => {
                    if vain >= look.number {
                        return None;
                    }
                    look.asks = look.asks.checked_sub(1)?;
                    return Some(Candidate { number, since, evictor: evictor.clone() });
                }
                None => _ = PeekMut::pop(first),
            }
        }
    }

    /// What the candidate has said: when its oldest was released, or, if it has `nothing`, what will be the earliest of what it
    /// gets next. If others have noted something since it was asked, that holds.
    pub(super) fn note(&mut self, look: Look, candidate: &Candidate<E>, since: u64, nothing: bool) {
        if let Some(mut first) = self.by_age.peek_mut()
            && first.0.number == candidate.number
        {
            first.0.since = first.0.since.max(since);
            first.0.vain = if nothing { look.number } else { 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pools as they are asked in one look, which ends with one whose oldest is as old as was known.
    fn asked(
        evictors: &mut Evictors<char>,
        oldest: impl Fn(char) -> Option<u64>,
        now: u64,
    ) -> (alloc::string::String, Option<char>) {
        let (mut asked, mut look) = (alloc::string::String::new(), evictors.look(usize::MAX));
        while let Some(candidate) = evictors.next(&mut look) {
            asked.push(candidate.evictor);
            let stamp = oldest(candidate.evictor);
            if stamp.is_some_and(|stamp| stamp <= candidate.since) {
                return (asked, Some(candidate.evictor));
            }
            evictors.note(look, &candidate, stamp.unwrap_or(now), stamp.is_none());
        }
        (asked, None)
    }

    fn evictors(names: &str) -> Evictors<char> {
        let mut evictors = Evictors::new();
        for name in names.chars() {
            let number = evictors.next_number();
            evictors.insert(number, name);
        }
        evictors
    }

    // A look that asks everybody each time; one that does not ask again who had nothing and has by now.
    #[test]
    fn who_cannot_have_the_oldest_is_not_asked() {
        let mut pools = evictors("abcd");
        let stamp = |a, b, c| {
            move |name| match name {
                'a' => a,
                'b' => b,
                'c' => c,
                _ => None,
            }
        };
        // For the first time all, and the one that has it again.
        assert_eq!(asked(&mut pools, stamp(Some(3), Some(5), None), 9), ("abcda".into(), Some('a')));
        assert_eq!(asked(&mut pools, stamp(Some(3), Some(5), None), 9), ("a".into(), Some('a')));
        // Its oldest has gone.
        assert_eq!(asked(&mut pools, stamp(Some(8), Some(5), None), 9), ("ab".into(), Some('b')));
        assert_eq!(asked(&mut pools, stamp(Some(8), Some(7), None), 9), ("bb".into(), Some('b')));
        assert_eq!(asked(&mut pools, stamp(Some(8), Some(12), None), 12), ("ba".into(), Some('a')));
        // Who had nothing, behind all that was older than that.
        assert_eq!(asked(&mut pools, stamp(Some(11), Some(12), Some(10)), 12), ("acdc".into(), Some('c')));
        // Nobody has anything: each says so once.
        assert_eq!(asked(&mut pools, stamp(None, None, None), 12), ("cabd".into(), None));
        assert_eq!(asked(&mut pools, stamp(None, None, None), 12).0.len(), 4);
        // And one of them has, as new as what was noted last.
        assert_eq!(asked(&mut pools, stamp(None, Some(12), None), 12).1, Some('b'));
    }

    // A look for ever, because others change what is known; a number that is used again.
    #[test]
    fn a_look_ends() {
        let mut pools = evictors("abc");
        let mut look = pools.look(usize::MAX);
        let mut asked = 0;
        while let Some(candidate) = pools.next(&mut look) {
            asked += 1;
            pools.note(look, &candidate, asked, false);
        }
        assert_eq!(asked, 6);
        let mut pools = evictors("ab");
        assert_eq!(pools.remove(1), Some(('a', false)));
        assert_eq!((pools.remove(1), pools.next_number()), (None, 3));
        pools.begin_to_quarantine(2);
        let (mut last, mut few) = (0, [None; 2]);
        pools.after(&mut last, &mut few);
        assert_eq!((last, few, pools.quarantining_after(0)), (2, [Some('b'), None], Some((2, 'b'))));
        assert_eq!(pools.remove(2), Some(('b', true)));
        let mut look = pools.look(usize::MAX);
        assert!(pools.next(&mut look).is_none() && pools.quarantining_after(0).is_none());
    }

    // Pools that come and go, and leave something behind for ever.
    #[test]
    fn who_is_gone_takes_no_room() {
        let mut pools = evictors("a");
        for _ in 0..1000 {
            let number = pools.next_number();
            pools.insert(number, 'b');
            assert_eq!(pools.remove(number), Some(('b', false)));
        }
        assert!(pools.by_age.len() <= 4, "{}", pools.by_age.len());
        // Not at each end, or that would take the time of all.
        let mut some = evictors("abcdefghij");
        let mut left = || {
            let number = some.all.after(0).next().map_or(0, |(number, _)| number);
            assert!(some.remove(number).is_some());
            (some.all.len(), some.by_age.len())
        };
        let left: [_; 7] = core::array::from_fn(|_| left());
        assert_eq!(left, [(9, 10), (8, 10), (7, 10), (6, 10), (5, 10), (4, 4), (3, 4)]);
        // Those that are not at an end stay, whatever was there for those that went.
        let look = &mut pools.look(usize::MAX);
        assert_eq!(pools.next(look).map(|candidate| candidate.evictor), Some('a'));
    }
}
