//! Doubly linked lists through an array: recency without pointers, in safe code.
//!
//! A node is a slot's number. Its links live beside the slot's other state, so that taking an idle object touches
//! one line of memory. A slot may be in several lists at once, one [`Links`] for each; `WHICH` says which.
//!
//! The front is the newest, the back the oldest. Every operation is O(1).
//!
//! Where a list ends there is [`NONE`], which is beyond every array. So one comparison tells whether a neighbour is there
//! to be changed and whether it is within the array, and nothing here panics.

use core::mem;

/// No slot. No array is long enough to have it.
pub(crate) const NONE: u32 = u32::MAX;

/// A node's neighbours in one list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Links {
    newer: u32,
    older: u32,
}

impl Links {
    pub(crate) const UNLINKED: Self = Self { newer: NONE, older: NONE };
}

/// Something that lists run through.
pub(crate) trait Node<const WHICH: usize> {
    fn links(&mut self) -> &mut Links;
}

/// The ends of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List<const WHICH: usize> {
    newest: u32,
    oldest: u32,
}

impl<const WHICH: usize> List<WHICH> {
    pub(crate) const EMPTY: Self = Self { newest: NONE, oldest: NONE };

    /// The newest, or [`NONE`], for who looks it up in an array that tells which.
    #[inline(always)]
    pub(crate) fn newest_or_none(&self) -> u32 {
        self.newest
    }

    pub(crate) fn newest(&self) -> Option<u32> {
        (self.newest != NONE).then_some(self.newest)
    }

    pub(crate) fn oldest(&self) -> Option<u32> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    pub(crate) fn newer_than<N: Node<WHICH>>(nodes: &mut [N], at: u32) -> Option<u32> {
        let newer = nodes[at as usize].links().newer;
        (newer != NONE).then_some(newer)
    }

    pub(crate) fn older_than<N: Node<WHICH>>(nodes: &mut [N], at: u32) -> Option<u32> {
        let older = nodes[at as usize].links().older;
        (older != NONE).then_some(older)
    }

    /// Puts `at`, which is in no list, to the front.
    #[inline(always)]
    pub(crate) fn push_newest<N: Node<WHICH>>(&mut self, nodes: &mut [N], at: u32) {
        let older = mem::replace(&mut self.newest, at);
        *nodes[at as usize].links() = Links { newer: NONE, older };
        match nodes.get_mut(older as usize) {
            Some(older) => older.links().newer = at,
            None => self.oldest = at,
        }
    }

    /// Puts `at`, which is in no list, just before `older` in the order from the newest; `None` for the oldest place.
    pub(crate) fn insert_newer_than<N: Node<WHICH>>(&mut self, nodes: &mut [N], at: u32, older: Option<u32>) {
        let (newer, older) = match older {
            Some(older) => (nodes[older as usize].links().newer, older),
            None => (self.oldest, NONE),
        };
        *nodes[at as usize].links() = Links { newer, older };
        self.join(nodes, newer, at, older, at);
    }

    /// Takes `at`, which is in this list, out of it.
    #[inline(always)]
    pub(crate) fn unlink<N: Node<WHICH>>(&mut self, nodes: &mut [N], at: u32) {
        // What it says stays there, and is overwritten when it is linked again.
        let Links { newer, older } = *nodes[at as usize].links();
        self.join(nodes, newer, older, older, newer);
    }

    /// Takes `at`, which is the newest, out.
    #[inline(always)]
    pub(crate) fn unlink_newest<N: Node<WHICH>>(&mut self, nodes: &mut [N], at: u32) {
        self.newest = nodes[at as usize].links().older;
        match nodes.get_mut(self.newest as usize) {
            Some(newest) => newest.links().newer = NONE,
            None => self.oldest = NONE,
        }
    }

    /// Makes `next_older` what comes after `newer`, and `next_newer` what comes before `older`; `NONE` is beyond the ends.
    #[inline(always)]
    fn join<N: Node<WHICH>>(
        &mut self,
        nodes: &mut [N],
        newer: u32,
        next_older: u32,
        older: u32,
        next_newer: u32,
    ) {
        match nodes.get_mut(newer as usize) {
            Some(newer) => newer.links().older = next_older,
            None => self.newest = next_older,
        }
        match nodes.get_mut(older as usize) {
            Some(older) => older.links().newer = next_newer,
            None => self.oldest = next_newer,
        }
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use alloc::{vec, vec::Vec};

    impl Node<0> for Links {
        fn links(&mut self) -> &mut Links {
            self
        }
    }

    fn oldest_first(list: &List<0>, nodes: &mut [Links]) -> Vec<u32> {
        let forward: Vec<u32> =
            core::iter::successors(list.oldest(), |&at| List::newer_than(nodes, at)).collect();
        let mut backward: Vec<u32> =
            core::iter::successors(list.newest(), |&at| List::older_than(nodes, at)).collect();
        backward.reverse();
        assert_eq!(forward, backward, "the two directions disagree");
        forward
    }

    // A place that is off by one, or an end that still names another node.
    #[test]
    fn what_is_inserted_is_where_it_should_be() {
        let mut nodes = vec![Links::UNLINKED; 4];
        let mut list = List::<0>::EMPTY;
        list.insert_newer_than(&mut nodes, 2, None);
        list.insert_newer_than(&mut nodes, 0, Some(2));
        list.insert_newer_than(&mut nodes, 1, Some(2));
        list.insert_newer_than(&mut nodes, 3, None);
        assert_eq!(oldest_first(&list, &mut nodes), [3, 2, 1, 0]);
    }

    // An end that is not mended when the first, the last, the middle or the only node goes.
    #[test]
    fn ends_and_neighbours_stay_true() {
        let mut nodes = vec![Links::UNLINKED; 4];
        let mut list = List::<0>::EMPTY;
        for at in 0..4 {
            list.push_newest(&mut nodes, at);
        }
        assert_eq!(oldest_first(&list, &mut nodes), [0, 1, 2, 3]);
        list.unlink(&mut nodes, 1);
        assert_eq!(oldest_first(&list, &mut nodes), [0, 2, 3]);
        list.unlink(&mut nodes, 3);
        list.unlink(&mut nodes, 0);
        assert_eq!(oldest_first(&list, &mut nodes), [2]);
        list.unlink(&mut nodes, 2);
        assert_eq!((list.oldest(), list.newest()), (None, None));
        list.push_newest(&mut nodes, 3);
        assert_eq!(oldest_first(&list, &mut nodes), [3]);
    }
}
