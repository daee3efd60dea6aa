//! What all pools have in common here.

use std::hint::black_box;

/// What is pooled where the peer allows it: 1 KiB, made once and kept alive.
pub(crate) type Samples = [f32; 256];
/// As most pools hold it.
pub(crate) type Buffer = Box<Samples>;

pub(crate) fn buffer() -> Buffer {
    Box::new([0.0; 256])
}

/// A pool as one thread uses it. Each is called as its documentation shows it, with a guard if it has one.
pub(crate) trait Source {
    /// What is out: a guard, or an index.
    type Held<'s>
    where
        Self: 's;

    /// Takes an object. This and the others are inlined always: the call of a wrapper is not to be measured.
    fn take(&self) -> Self::Held<'_>;

    /// Writes one sample.
    fn write(&self, held: &mut Self::Held<'_>, at: usize);

    /// Gives it back.
    #[inline(always)]
    fn give(&self, held: Self::Held<'_>) {
        drop(held);
    }
}

/// One end of a hand-over: takes objects that the other end gives back on another thread.
pub(crate) trait End {
    /// What crosses.
    type Item: Send + 'static;

    /// Takes an object. This and the others are inlined always: the call of a wrapper is not to be measured.
    fn take(&self) -> Self::Item;

    /// Writes one sample.
    fn write(item: &mut Self::Item, at: usize);

    /// Gives back an object that another end took.
    #[inline(always)]
    fn give(&self, item: Self::Item) {
        drop(item);
    }
}

/// One write that the compiler cannot leave out, the same for all.
#[inline(always)]
pub(crate) fn touch(samples: &mut Samples, at: usize) {
    samples[at & 255] = 1.0;
    black_box(samples);
}

/// No workload runs a pool empty, so a pool that says so is not set up as it should be.
#[cold]
pub(crate) fn empty(pool: &str) -> ! {
    panic!("{pool} has nothing to give")
}

/// Take, write, give back.
#[inline]
pub(crate) fn pairs<S: Source>(source: &S, operations: usize) {
    for at in 0..operations {
        let mut held = source.take();
        source.write(&mut held, at);
        source.give(held);
    }
}

/// How many objects are out at the height of a burst.
pub(crate) const BURST: usize = 64;

/// As many taken as a burst has, each of them written, then all given back. They are held in a `Vec`, as in a program.
#[inline]
pub(crate) fn bursts<S: Source>(source: &S, operations: usize) {
    let mut all = Vec::with_capacity(BURST);
    for _ in 0..operations / BURST {
        for _ in 0..BURST {
            all.push(source.take());
        }
        for (at, held) in all.iter_mut().enumerate() {
            source.write(held, at);
        }
        for held in all.drain(..) {
            source.give(held);
        }
    }
}
