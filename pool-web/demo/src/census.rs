//! What is counted, in one shape for both modes, and how the page reads it: a flat list of numbers with names.

/// The kinds of objects that a voice is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `GainNode`
    Gain,
    /// `BiquadFilterNode`
    Filter,
    /// `StereoPannerNode`
    Panner,
    /// `DelayNode`
    Delay,
    /// `AudioBuffer`
    Buffer,
}

impl Kind {
    /// All kinds; the nodes come first.
    pub const ALL: [Self; 5] = [Self::Gain, Self::Filter, Self::Panner, Self::Delay, Self::Buffer];
}

/// Counts of one kind of object. `created` and `reused` count since the last reset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// In a voice that sounds or is about to.
    pub leased: u64,
    /// Given back, and waiting to be silent before the next use. Always 0 for fresh objects.
    pub resting: u64,
    /// Waiting in a pool. Always 0 for fresh objects.
    pub idle: u64,
    /// Made new for a voice: misses.
    pub created: u64,
    /// Served from a pool: hits. Always 0 for fresh objects.
    pub reused: u64,
}

/// What the objects of one mode are and cost at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Census {
    /// By [`Kind`], in the order of [`Kind::ALL`].
    pub kinds: [Count; Kind::ALL.len()],
    /// Bytes of audio in voices.
    pub leased_bytes: u64,
    /// Bytes of audio waiting in pools.
    pub idle_bytes: u64,
    /// Bytes of the decoded recordings.
    pub kit_bytes: u64,
    /// Highest sum of all bytes since the last reset.
    pub peak_bytes: u64,
    /// The budget; 0 if there is none.
    pub limit_bytes: u64,
    /// Objects thrown out of the pools to stay in the budget, since the last reset.
    pub evicted: u64,
}

impl Census {
    /// Counts of one kind.
    pub fn kind(&self, kind: Kind) -> Count {
        self.kinds[kind as usize]
    }

    /// Counts of one kind, to change.
    pub fn kind_mut(&mut self, kind: Kind) -> &mut Count {
        &mut self.kinds[kind as usize]
    }

    /// Bytes of everything that is counted now.
    pub fn used_bytes(&self) -> u64 {
        self.leased_bytes + self.idle_bytes + self.kit_bytes
    }

    /// Nodes created and reused, all node kinds together.
    pub fn nodes(&self) -> (u64, u64) {
        Kind::ALL[..4].iter().fold((0, 0), |(created, reused), &kind| {
            let count = self.kind(kind);
            (created + count.created, reused + count.reused)
        })
    }
}

/// What the engine counts beside the objects.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Played {
    /// Voices started since the last reset.
    pub voices: u64,
    /// Voices that sound or are about to.
    pub sounding: u64,
    /// Voices skipped because the timer came too late.
    pub late: u64,
    /// Voices refused: over the budget, or the browser threw.
    pub refused: u64,
    /// Milliseconds of main-thread time in the scheduler and its voices since the last reset.
    pub busy_ms: f64,
    /// Seconds since the last reset while playing.
    pub seconds: f64,
}

/// How the audio thread is doing; what the browser does not tell is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Health {
    /// Part of its time that the audio thread needs.
    pub load: Option<f64>,
    /// That part in half, in 95 and in 99 of 100 quarters of a second since the last reset: no more than this.
    pub loads: Option<[f64; 3]>,
    /// Underruns since the last reset.
    pub underruns: Option<u64>,
    /// Seconds from the graph to the browser's audio system.
    pub base_latency: Option<f64>,
    /// Seconds from there to the ear.
    pub output_latency: Option<f64>,
}

/// What the cache of recordings has done since the page was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cached {
    /// Recordings that were decoded.
    pub decoded: u64,
    /// How often one was leased without decoding it again.
    pub leases: u64,
}

/// Names of the numbers of [`flatten`], in its order.
pub const FIELDS: &str = "voices,sounding,late,refused,busy_ms,seconds,\
load,underruns,base_latency_ms,output_latency_ms,latency_ms,\
load_p50,load_p95,load_p99,recordings_decoded,recordings_leases,\
leased_bytes,idle_bytes,kit_bytes,used_bytes,peak_bytes,limit_bytes,evicted,\
nodes_created,nodes_reused,buffers_created,buffers_reused,\
gain_leased,gain_resting,gain_idle,gain_created,gain_reused,\
filter_leased,filter_resting,filter_idle,filter_created,filter_reused,\
panner_leased,panner_resting,panner_idle,panner_created,panner_reused,\
delay_leased,delay_resting,delay_idle,delay_created,delay_reused,\
buffer_leased,buffer_resting,buffer_idle,buffer_created,buffer_reused";

/// How many numbers [`flatten`] yields.
pub const FIELD_COUNT: usize = 27 + 5 * Kind::ALL.len();

/// The counts as plain numbers, so that the page reads them several times a second without garbage. What is not known
/// is NaN.
pub fn flatten(played: &Played, health: &Health, cached: &Cached, census: &Census) -> [f64; FIELD_COUNT] {
    let (nodes_created, nodes_reused) = census.nodes();
    let buffers = census.kind(Kind::Buffer);
    let mut numbers = [0.0; FIELD_COUNT];
    numbers[..6].copy_from_slice(&[
        played.voices as f64,
        played.sounding as f64,
        played.late as f64,
        played.refused as f64,
        played.busy_ms,
        played.seconds,
    ]);
    let ms = |seconds: Option<f64>| seconds.map_or(f64::NAN, |seconds| seconds * 1_000.0);
    let both = health.base_latency.zip(health.output_latency).map(|(base, output)| base + output);
    numbers[6..11].copy_from_slice(&[
        health.load.unwrap_or(f64::NAN),
        health.underruns.map_or(f64::NAN, |count| count as f64),
        ms(health.base_latency),
        ms(health.output_latency),
        ms(both),
    ]);
    let [p50, p95, p99] = health.loads.unwrap_or([f64::NAN; 3]);
    numbers[11..16].copy_from_slice(&[p50, p95, p99, cached.decoded as f64, cached.leases as f64]);
    let counts = [
        census.leased_bytes,
        census.idle_bytes,
        census.kit_bytes,
        census.used_bytes(),
        census.peak_bytes,
        census.limit_bytes,
        census.evicted,
        nodes_created,
        nodes_reused,
        buffers.created,
        buffers.reused,
    ];
    for (number, count) in numbers[16..].iter_mut().zip(counts) {
        *number = count as f64;
    }
    for (chunk, count) in numbers[27..].chunks_exact_mut(5).zip(census.kinds) {
        let values = [count.leased, count.resting, count.idle, count.created, count.reused];
        for (number, value) in chunk.iter_mut().zip(values) {
            *number = value as f64;
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Would catch a number that is shown under another one's name: each field gets a value of its own here.
    #[test]
    fn names_and_numbers_agree() {
        let names: Vec<&str> = FIELDS.split(',').collect();
        assert_eq!(names.len(), FIELD_COUNT);
        let mut census = Census { leased_bytes: 10, idle_bytes: 20, kit_bytes: 30, ..Census::default() };
        for (index, &kind) in Kind::ALL.iter().enumerate() {
            let base = 100 * (index as u64 + 1);
            *census.kind_mut(kind) = Count {
                leased: base,
                idle: base + 1,
                created: base + 2,
                reused: base + 3,
                resting: base + 4,
            };
        }
        census.evicted = 7;
        let played = Played { voices: 1, busy_ms: 2.5, seconds: 3.5, ..Played::default() };
        let loads = Some([0.2, 0.3, 0.4]);
        let health = Health { load: Some(0.25), loads, base_latency: Some(0.01), ..Health::default() };
        let cached = Cached { decoded: 16, leases: 99 };
        let numbers = flatten(&played, &health, &cached, &census);
        let get = |name: &str| numbers[names.iter().position(|&other| other == name).unwrap()];
        assert_eq!(get("voices"), 1.0);
        assert_eq!(get("busy_ms"), 2.5);
        assert_eq!(get("seconds"), 3.5);
        assert_eq!(get("load"), 0.25);
        assert_eq!(get("base_latency_ms"), 10.0);
        assert_eq!([get("load_p50"), get("load_p95"), get("load_p99")], [0.2, 0.3, 0.4]);
        assert_eq!((get("recordings_decoded"), get("recordings_leases")), (16.0, 99.0));
        // Half of a sum that is unknown is no sum.
        assert!(get("latency_ms").is_nan() && get("underruns").is_nan());
        assert_eq!(get("used_bytes"), 60.0);
        assert_eq!(get("evicted"), 7.0);
        assert_eq!(get("nodes_created"), 102.0 + 202.0 + 302.0 + 402.0);
        assert_eq!(get("nodes_reused"), 103.0 + 203.0 + 303.0 + 403.0);
        assert_eq!(get("buffers_created"), 502.0);
        assert_eq!(get("gain_leased"), 100.0);
        assert_eq!(get("delay_idle"), 401.0);
        assert_eq!(get("delay_resting"), 404.0);
        assert_eq!(get("buffer_reused"), 503.0);
    }
}
