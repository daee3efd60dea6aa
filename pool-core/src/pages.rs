//! Where the objects of a shared pool live, and the words of bits that say what each slot is.
//!
//! ```text
//! group 0                  group 1                       a group: as many slots as a word has bits
//! idle    0110...1         idle    0000...0              set: waits in the pool, whoever clears the bit has it
//! vacant  1000...0         vacant  1111...1              set: was used and holds no object now
//! doomed  0000...0         doomed  0000...0              set: to be destroyed when somebody has time for it
//! ```
//!
//! A slot without any of these bits is with somebody: leased, in a [`Lane`], being made or being destroyed. Slots from
//! `reached` on were never used. Clearing a bit, by an atomic `and` that shows it was set, makes the clearer the slot's
//! only user; what it finds there was written before the bit was set (Release on setting, Acquire on clearing).
//!
//! # Growing
//!
//! Chunks of 1, 1, 2, 4, ... groups, never moved or freed while the pool lives. A chunk of many groups has a summary
//! above each kind of word: a bit for each group whose word is not zero, and so on upwards until one word is left.
//! Who sets a bit in a word makes sure of the bits above; who finds a bit above without anything below clears it, looks
//! again, and sets it again if something has come. So the cost of finding a slot does not depend on how many there are.
//!
//! # Fixed
//!
//! Everything inside the pool. Rust cannot yet say "as many words as `N` slots need"; but a byte for each slot it can, and
//! the words lie in those bytes.
#![deny(clippy::disallowed_types)]

use crate::lane::{Lane, Owner};
use crate::sync::{AtomicU32, AtomicUsize, Count, Count16, Ordering};
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

/// Slots of a group.
#[cfg(not(pool_core_loom))]
pub(crate) const BITS: u32 = usize::BITS;
/// Few, so that models reach what is above groups.
#[cfg(pool_core_loom)]
pub(crate) const BITS: u32 = 2;

/// What the bits of a word say.
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Waits in the pool.
    Idle,
    /// Holds no object.
    Vacant,
    /// Is to be destroyed.
    Doomed,
}

/// Which use of a slot is out under a token: `low` is `uses << 1 | out`, `high` what of `uses` does not fit in there.
#[doc(hidden)]
pub struct Tag<'p> {
    low: &'p AtomicU32,
    high: High<'p>,
}

/// 31 + 32 bits of uses, or 31 + 16 where memory is short: a slot is then used 10^14 times before a token repeats.
#[derive(Clone, Copy)]
enum High<'p> {
    #[cfg(feature = "alloc")]
    Long(&'p crate::sync::Count32),
    Short(&'p Count16),
}

impl High<'_> {
    fn get(self) -> u64 {
        match self {
            #[cfg(feature = "alloc")]
            Self::Long(high) => u64::from(high.load(Ordering::Relaxed)),
            Self::Short(high) => u64::from(high.load(Ordering::Relaxed)),
        }
    }

    fn count_up(self) {
        match self {
            #[cfg(feature = "alloc")]
            Self::Long(high) => _ = high.fetch_add(1, Ordering::Relaxed),
            Self::Short(high) => _ = high.fetch_add(1, Ordering::Relaxed),
        }
    }
}

impl Tag<'_> {
    fn generation(&self, low: u32) -> u64 {
        self.high.get() << 31 | u64::from(low >> 1)
    }

    /// Marks the next use as out under a token. For the slot's only user.
    pub(crate) fn issue(&self) -> u64 {
        let low = (self.low.load(Ordering::Relaxed) | 1).wrapping_add(2);
        if low == 1 {
            self.high.count_up();
        }
        // Release: what the user did with the object, and `high`, to who redeems the token.
        self.low.store(low, Ordering::Release);
        self.generation(low)
    }

    /// Ends that use; false if it is not, or no longer, out. Who gets true is the slot's only user.
    pub(crate) fn redeem(&self, generation: u64) -> bool {
        // Acquire: from `issue`, here and below.
        let low = self.low.load(Ordering::Acquire);
        low & 1 == 1
            && self.generation(low) == generation
            && self.low.compare_exchange(low, low & !1, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }
}

type Place<T> = UnsafeCell<MaybeUninit<T>>;

/// Slots that are shared between threads; see the module.
#[doc(hidden)]
pub trait Pages<T> {
    /// Slots that were ever used: those below this.
    fn reached(&self) -> u32;
    /// Uses the next slot that was never used; `None` if there are no more.
    fn reach(&self) -> Option<u32>;
    /// Clears the lowest idle bit of the group that was used last: that slot, and where its object is.
    fn take_last(&self) -> Option<(u32, NonNull<T>)>;
    /// The same of a certain group, if it exists yet; it is then the one that was used last.
    fn take_in(&self, group: u32) -> Option<(u32, NonNull<T>)>;
    /// The group that was used last, if there is any.
    fn last(&self) -> Option<u32>;
    /// Makes slots of a group idle that was reached; it is then the one that was used last.
    fn put(&self, group: u32, bits: usize);
    /// A word of a group that was reached.
    fn word(&self, kind: Kind, group: u32) -> &AtomicUsize;
    /// Sets bits in a word of a group that was reached, and makes them findable. What the caller did to the slots is seen
    /// by who clears the bits.
    fn set(&self, kind: Kind, group: u32, bits: usize);
    /// A group that has, or just had, a bit of this kind. May miss what is set meanwhile.
    fn find(&self, kind: Kind) -> Option<u32>;
    /// The last group before `end` that has, or just had, a bit of this kind. May miss what is set meanwhile.
    fn find_below(&self, kind: Kind, end: u32) -> Option<u32>;
    /// Where the object of a slot that was reached is, or would be.
    fn object(&self, slot: u32) -> NonNull<T>;
    /// The bytes of a slot's object, as of the last time they were measured.
    fn bytes(&self, slot: u32) -> &Count;
    /// Both, for one look-up.
    fn object_and_bytes(&self, slot: u32) -> (NonNull<T>, &Count);
    /// The token of a slot that was reached.
    fn tag(&self, slot: u32) -> Tag<'_>;
    /// The same, if the slot ever had one.
    fn known_tag(&self, slot: u32) -> Option<Tag<'_>>;
    /// The lane that the caller owns from now on, if there is one to be had.
    fn claim_lane(&self, owner: Owner) -> Option<NonNull<Lane>>;
    /// A lane that is nobody's, and into which nothing can be put.
    fn no_lane(&self) -> NonNull<Lane>;
    /// Looks at every lane.
    fn each_lane(&self, look: &mut dyn FnMut(&Lane));
}

/// Clears the lowest bit that is set.
#[inline(always)]
fn clear_lowest(word: &AtomicUsize) -> Option<u32> {
    let mut bits = word.load(Ordering::Relaxed);
    while bits != 0 {
        // Acquire: the object as its last holder left it, from the release that set the bit.
        match word.compare_exchange_weak(bits, bits & (bits - 1), Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => return Some(bits.trailing_zeros()),
            Err(now) => bits = now,
        }
    }
    None
}

/// Where an object is. The pointer may be moved to its neighbours, as lanes do, so it is made of the whole slice.
#[inline(always)]
fn place_in<T>(objects: &[Place<T>], index: usize) -> NonNull<T> {
    assert!(index < objects.len());
    // SAFETY: inside the slice, and so not null.
    unsafe { NonNull::new_unchecked(objects.as_ptr().add(index).cast_mut().cast()) }
}

pub(crate) const fn groups(slots: u32) -> u32 {
    slots.div_ceil(BITS)
}

fn reach_below(reached: &AtomicUsize, limit: usize) -> Option<u32> {
    // Relaxed: the number alone; what it stands for is published otherwise.
    let next = |at: usize| (at < limit).then_some(at + 1);
    let mut at = reached.load(Ordering::Relaxed);
    while let Some(after) = next(at) {
        match reached.compare_exchange_weak(at, after, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return u32::try_from(at).ok(),
            Err(now) => at = now,
        }
    }
    None
}

// Fixed.

/// Lanes that a pool without allocator has: so many caches work at a time.
const LANES: usize = 4;

/// Words for the groups of `N` slots, three a group: a byte a slot has room for them but for three at most.
#[cfg(not(pool_core_loom))]
#[repr(C)]
struct Words<const N: usize> {
    /// First, so that what follows is aligned.
    rest: [AtomicUsize; 3],
    most: UnsafeCell<[u8; N]>,
}

#[cfg(not(pool_core_loom))]
impl<const N: usize> Words<N> {
    const fn new() -> Self {
        Self { rest: [const { AtomicUsize::new(0) }; 3], most: UnsafeCell::new([0; N]) }
    }

    #[inline(always)]
    fn at(&self, at: usize) -> &AtomicUsize {
        let fit = N / size_of::<AtomicUsize>();
        if at >= fit {
            return &self.rest[at - fit];
        }
        // SAFETY: `most` follows an array of the same words, so it is aligned, and so many words fit in; all-zero bytes are
        // a word, and they are never used as anything else.
        unsafe { &*self.most.get().cast::<AtomicUsize>().add(at) }
    }
}

/// Loom's atomics are more than their bytes.
#[cfg(pool_core_loom)]
struct Words<const N: usize>([[AtomicUsize; 3]; N]);

#[cfg(pool_core_loom)]
impl<const N: usize> Words<N> {
    fn new() -> Self {
        Self(core::array::from_fn(|_| core::array::from_fn(|_| AtomicUsize::new(0))))
    }

    fn at(&self, at: usize) -> &AtomicUsize {
        &self.0[at / 3][at % 3]
    }
}

/// Slots inside the pool.
#[doc(hidden)]
pub struct Inside<T, const N: usize> {
    objects: [Place<T>; N],
    bytes: [Count; N],
    tags: [AtomicU32; N],
    more_of_tags: [Count16; N],
    words: Words<N>,
    /// The group that was used last. A hint, for who looks for something idle.
    last: AtomicU32,
    reached: AtomicUsize,
    lanes: [Lane; LANES],
    no_lane: Lane,
}

#[cfg(not(pool_core_loom))]
impl<T, const N: usize> Inside<T, N> {
    pub(crate) const fn new() -> Self {
        // Also says no to none, and to more than there are numbers for.
        const { assert!(N <= <crate::slots::Fixed<N> as crate::slots::Storage>::MAX_SLOTS) };
        Self {
            objects: [const { UnsafeCell::new(MaybeUninit::uninit()) }; N],
            bytes: [const { Count::new(0) }; N],
            tags: [const { AtomicU32::new(0) }; N],
            more_of_tags: [const { Count16::new(0) }; N],
            words: Words::new(),
            last: AtomicU32::new(0),
            reached: AtomicUsize::new(0),
            lanes: [const { Lane::new(Owner::Cache) }; LANES],
            no_lane: Lane::new(Owner::Cache),
        }
    }
}

#[cfg(pool_core_loom)]
impl<T, const N: usize> Inside<T, N> {
    pub(crate) fn new() -> Self {
        Self {
            objects: core::array::from_fn(|_| UnsafeCell::new(MaybeUninit::uninit())),
            bytes: core::array::from_fn(|_| Count::new(0)),
            tags: core::array::from_fn(|_| AtomicU32::new(0)),
            more_of_tags: core::array::from_fn(|_| Count16::new(0)),
            words: Words::new(),
            last: AtomicU32::new(0),
            reached: AtomicUsize::new(0),
            lanes: core::array::from_fn(|_| Lane::new(Owner::Cache)),
            no_lane: Lane::new(Owner::Cache),
        }
    }
}

impl<T, const N: usize> Pages<T> for Inside<T, N> {
    fn reached(&self) -> u32 {
        self.reached.load(Ordering::Relaxed) as u32
    }

    fn reach(&self) -> Option<u32> {
        reach_below(&self.reached, N)
    }

    #[inline(always)]
    fn take_last(&self) -> Option<(u32, NonNull<T>)> {
        let group = self.last.load(Ordering::Relaxed);
        let slot = group * BITS + clear_lowest(self.word(Kind::Idle, group))?;
        Some((slot, self.object(slot)))
    }

    fn take_in(&self, group: u32) -> Option<(u32, NonNull<T>)> {
        let slot = group * BITS + clear_lowest(self.word(Kind::Idle, group))?;
        self.last.store(group, Ordering::Relaxed);
        Some((slot, self.object(slot)))
    }

    fn last(&self) -> Option<u32> {
        Some(self.last.load(Ordering::Relaxed))
    }

    #[inline(always)]
    fn put(&self, group: u32, bits: usize) {
        self.set(Kind::Idle, group, bits);
        // With one group there is nothing to note.
        if N > BITS as usize && self.last.load(Ordering::Relaxed) != group {
            self.last.store(group, Ordering::Relaxed);
        }
    }

    #[inline(always)]
    fn word(&self, kind: Kind, group: u32) -> &AtomicUsize {
        // Known when this is compiled, if there is only one.
        let group = if N <= BITS as usize { 0 } else { group };
        self.words.at(3 * group as usize + kind as usize)
    }

    #[inline(always)]
    fn set(&self, kind: Kind, group: u32, bits: usize) {
        // Release, for who clears them; SeqCst, for who sets bits and then looks at something else (`sync.rs`).
        self.word(kind, group).fetch_or(bits, Ordering::SeqCst);
    }

    fn find(&self, kind: Kind) -> Option<u32> {
        (0..groups(self.reached())).find(|&group| self.word(kind, group).load(Ordering::Relaxed) != 0)
    }

    fn find_below(&self, kind: Kind, end: u32) -> Option<u32> {
        let mut groups = 0..groups(self.reached()).min(end);
        groups.rfind(|&group| self.word(kind, group).load(Ordering::Relaxed) != 0)
    }

    #[inline(always)]
    fn object(&self, slot: u32) -> NonNull<T> {
        place_in(&self.objects, slot as usize)
    }

    fn bytes(&self, slot: u32) -> &Count {
        &self.bytes[slot as usize]
    }

    #[inline(always)]
    fn object_and_bytes(&self, slot: u32) -> (NonNull<T>, &Count) {
        (self.object(slot), self.bytes(slot))
    }

    fn tag(&self, slot: u32) -> Tag<'_> {
        let high = High::Short(&self.more_of_tags[slot as usize]);
        Tag { low: &self.tags[slot as usize], high }
    }

    fn known_tag(&self, slot: u32) -> Option<Tag<'_>> {
        ((slot as usize) < N).then(|| self.tag(slot))
    }

    fn no_lane(&self) -> NonNull<Lane> {
        NonNull::from(&self.no_lane)
    }

    fn claim_lane(&self, owner: Owner) -> Option<NonNull<Lane>> {
        self.lanes.iter().find(|lane| lane.claim(owner)).map(NonNull::from)
    }

    fn each_lane(&self, look: &mut dyn FnMut(&Lane)) {
        self.lanes.iter().for_each(look);
    }
}

#[cfg(feature = "alloc")]
pub(crate) use growing::Chunks;

#[cfg(feature = "alloc")]
mod growing {
    use super::*;
    use crate::lane::LaneList;
    use crate::lines::Lines;
    use crate::sync::{AtomicPtr, Count32, after_rmw};
    use alloc::boxed::Box;
    use alloc::vec::Vec;
    use core::ptr;

    /// Chunk 26 and those before it have 2^31 slots together, if a group has 32.
    const CHUNKS: usize = 28;

    /// Slots on the heap, in chunks that double.
    #[doc(hidden)]
    pub struct Chunks<T> {
        /// The group that was used last. A hint, and a way there that is shorter than by its number.
        last: AtomicPtr<Group<T>>,
        chunks: [AtomicPtr<Chunk<T>>; CHUNKS],
        reached: AtomicUsize,
        /// Most slots there may be.
        limit: usize,
        lanes: LaneList,
    }

    #[derive(Default)]
    struct Kinds {
        idle: AtomicUsize,
        vacant: AtomicUsize,
        doomed: AtomicUsize,
    }

    struct Group<T> {
        words: Kinds,
        number: u32,
        /// Its place in its chunk.
        index: u32,
        /// The word of the summary that tells of it, if its chunk has one.
        above: *const Kinds,
        /// Its first object.
        first: NonNull<T>,
    }

    impl Kinds {
        #[inline(always)]
        fn of(&self, kind: Kind) -> &AtomicUsize {
            match kind {
                Kind::Idle => &self.idle,
                Kind::Vacant => &self.vacant,
                Kind::Doomed => &self.doomed,
            }
        }
    }

    /// What [`Tag`] is made of.
    type Uses = (AtomicU32, Count32);

    struct Chunk<T> {
        groups: Box<[Group<T>]>,
        /// Bits for words that are not zero; the level next to the groups first, the one word last.
        summary: Vec<Box<[Kinds]>>,
        objects: Lines<T>,
        bytes: Box<[Count]>,
        /// Made when the first token is.
        tags: AtomicPtr<Uses>,
    }

    impl<T> Chunk<T> {
        fn new(first_group: usize, slots: usize) -> Self {
            let groups = slots.div_ceil(BITS as usize);
            let mut summary = Vec::<Box<[Kinds]>>::new();
            let mut below = groups;
            while below > 1 {
                below = below.div_ceil(BITS as usize);
                summary.push(core::iter::repeat_with(Kinds::default).take(below).collect());
            }
            let objects = Lines::new(slots);
            let group = |at: usize| Group {
                words: Kinds::default(),
                number: (first_group + at) as u32,
                index: at as u32,
                above: summary.first().map_or(ptr::null(), |level| &raw const level[at / BITS as usize]),
                first: objects.at(at * BITS as usize),
            };
            Self {
                groups: (0..groups).map(group).collect(),
                summary,
                objects,
                bytes: core::iter::repeat_with(|| Count::new(0)).take(slots).collect(),
                tags: AtomicPtr::new(ptr::null_mut()),
            }
        }

        /// The index of a group that has a bit of this kind.
        fn find(&self, kind: Kind) -> Option<usize> {
            'again: loop {
                let mut index = 0;
                for level in (0..self.summary.len()).rev() {
                    // Relaxed: what was found is checked by who clears its bit.
                    let word = self.summary[level][index].of(kind).load(Ordering::Relaxed);
                    if word == 0 {
                        if level + 1 == self.summary.len() {
                            return None;
                        }
                        self.unmark(kind, level + 1, index);
                        continue 'again;
                    }
                    index = index * BITS as usize + word.trailing_zeros() as usize;
                }
                if self.groups[index].words.of(kind).load(Ordering::Relaxed) != 0 {
                    return Some(index);
                }
                if self.summary.is_empty() {
                    return None;
                }
                self.unmark(kind, 0, index);
            }
        }

        /// The index of the last group before `end` that has a bit of this kind.
        fn find_below(&self, kind: Kind, end: usize) -> Option<usize> {
            'again: loop {
                let mut index = end.checked_sub(1)?;
                // Up to the level that tells of something at or before `index`: at the top there is one word.
                let mut level = 0;
                while let Some(words) = self.summary.get(level) {
                    let (at, bit) = (index / BITS as usize, index % BITS as usize);
                    let up_to = (2_usize << bit).wrapping_sub(1);
                    // Relaxed, here and below: as in `find`.
                    let word = words[at].of(kind).load(Ordering::Relaxed) & up_to;
                    if let Some(last) = word.checked_ilog2() {
                        index = at * BITS as usize + last as usize;
                        break;
                    }
                    index = at.checked_sub(1)?;
                    level += 1;
                }
                // And down to the last of what that is.
                for level in (0..level).rev() {
                    let word = self.summary[level][index].of(kind).load(Ordering::Relaxed);
                    let Some(last) = word.checked_ilog2() else {
                        self.unmark(kind, level + 1, index);
                        continue 'again;
                    };
                    index = index * BITS as usize + last as usize;
                }
                if self.groups[index].words.of(kind).load(Ordering::Relaxed) != 0 {
                    return Some(index);
                }
                if self.summary.is_empty() {
                    return None;
                }
                self.unmark(kind, 0, index);
            }
        }

        /// Clears the bit of `index` in a level of the summary, unless there is something below after all.
        ///
        /// Who sets a bit below and who clears the one above both write and then read, all of it SeqCst: either this
        /// sees what was set, or `mark` sees that it was cleared.
        fn unmark(&self, kind: Kind, level: usize, index: usize) {
            let (at, bit) = (index / BITS as usize, 1 << (index % BITS as usize));
            let above = self.summary[level][at].of(kind);
            above.fetch_and(!bit, Ordering::SeqCst);
            after_rmw();
            let below = if level == 0 { &self.groups[index].words } else { &self.summary[level - 1][index] };
            if below.of(kind).load(Ordering::SeqCst) != 0 {
                above.fetch_or(bit, Ordering::SeqCst);
            }
        }

        #[inline(never)]
        fn mark(&self, kind: Kind, mut index: usize) {
            after_rmw();
            for level in &self.summary {
                let (at, bit) = (index / BITS as usize, 1 << (index % BITS as usize));
                let word = level[at].of(kind);
                // On upwards even if it is set: who set it may not have got there yet.
                if word.load(Ordering::SeqCst) & bit == 0 {
                    word.fetch_or(bit, Ordering::SeqCst);
                    after_rmw();
                }
                index = at;
            }
        }

        fn tag(&self, index: usize) -> Tag<'_> {
            // Acquire: the tags as they were made.
            let mut tags = self.tags.load(Ordering::Acquire);
            if tags.is_null() {
                let fresh = || (AtomicU32::new(0), Count32::new(0));
                let made: Box<[Uses]> = core::iter::repeat_with(fresh).take(self.objects.len()).collect();
                let made = Box::into_raw(made).cast();
                let null = ptr::null_mut();
                // Release: the tags, to who loads them. Acquire, if somebody else was first: theirs.
                match self.tags.compare_exchange(null, made, Ordering::AcqRel, Ordering::Acquire) {
                    Ok(_) => tags = made,
                    Err(theirs) => {
                        // SAFETY: made above with this length, and given to nobody.
                        drop(unsafe { self.boxed(made) });
                        tags = theirs;
                    }
                }
            }
            assert!(index < self.objects.len());
            // SAFETY: there are as many tags as objects, and they stay until the chunk is dropped.
            let (low, high) = unsafe { &*tags.add(index) };
            Tag { low, high: High::Long(high) }
        }

        /// # Safety
        ///
        /// `tags` was made by `tag`, and nobody uses it any more.
        unsafe fn boxed(&self, tags: *mut Uses) -> Box<[Uses]> {
            // SAFETY: the caller's promise.
            unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(tags, self.objects.len())) }
        }
    }

    impl<T> Drop for Chunk<T> {
        fn drop(&mut self) {
            let tags = self.tags.load(Ordering::Acquire);
            if !tags.is_null() {
                // SAFETY: the chunk's own, and it is going.
                drop(unsafe { self.boxed(tags) });
            }
        }
    }

    /// The chunk of a group, and the first group of that chunk.
    #[inline(always)]
    fn chunk_of(group: u32) -> (usize, u32) {
        match group {
            0 => (0, 0),
            _ => (group.ilog2() as usize + 1, 1 << group.ilog2()),
        }
    }

    impl<T> Chunks<T> {
        pub(crate) fn new(limit: usize) -> Self {
            Self {
                last: AtomicPtr::new(ptr::null_mut()),
                chunks: core::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
                reached: AtomicUsize::new(0),
                limit,
                lanes: LaneList::new(),
            }
        }

        /// A chunk that exists.
        #[inline(always)]
        fn chunk(&self, at: usize) -> Option<&Chunk<T>> {
            // Acquire: the chunk as it was made.
            let chunk = self.chunks.get(at)?.load(Ordering::Acquire);
            // SAFETY: a chunk that was published stays until the pool is dropped.
            unsafe { chunk.as_ref() }
        }

        #[inline(always)]
        fn locate(&self, group: u32) -> (&Chunk<T>, usize) {
            let (at, first) = chunk_of(group);
            match self.chunk(at) {
                Some(chunk) => (chunk, (group - first) as usize),
                None => never_reached(),
            }
        }

        #[inline(always)]
        fn locate_slot(&self, slot: u32) -> (&Chunk<T>, usize) {
            let (chunk, group) = self.locate(slot / BITS);
            (chunk, group * BITS as usize + (slot % BITS) as usize)
        }

        /// Makes a chunk unless somebody else has.
        #[cold]
        fn make(&self, at: usize) {
            let first = if at == 0 { 0 } else { 1_usize << (at - 1) };
            let first_slot = first * BITS as usize;
            let slots = (first.max(1) * BITS as usize).min(self.limit - first_slot);
            let chunk = Chunk::new(first, slots);
            let chunk = Box::into_raw(Box::new(chunk));
            let null = ptr::null_mut();
            // Release: the chunk, to who loads it.
            if self.chunks[at].compare_exchange(null, chunk, Ordering::Release, Ordering::Relaxed).is_err() {
                // SAFETY: just boxed, and given to nobody.
                drop(unsafe { Box::from_raw(chunk) });
            }
        }
    }

    impl<T> Group<T> {
        #[inline(always)]
        fn bit_above(&self) -> usize {
            1 << (self.index % BITS)
        }

        #[inline(always)]
        fn take(&self) -> Option<(u32, NonNull<T>)> {
            let bit = clear_lowest(&self.words.idle)?;
            // SAFETY: a slot of this group that was reached: its idle bit was set.
            Some((self.number * BITS + bit, unsafe { self.first.add(bit as usize) }))
        }
    }

    impl<T> Chunks<T> {
        fn note(&self, group: &Group<T>) {
            // Release: the group, to who follows the pointer.
            self.last.store(ptr::from_ref(group).cast_mut(), Ordering::Release);
        }

        #[inline(always)]
        fn put_in(&self, group: &Group<T>, bits: usize) {
            // As in `set`.
            group.words.idle.fetch_or(bits, Ordering::SeqCst);
            // SAFETY: the summary is the chunk's, as the group is, and not changed in place.
            if let Some(above) = unsafe { group.above.as_ref() } {
                after_rmw();
                // If it tells of this group, whoever made it do so sees to the levels above.
                if above.idle.load(Ordering::SeqCst) & group.bit_above() == 0 {
                    self.mark_idle(group.number);
                }
            }
        }

        #[inline(never)]
        fn mark_idle(&self, group: u32) {
            let (chunk, index) = self.locate(group);
            chunk.mark(Kind::Idle, index);
        }

        #[inline(never)]
        fn put_elsewhere(&self, group: u32, bits: usize) {
            let (chunk, index) = self.locate(group);
            let group = &chunk.groups[index];
            self.put_in(group, bits);
            self.note(group);
        }
    }

    #[cold]
    #[inline(never)]
    fn never_reached() -> ! {
        panic!("the slot was never reached")
    }

    impl<T> Pages<T> for Chunks<T> {
        fn reached(&self) -> u32 {
            // What was reached a moment ago may be in a chunk that is still being made.
            let reached = self.reached.load(Ordering::Relaxed) as u32;
            let (made, first) = match (0..CHUNKS).take_while(|&at| self.chunk(at).is_some()).last() {
                None => return 0,
                Some(0) => (1, 0),
                Some(at) => (1_u32 << (at - 1), 1_u32 << (at - 1)),
            };
            reached.min((first + made).saturating_mul(BITS))
        }

        fn reach(&self) -> Option<u32> {
            let slot = reach_below(&self.reached, self.limit)?;
            // Those before may still be in the making by who reached them; nobody goes past a gap.
            for at in 0..=chunk_of(slot / BITS).0 {
                if self.chunk(at).is_none() {
                    self.make(at);
                }
            }
            Some(slot)
        }

        #[inline(always)]
        fn take_last(&self) -> Option<(u32, NonNull<T>)> {
            // Acquire: the group as it was made.
            // SAFETY: a group that was noted stays until the pool is dropped.
            unsafe { self.last.load(Ordering::Acquire).as_ref() }?.take()
        }

        fn take_in(&self, group: u32) -> Option<(u32, NonNull<T>)> {
            let (at, first) = chunk_of(group);
            let group = self.chunk(at)?.groups.get((group - first) as usize)?;
            let taken = group.take()?;
            self.note(group);
            Some(taken)
        }

        fn last(&self) -> Option<u32> {
            // SAFETY: as in `take_last`.
            unsafe { self.last.load(Ordering::Acquire).as_ref() }.map(|group| group.number)
        }

        #[inline(always)]
        fn put(&self, group: u32, bits: usize) {
            // SAFETY: as in `take_last`.
            let last = unsafe { self.last.load(Ordering::Acquire).as_ref() };
            match last.filter(|last| last.number == group) {
                Some(last) => self.put_in(last, bits),
                None => self.put_elsewhere(group, bits),
            }
        }

        #[inline(always)]
        fn word(&self, kind: Kind, group: u32) -> &AtomicUsize {
            let (chunk, index) = self.locate(group);
            chunk.groups[index].words.of(kind)
        }

        #[inline(always)]
        fn set(&self, kind: Kind, group: u32, bits: usize) {
            let (chunk, index) = self.locate(group);
            // Release, for who clears them; SeqCst, for who sets bits and then looks at something else (`sync.rs`).
            chunk.groups[index].words.of(kind).fetch_or(bits, Ordering::SeqCst);
            if !chunk.summary.is_empty() {
                chunk.mark(kind, index);
            }
        }

        fn find(&self, kind: Kind) -> Option<u32> {
            for at in 0..CHUNKS {
                if let Some(index) = self.chunk(at)?.find(kind) {
                    return Some(if at == 0 { 0 } else { (1 << (at - 1)) + index as u32 });
                }
            }
            None
        }

        fn find_below(&self, kind: Kind, end: u32) -> Option<u32> {
            // Relaxed: what is reached meanwhile is set meanwhile.
            let mut end = groups(self.reached.load(Ordering::Relaxed) as u32).min(end);
            while let Some(last) = end.checked_sub(1) {
                let (at, first) = chunk_of(last);
                // One that is not there yet has nothing.
                let index = self.chunk(at).and_then(|chunk| chunk.find_below(kind, (end - first) as usize));
                if let Some(index) = index {
                    return Some(first + index as u32);
                }
                end = first;
            }
            None
        }

        #[inline(always)]
        fn object(&self, slot: u32) -> NonNull<T> {
            let (chunk, index) = self.locate_slot(slot);
            chunk.objects.at(index)
        }

        fn bytes(&self, slot: u32) -> &Count {
            let (chunk, index) = self.locate_slot(slot);
            &chunk.bytes[index]
        }

        #[inline(always)]
        fn object_and_bytes(&self, slot: u32) -> (NonNull<T>, &Count) {
            let (chunk, index) = self.locate_slot(slot);
            (chunk.objects.at(index), &chunk.bytes[index])
        }

        fn tag(&self, slot: u32) -> Tag<'_> {
            let (chunk, index) = self.locate_slot(slot);
            chunk.tag(index)
        }

        fn known_tag(&self, slot: u32) -> Option<Tag<'_>> {
            if slot >= self.reached() {
                return None;
            }
            let (chunk, index) = self.locate_slot(slot);
            (!chunk.tags.load(Ordering::Relaxed).is_null()).then(|| chunk.tag(index))
        }

        fn no_lane(&self) -> NonNull<Lane> {
            // There is always a lane to be had.
            self.lanes.claim(Owner::Cache)
        }

        fn claim_lane(&self, owner: Owner) -> Option<NonNull<Lane>> {
            Some(self.lanes.claim(owner))
        }

        fn each_lane(&self, look: &mut dyn FnMut(&Lane)) {
            self.lanes.iter().for_each(look);
        }
    }

    impl<T> Drop for Chunks<T> {
        fn drop(&mut self) {
            for chunk in &self.chunks {
                let chunk = chunk.load(Ordering::Acquire);
                if !chunk.is_null() {
                    // SAFETY: boxed by `make`, and nobody has the pool any more. Its objects are the pool's to
                    // destroy, which has done so.
                    drop(unsafe { Box::from_raw(chunk) });
                }
            }
        }
    }
}

#[cfg(all(test, feature = "std", not(pool_core_loom)))]
mod tests {
    use super::*;

    /// What `find_below` has to find, group by group.
    fn look<P: Pages<u8>>(pages: &P, kind: Kind, end: u32) -> Option<u32> {
        let mut all = 0..groups(pages.reached()).min(end);
        all.rfind(|&group| pages.word(kind, group).load(Ordering::Relaxed) != 0)
    }

    #[track_caller]
    fn check<P: Pages<u8>>(pages: &P) {
        let all = groups(pages.reached());
        for kind in [Kind::Idle, Kind::Vacant, Kind::Doomed] {
            for end in (0..=all + 1).chain([u32::MAX]) {
                assert_eq!(pages.find_below(kind, end), look(pages, kind, end), "{kind:?} below {end}");
            }
            assert_eq!(pages.find(kind).is_some(), look(pages, kind, u32::MAX).is_some());
        }
    }

    fn sets_and_clears<P: Pages<u8>>(pages: &P, slots: u32, steps: u32) {
        check(pages);
        while pages.reached() < slots {
            pages.reach();
        }
        check(pages);
        let mut random = 0x2545_f491_u32;
        for step in 0..steps {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            let group = random % groups(slots);
            let kind = [Kind::Idle, Kind::Vacant, Kind::Doomed][(random >> 16) as usize % 3];
            // Few are set at a time, so that most of what the summary tells of is empty.
            pages.set(kind, group, 1 << (step % BITS));
            check(pages);
            if step % 8 != 7 {
                pages.word(kind, group).store(0, Ordering::Relaxed);
                check(pages);
            }
        }
    }

    // A group passed over, or found where the caller has been; at the ends of words, of levels and of chunks.
    #[test]
    fn the_last_group_below_any_other_is_found() {
        let (groups, steps) = if cfg!(miri) { (5, 4) } else { (300, 40) };
        sets_and_clears(&Chunks::new(i32::MAX as usize), groups * BITS, steps);
        sets_and_clears(&Chunks::new(200), 200, steps);
        sets_and_clears(&Inside::<u8, 200>::new(), 200, steps);
    }

    // Three levels: 8192 groups in one chunk.
    #[test]
    #[cfg_attr(miri, ignore = "a million slots")]
    fn the_last_group_is_found_by_way_of_every_level() {
        let pages = Chunks::<u8>::new(1 << 20);
        while pages.reach().is_some() {}
        let last = groups(pages.reached()) - 1;
        for group in [0, 1, 64, 4095, 4096, 8191, 8192, 8200, 12_287, 12_288, last] {
            pages.set(Kind::Idle, group, 1);
            for end in [group + 1, group + 2, group + 64, group + 4096, u32::MAX] {
                assert_eq!(pages.find_below(Kind::Idle, end), Some(group), "below {end}");
            }
            assert_eq!(pages.find_below(Kind::Idle, group), None);
            pages.word(Kind::Idle, group).store(0, Ordering::Relaxed);
            assert_eq!(pages.find_below(Kind::Idle, u32::MAX), None);
        }
    }
}
