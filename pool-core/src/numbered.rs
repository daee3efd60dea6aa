//! A list of what comes and goes while others go through it: [`Numbered`].

#[cfg(not(target_family = "wasm"))]
use alloc::collections::BTreeMap;
#[cfg(target_family = "wasm")]
use alloc::vec::Vec;
#[cfg(not(target_family = "wasm"))]
use core::ops::Bound::{Excluded, Unbounded};

/// What is on the list has a number, higher than of all that came before, and keeps it. So whoever goes through the list from
/// number to number, and lets go of its lock in between, meets each that was there all the time, whatever else came or went.
/// O(log) each; on a page, which has few of them and downloads the code, what goes takes O(entries).
pub(crate) struct Numbered<E> {
    #[cfg(not(target_family = "wasm"))]
    all: BTreeMap<u64, E>,
    /// By number.
    #[cfg(target_family = "wasm")]
    all: Vec<(u64, E)>,
    last: u64,
}

impl<E> Default for Numbered<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Numbered<E> {
    /// A number that nothing has had.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
}

#[cfg(not(target_family = "wasm"))]
impl<E> Numbered<E> {
    pub(crate) const fn new() -> Self {
        Self { all: BTreeMap::new(), last: 0 }
    }

    pub(crate) fn insert(&mut self, number: u64, entry: E) {
        self.all.insert(number, entry);
    }

    /// To be dropped when nothing is locked.
    pub(crate) fn remove(&mut self, number: u64) -> Option<E> {
        self.all.remove(&number)
    }

    pub(crate) fn get(&self, number: u64) -> Option<&E> {
        self.all.get(&number)
    }

    /// Those after this number.
    pub(crate) fn after(&self, number: u64) -> impl Iterator<Item = (u64, &E)> {
        self.all.range((Excluded(number), Unbounded)).map(|(&number, entry)| (number, entry))
    }
}

#[cfg(target_family = "wasm")]
impl<E> Numbered<E> {
    pub(crate) const fn new() -> Self {
        Self { all: Vec::new(), last: 0 }
    }

    /// Where the first is that is after this number.
    fn end_of(&self, number: u64) -> usize {
        self.all.partition_point(|&(other, _)| other <= number)
    }

    fn find(&self, number: u64) -> Option<usize> {
        self.end_of(number).checked_sub(1).filter(|&at| self.all[at].0 == number)
    }

    pub(crate) fn insert(&mut self, number: u64, entry: E) {
        let at = self.end_of(number);
        self.all.insert(at, (number, entry));
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<E> {
        self.find(number).map(|at| self.all.remove(at).1)
    }

    pub(crate) fn get(&self, number: u64) -> Option<&E> {
        self.find(number).map(|at| &self.all[at].1)
    }

    pub(crate) fn after(&self, number: u64) -> impl Iterator<Item = (u64, &E)> {
        self.all[self.end_of(number)..].iter().map(|(number, entry)| (*number, entry))
    }
}

/// Each that `after` says is the next after a number, from the first on.
pub(crate) fn in_turn<E>(after: impl Fn(u64) -> Option<(u64, E)>) -> impl Iterator<Item = E> {
    let mut last = 0;
    core::iter::from_fn(move || {
        let (number, entry) = after(last)?;
        last = number;
        Some(entry)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::RefCell;

    // Others that are missed, or met twice, because one goes that was met already.
    #[test]
    fn who_was_there_all_the_time_is_met_once() {
        let list = RefCell::new(Numbered::new());
        let come = |name| {
            let number = list.borrow_mut().next_number();
            list.borrow_mut().insert(number, name);
            number
        };
        let numbers = ['a', 'b', 'c', 'd', 'e'].map(come);
        let mut met = alloc::string::String::new();
        for name in in_turn(|after| list.borrow().after(after).next().map(|(number, &name)| (number, name))) {
            met.push(name);
            match name {
                'b' => {
                    let gone = [0, 1, 3].map(|nth| list.borrow_mut().remove(numbers[nth]));
                    assert_eq!(gone, [Some('a'), Some('b'), Some('d')]);
                }
                'c' => _ = come('f'),
                _ => {}
            }
        }
        assert_eq!((met.as_str(), list.borrow().len()), ("abcef", 3));
        let mut list = list.into_inner();
        assert_eq!((list.remove(numbers[0]), list.get(numbers[2])), (None, Some(&'c')));
    }
}
