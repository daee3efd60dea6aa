//! The thread that does what audio threads must not: [`Worker`].

use std::fmt;
use std::io;
use std::string::String;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{RealtimePool, RealtimeStats};
use core::sync::atomic::{AtomicBool, Ordering};

/// How long the worker sleeps between two looks, unless set: a refill is there within two periods of 128 frames.
const INTERVAL: Duration = Duration::from_millis(4);

/// Buffers that it makes, clears or destroys at most before it lets others have the lock.
const SLICE: usize = 16;

/// A thread that calls [`RealtimePool::maintain`] every few milliseconds, and owns the pool.
///
/// It sleeps in between, so audio threads never wake it, which would be a system call: they leave word, and it looks.
///
/// Dropping the worker closes the pool, and the thread goes on until the last lease and the last handle are back; then it
/// frees everything and ends. So no buffer, however late, is freed on an audio thread, and nothing leaks.
///
/// ```
/// use pool_audio::{BufferKey, RealtimePool, Worker};
///
/// let worker = Worker::start(RealtimePool::builder("voices").build())?;
/// let block = BufferKey::new(2, 128, 48_000)?;
/// let voices = worker.with(|pool| {
///     pool.prewarm(block, 64)?;
///     Ok::<_, Box<dyn std::error::Error>>(pool.handle(block)?)
/// })?;
/// let callback = std::thread::spawn(move || voices.acquire_zeroed().is_some());
/// assert!(callback.join().unwrap());
/// worker.shut_down(std::time::Duration::from_secs(5))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Worker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// Never taken by an audio thread: handles do not know it.
    pool: Mutex<RealtimePool>,
    ending: AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, RealtimePool> {
        // A panic while the pool was used leaves it in order: buffers are the pool's own business.
        self.pool.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn run(&self, interval: Duration) {
        loop {
            // Acquire: what was done before the end was asked for.
            let ending = self.ending.load(Ordering::Acquire);
            let mut pool = self.lock();
            if ending {
                pool.close();
            }
            let done = pool.maintain(SLICE);
            let drained = ending && pool.is_drained();
            drop(pool);
            if drained {
                return;
            }
            // A full slice: there is more.
            if done.made + done.cleared + done.destroyed < SLICE {
                thread::park_timeout(interval);
            }
        }
    }
}

impl Worker {
    /// Starts the thread, which looks every 4 ms.
    ///
    /// # Errors
    ///
    /// The system has no thread to give.
    pub fn start(pool: RealtimePool) -> io::Result<Self> {
        Self::start_with(pool, INTERVAL)
    }

    /// The same with another time between looks.
    ///
    /// # Errors
    ///
    /// The system has no thread to give.
    pub fn start_with(pool: RealtimePool, interval: Duration) -> io::Result<Self> {
        let shared = Arc::new(Shared { pool: Mutex::new(pool), ending: AtomicBool::new(false) });
        let theirs = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("pool-audio worker".into()).spawn(move || theirs.run(interval))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Lends the pool: to prewarm, to make a handle, to change the budget. Waits for the worker's slice to end; **not for
    /// the audio thread**.
    pub fn with<T>(&self, use_pool: impl FnOnce(&mut RealtimePool) -> T) -> T {
        use_pool(&mut self.shared.lock())
    }

    /// What the pool holds and has done. Waits for the worker's slice to end; the account alone
    /// ([`RealtimePool::account`], a clone of it) can be read without.
    #[must_use]
    pub fn stats(&self) -> RealtimeStats {
        self.shared.lock().stats()
    }

    /// Closes the pool and waits until the last lease and the last handle are back and everything is freed.
    ///
    /// # Errors
    ///
    /// [`StillOut`] if that takes longer than `timeout`. The worker goes on without being waited for.
    pub fn shut_down(mut self, timeout: Duration) -> Result<(), StillOut> {
        self.end();
        let start = Instant::now();
        let Some(thread) = self.thread.take() else { return Ok(()) };
        while !thread.is_finished() {
            // One that has everything back is about to end.
            if start.elapsed() >= timeout && !self.shared.lock().is_drained() {
                let classes = self.stats().classes;
                let leased = classes.iter().map(|class| class.leased).sum();
                return Err(StillOut { leased, waited: timeout });
            }
            thread::sleep(Duration::from_millis(1));
        }
        // Ended, so this waits for nothing.
        match thread.join() {
            Ok(()) => Ok(()),
            // It panicked, and told so on the error output; what is out has nobody to wait for it.
            Err(_) => {
                let leased = self.stats().classes.iter().map(|class| class.leased).sum();
                Err(StillOut { leased, waited: start.elapsed() })
            }
        }
    }

    fn end(&self) {
        // Release: to the worker, what was done before.
        self.shared.ending.store(true, Ordering::Release);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

/// The thread closes the pool, and ends when everything is back. Nobody waits for it.
impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pool = match self.shared.pool.try_lock() {
            Ok(pool) => std::format!("{pool:?}"),
            Err(_) => String::from("busy"),
        };
        write!(f, "Worker({pool})")
    }
}

/// A [`Worker`] that was asked to end and still waits for buffers or handles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StillOut {
    /// Buffers that are out. 0 if it is handles that are.
    pub leased: usize,
    /// How long they were waited for.
    pub waited: Duration,
}

impl fmt::Display for StillOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.leased {
            0 => write!(f, "handles of the pool are still held after {:?}", self.waited),
            leased => write!(f, "{leased} buffers are still out after {:?}", self.waited),
        }
    }
}

impl std::error::Error for StillOut {}
