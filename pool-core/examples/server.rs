//! A server whose pools hold four kinds of objects under one account of 64 MiB, under load from eight threads.
//!
//! ```text
//! cargo run --release -p pool-core --features lock_api --example server -- [SECONDS] [FILE.svg]
//! ```
//!
//! What is asked for changes from phase to phase, and is far more than fits: images in the first, uploads in the second,
//! everything in the third. Each pool keeps idle what the others have no use for, and gives it back when they have. The
//! program prints the tree of accounts and what each pool did, draws the bytes over time, and fails if the limit was ever
//! passed or a byte is left at the end.
//!
//! What is limited is what is charged. An object that goes is uncharged before its destructor runs, so the process holds besides
//! what its threads are just giving back to the allocator: some MiB here.

use parking_lot::RawMutex;
use plotters::prelude::*;
use pool_core::{Account, AcquireError, Bytes, Factory, KeyedPoolBuilder, SharedKeyedPool, WorkLimit};
use std::convert::Infallible;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;
const LIMIT: usize = 64 * MIB;
const THREADS: u64 = 8;

/// Makes buffers of as many bytes as the key says; what they cost to fill differs from pool to pool.
struct Buffers {
    /// Microseconds for each MiB.
    cost: u32,
}

impl Factory<usize> for Buffers {
    type Object = Vec<u8>;
    type Error = Infallible;

    fn create(&self, &bytes: &usize) -> Result<Vec<u8>, Infallible> {
        // Written, as a decoder or a parser would, so that the memory is really there.
        Ok(vec![1; bytes])
    }
    fn estimate(&self, &bytes: &usize) -> usize {
        bytes
    }
    fn measure(&self, buffer: &Vec<u8>) -> usize {
        buffer.capacity()
    }
    fn cost(&self, _: &usize, buffer: &Vec<u8>) -> u32 {
        self.cost.saturating_mul(buffer.capacity() as u32) / MIB as u32
    }
}

type Pool = Arc<SharedKeyedPool<usize, Buffers, RawMutex>>;

struct Kind {
    name: &'static str,
    colour: RGBColor,
    account: Account,
    pool: Pool,
    /// The sizes that are asked for: from, how many steps, and how far apart.
    sizes: (usize, u64, usize),
    /// Of a hundred requests in each phase.
    share: [u64; 3],
}

impl Kind {
    fn new(
        server: &Account,
        (name, colour): (&'static str, RGBColor),
        sizes: (usize, u64, usize),
        share: [u64; 3],
        cost: u32,
    ) -> Self {
        let account = Account::builder(name).parent(server).build();
        let pool = KeyedPoolBuilder::new(Buffers { cost })
            .account(account.clone())
            .evict_cheapest_of(8)
            .build_shared::<RawMutex>();
        Self { name, colour, account, pool, sizes, share }
    }
}

/// Small and fast, good enough to mix requests (xorshift64, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[derive(Default)]
struct Tally {
    served: AtomicU64,
    refused: AtomicU64,
}

/// Requests until `stop`: each takes two objects of the kinds that are in demand, and uses both.
fn serve(kinds: &[Kind], phase: &AtomicU64, stop: &AtomicBool, tally: &Tally, seed: u64) {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (seed + 1));
    while !stop.load(Ordering::Relaxed) {
        let now = phase.load(Ordering::Relaxed) as usize;
        let mut objects = Vec::with_capacity(2);
        for _ in 0..2 {
            let mut at = dice.roll(100);
            let asked = kinds.iter().find(|kind| match at.checked_sub(kind.share[now]) {
                Some(rest) => {
                    at = rest;
                    false
                }
                None => true,
            });
            let Some(kind) = asked else { continue };
            let (least, steps, step) = kind.sizes;
            // Small ones more often than large ones.
            let nth = dice.roll(steps).min(dice.roll(steps));
            match kind.pool.acquire(&(least + nth as usize * step)) {
                Ok(mut object) => {
                    object[0] = object[0].wrapping_add(1);
                    objects.push(object);
                }
                // Everything is in use: what a server answers with "try again later".
                Err(AcquireError::OverBudget(_)) => _ = tally.refused.fetch_add(1, Ordering::Relaxed),
                Err(error) => panic!("{error}"),
            }
        }
        std::thread::sleep(Duration::from_micros(dice.roll(400)));
        tally.served.fetch_add(1, Ordering::Relaxed);
    }
}

struct Sample {
    seconds: f64,
    used: Vec<usize>,
    total: usize,
}

const USAGE: &str = "server [SECONDS] [FILE.svg]\n\nSECONDS from 0.1 to 86400, 6 if not given; FILE.svg is target/server.svg.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The file, empty: an error before anything is served and not after.
fn create(file: &Path) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, "")
}

fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    if arguments.len() > 2 {
        return Err(format!("too many arguments\n{USAGE}").into());
    }
    let given = |nth: usize, or| arguments.get(nth).map_or(or, String::as_str);
    let (seconds, file) = (given(0, "6"), Path::new(given(1, "target/server.svg")));
    let number: Option<f64> = seconds.parse().ok();
    let seconds = number
        .filter(|number| (0.1..=86_400.0).contains(number))
        .ok_or_else(|| format!("`{seconds}` is no number of seconds that can be served\n{USAGE}"))?;
    create(file).map_err(|error| format!("{} cannot be written: {error}", file.display()))?;

    let server = Account::builder("server").hard_limit(LIMIT).soft_limit(LIMIT / 8 * 7).build();
    let kinds = [
        Kind::new(&server, ("images", RGBColor(68, 119, 170)), (MIB, 8, MIB), [70, 5, 30], 40_000),
        Kind::new(&server, ("uploads", RGBColor(238, 102, 119)), (MIB / 16, 64, MIB / 16), [10, 80, 40], 100),
        Kind::new(&server, ("parsers", RGBColor(34, 136, 51)), (MIB / 32, 16, MIB / 32), [10, 10, 20], 900),
        Kind::new(
            &server,
            ("compressors", RGBColor(204, 187, 68)),
            (MIB / 4, 3, MIB / 4),
            [10, 5, 10],
            2_000,
        ),
    ];
    let (phase, stop, tally) = (AtomicU64::new(0), AtomicBool::new(false), Tally::default());
    let mut samples = Vec::new();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (kinds, phase, stop, tally) = (&kinds, &phase, &stop, &tally);
            scope.spawn(move || serve(kinds, phase, stop, tally, thread));
        }
        let start = Instant::now();
        loop {
            let at = start.elapsed().as_secs_f64();
            if at >= seconds {
                break;
            }
            phase.store((at / seconds * 3.0) as u64, Ordering::Relaxed);
            let used = kinds.iter().map(|kind| kind.account.used()).collect();
            samples.push(Sample { seconds: at, used, total: server.used() });
            // Over the soft limit, a slice at a time.
            for kind in &kinds {
                kind.pool.maintain(WorkLimit { objects: 16, bytes: 4 * MIB });
            }
            std::thread::sleep(Duration::from_secs_f64(seconds / 600.0));
        }
        stop.store(true, Ordering::Relaxed);
    });

    println!("{}", server.snapshot());
    for kind in &kinds {
        let stats = kind.pool.stats();
        println!("{:12} {stats}, {} made, {} evicted", kind.name, stats.created, stats.evicted);
    }
    let (served, refused) = (tally.served.into_inner(), tally.refused.into_inner());
    let peak = server.lifetime_peak();
    println!(
        "{served} requests served, {refused} objects refused; at most {} of {}",
        Bytes(peak),
        Bytes(LIMIT)
    );
    draw(&samples, &kinds, seconds, file)?;
    println!("drawn: {}", file.display());

    if peak > LIMIT || samples.iter().any(|sample| sample.total > LIMIT) {
        return Err("the limit was passed".into());
    }
    if served == 0 {
        return Err("nothing was served".into());
    }
    drop(kinds);
    match server.used() {
        0 => Ok(()),
        left => Err(format!("{left} bytes are left over").into()),
    }
}

/// The bytes of the pools, one upon the other, and the limit above them.
fn draw(samples: &[Sample], kinds: &[Kind], seconds: f64, file: &Path) -> Result<(), Box<dyn Error>> {
    let to_mib = |bytes: usize| bytes as f64 / MIB as f64;
    let root = SVGBackend::new(file, (960, 480)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("Four pools under one account of 64 MiB, eight threads", ("sans-serif", 20))
        .margin(14)
        .x_label_area_size(38)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..seconds, 0.0..to_mib(LIMIT) * 1.12)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("seconds; demand changes at each third")
        .y_desc("MiB in use, leased and idle")
        .draw()?;
    // The highest sum first; the others are drawn over it. The parts of a sample were read one after the other, so their sum
    // can be more than there ever was; the whole, which `main` checks and at which the drawing ends, was read at once.
    for upto in (0..kinds.len()).rev() {
        let Kind { name, colour, .. } = &kinds[upto];
        let sums =
            samples.iter().map(|s| (s.seconds, to_mib(s.used[..=upto].iter().sum::<usize>().min(s.total))));
        chart.draw_series(AreaSeries::new(sums, 0.0, *colour))?.label(*name).legend({
            let colour = *colour;
            move |(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], colour.filled())
        });
    }
    let limit = [(0.0, to_mib(LIMIT)), (seconds, to_mib(LIMIT))];
    chart
        .draw_series(LineSeries::new(limit, BLACK.stroke_width(2)))?
        .label("hard limit")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 14, y)], BLACK.stroke_width(2)));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    root.present()?;
    Ok(())
}
