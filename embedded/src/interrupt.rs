//! One pool, used by the main loop and by an interrupt handler that comes between any two of its instructions.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use cortex_m::peripheral::{Peripherals, SYST, syst::SystClkSource};
use cortex_m_rt::exception;
use cortex_m_semihosting::hprintln;
use pool_core::{Account, Cache, Footprint, Lease, Ledger, PoolStats, Resetter, StaticPool, Verdict};

/// More than a word has bits, so that both search beyond the first group.
const FRAMES: usize = 40;
/// How often the handler runs.
const TICKS: u32 = match option_env!("POOL_EMBEDDED_TICKS") {
    Some(text) => match u32::from_str_radix(text, 10) {
        Ok(ticks) => ticks,
        Err(_) => panic!("POOL_EMBEDDED_TICKS is no number"),
    },
    None => 50_000,
};
/// Values of `Frame::owner`.
const NOBODY: u32 = 0;
const MAIN: u32 = 1;
const HANDLER: u32 = 2;

struct Frame {
    owner: u32,
    serial: u32,
}

impl Footprint for Frame {}

impl Drop for Frame {
    fn drop(&mut self) {
        count(&DROPPED);
    }
}

/// Frees frames, and finds some of them spent.
struct Washer;

impl Resetter<Frame> for Washer {
    fn reset(&self, frame: &mut Frame) -> Verdict {
        assert!(frame.owner != NOBODY, "reset, but was with nobody");
        frame.owner = NOBODY;
        if frame.serial % 16 == 5 { Verdict::Discard } else { Verdict::Keep }
    }
}

type Frames = StaticPool<fn(&()) -> Result<Frame, ()>, FRAMES, Washer>;

static BUDGET: Ledger = Ledger::new("frames", FRAMES * size_of::<Frame>());
static POOL: Frames = StaticPool::const_with_account(make, Washer, Account::from_static(&BUDGET));
static MADE: AtomicU32 = AtomicU32::new(0);
static DROPPED: AtomicU32 = AtomicU32::new(0);
/// Times that the handler ran, and acquires that it was served.
static RUNS: AtomicU32 = AtomicU32::new(0);
static SERVED: AtomicU32 = AtomicU32::new(0);
/// Tells the handler to give everything back, and the main loop that it has.
static END: AtomicBool = AtomicBool::new(false);
static ENDED: AtomicBool = AtomicBool::new(false);

/// Counts, whoever else does: a Cortex-M0 has no atomic addition.
fn count(counter: &AtomicU32) -> u32 {
    cortex_m::interrupt::free(|_| {
        let before = counter.load(Relaxed);
        counter.store(before + 1, Relaxed);
        before
    })
}

fn make(_: &()) -> Result<Frame, ()> {
    Ok(Frame { owner: NOBODY, serial: count(&MADE) })
}

/// Marks a frame as taken, and makes sure that nobody else had it.
fn mark<P>(mut lease: Lease<P>, me: u32) -> Lease<P>
where
    P: core::ops::Deref<Target: pool_core::Pool<Object = Frame>>,
{
    assert!(lease.owner == NOBODY, "{} got frame {}, which {} has", me, lease.serial, lease.owner);
    lease.owner = me;
    lease
}

/// The frame is still that of who marked it. Read from memory: the compiler knows of no one who could have changed it.
fn still<P>(lease: &Lease<P>, me: u32)
where
    P: core::ops::Deref<Target: pool_core::Pool<Object = Frame>>,
{
    // SAFETY: a reference is valid for reads.
    let owner = unsafe { core::ptr::read_volatile(&lease.owner) };
    assert!(owner == me, "frame {} is with {} and {}", lease.serial, me, owner);
}

/// What the handler keeps from one run to the next.
struct Kept {
    lease: Option<Lease<&'static Frames>>,
    cache: Option<Cache<&'static Frames>>,
}

#[exception]
fn SysTick() {
    static mut KEPT: Kept = Kept { lease: None, cache: None };

    if END.load(Relaxed) {
        *KEPT = Kept { lease: None, cache: None };
        ENDED.store(true, Relaxed);
        return;
    }
    let run = count(&RUNS);
    if let Some(lease) = &KEPT.lease {
        still(lease, HANDLER);
    }
    match run % 8 {
        // For a while, or until the next time.
        0 | 3 => KEPT.lease = POOL.try_acquire().map(|lease| mark(lease, HANDLER)),
        1 => drop(POOL.acquire().map(|lease| mark(lease, HANDLER))),
        2 => {
            let cache = KEPT.cache.get_or_insert_with(|| POOL.cache());
            drop(cache.try_acquire().map(|lease| mark(lease, HANDLER)));
        }
        4 => KEPT.lease = None,
        5 => {
            if let Some(lease) = POOL.try_acquire() {
                let token = mark(lease, HANDLER).into_id();
                assert!(POOL.release(token).is_ok() && POOL.release(token).is_err());
            }
        }
        6 => {
            if let Some(cache) = &KEPT.cache {
                cache.flush();
            }
        }
        _ => {
            if let Some(lease) = POOL.try_acquire() {
                mark(lease, HANDLER).discard();
            }
        }
    }
    if matches!(run % 8, 0..=3 | 5 | 7) {
        count(&SERVED);
    }
    // Another distance each time, without a pattern (Knuth's multiplicative hash), so that no instruction of the main loop is
    // spared for ever.
    set_distance(100 + (run.wrapping_mul(0x9E37_79B1) >> 16) % 997);
}

fn set_distance(ticks: u32) {
    // SAFETY: only these two registers of the timer are written here, by the main loop before it starts and then by
    // the handler alone.
    unsafe {
        let timer = &*SYST::PTR;
        timer.rvr.write(ticks);
        timer.cvr.write(0);
    }
}

/// Both use the pool until the handler ran often enough; then every count must be exact.
pub(crate) fn share_a_pool() {
    hprintln!("StaticPool: shared with an interrupt handler");
    let Some(mut peripherals) = Peripherals::take() else { panic!("the timer is taken") };
    assert!(POOL.prewarm(FRAMES / 2) == Ok(FRAMES / 2));
    set_distance(100);
    peripherals.SYST.set_clock_source(SystClkSource::Core);
    peripherals.SYST.enable_interrupt();
    peripherals.SYST.enable_counter();
    let mut held: [Option<Lease<&'static Frames>>; 8] = [const { None }; 8];
    let (mut turn, mut served) = (0_usize, 0_u32);
    while RUNS.load(Relaxed) < TICKS {
        turn += 1;
        for lease in held.iter().flatten() {
            still(lease, MAIN);
        }
        let place = &mut held[turn * 5 % 8];
        match turn % 64 {
            11 => drop(POOL.maintain(4)),
            22 => drop(POOL.trim(FRAMES / 2)),
            33 => drop(POOL.retain(|frame| {
                assert!(frame.owner == NOBODY, "idle, and with {}", frame.owner);
                frame.serial % 8 != 3
            })),
            44 => drop(POOL.prewarm(FRAMES / 4)),
            55 => {
                if let Some(lease) = place.take() {
                    drop(lease.detach());
                }
            }
            _ => match place.take() {
                // Given up, and made anew by whoever comes next: what is counted then is counted by both.
                Some(lease) if turn.is_multiple_of(3) => lease.discard(),
                Some(lease) => drop(lease),
                None => {
                    *place = POOL.acquire().ok().map(|lease| mark(lease, MAIN));
                    served += u32::from(place.is_some());
                }
            },
        }
    }
    drop(held);
    END.store(true, Relaxed);
    while !ENDED.load(Relaxed) {
        core::hint::spin_loop();
    }
    peripherals.SYST.disable_counter();
    peripherals.SYST.disable_interrupt();
    hprintln!(
        "  {} acquires in {} turns of the main loop, {} in {} interrupts",
        served,
        turn,
        SERVED.load(Relaxed),
        TICKS
    );
    assert!(turn as u32 > TICKS / 16, "the main loop was hardly ever between two interrupts");
    settled();
}

/// Checks the counts now that nobody interferes, and that each object is there once.
fn settled() {
    POOL.maintain(usize::MAX);
    let alive = || MADE.load(Relaxed) - DROPPED.load(Relaxed);
    let stats: PoolStats = POOL.stats();
    assert_eq!(stats.leased, 0, "{stats:?}");
    assert_eq!(stats.created, stats.idle as u64 + stats.destroyed + stats.detached, "{stats:?}");
    assert_eq!((stats.created, stats.idle), (MADE.load(Relaxed).into(), alive() as usize), "{stats:?}");
    assert_eq!(BUDGET.account().used(), stats.bytes());
    assert!(BUDGET.account().peak() <= BUDGET.account().hard_limit());
    let all: [_; FRAMES] = core::array::from_fn(|_| match POOL.acquire() {
        Ok(lease) => mark(lease, MAIN),
        Err(error) => panic!("{error:?}"),
    });
    assert!(POOL.acquire().is_err(), "more objects than there may be");
    drop(all);
    POOL.trim(0);
    assert_eq!((alive(), BUDGET.account().used()), (0, 0));
}
