//! What is played: tracks, the 16-step groove, and how one beat of it is filled with any number of voices.
//!
//! A beat is four steps. It gets exactly as many voices as the rate asks for: first the hits of the groove, the most
//! important ones first, so that a low rate still has its kick and snare; then *grains*, short quiet slices of the kit
//! laid out as Euclidean rhythms, so that a high rate sounds like a rain of drums and not like a machine gun.

use crate::rng::Rng;

/// Steps of the groove; one step is a sixteenth note.
pub const STEPS: usize = 16;
/// Steps of one beat.
pub const STEPS_PER_BEAT: usize = 4;
/// Frames of a grain's buffer, and of every short hit.
pub const SHORT: u32 = 4_800;
/// Frames of a hit that needs a body: kick, snare, tabla, bell.
pub const MEDIUM: u32 = 9_600;
/// Frames of a hit that rings: toms, open hat, bass.
pub const LONG: u32 = 19_200;
/// Every how many voices one is sent through a delay.
pub const ECHO_EVERY: u64 = 24;

/// The sounds that a voice may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Track {
    /// Bass drum.
    Kick,
    /// Snare drum.
    Snare,
    /// Closed hi-hat.
    Hat,
    /// Open hi-hat.
    Open,
    /// High and low tom.
    Tom,
    /// Tabla strokes.
    Tabla,
    /// Cowbell.
    Bell,
    /// Short bass note.
    Bass,
    /// Choir and noise: only in grains, has no row in the groove.
    Air,
}

impl Track {
    /// The tracks that have a row in the groove, in the order of the page.
    pub const ROWS: [Self; 8] =
        [Self::Kick, Self::Snare, Self::Hat, Self::Open, Self::Tom, Self::Tabla, Self::Bell, Self::Bass];

    /// Name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Kick => "Kick",
            Self::Snare => "Snare",
            Self::Hat => "Hat",
            Self::Open => "Open hat",
            Self::Tom => "Toms",
            Self::Tabla => "Tabla",
            Self::Bell => "Cowbell",
            Self::Bass => "Bass",
            Self::Air => "Air",
        }
    }

    /// File names of the recordings that serve this track, without extension.
    pub fn recordings(self) -> &'static [&'static str] {
        match self {
            Self::Kick => &["bd_haus", "drum_heavy_kick", "bd_808"],
            Self::Snare => &["drum_snare_hard", "elec_hi_snare"],
            Self::Hat => &["drum_cymbal_closed", "hat_zild", "hat_raw", "hat_sci"],
            Self::Open => &["drum_cymbal_open"],
            Self::Tom => &["drum_tom_hi_hard", "drum_tom_lo_hard"],
            Self::Tabla => &["tabla_na", "tabla_ghe1"],
            Self::Bell => &["drum_cowbell"],
            Self::Bass => &["bass_hit_c"],
            Self::Air => &["ambi_choir", "perc_swash"],
        }
    }

    /// Loudness of a full hit, relative to the kick, and its place in the stereo image (-1 left, 1 right).
    fn mix(self) -> (f32, f32) {
        match self {
            Self::Kick => (1.0, 0.0),
            Self::Snare => (0.8, 0.05),
            Self::Hat => (0.35, 0.3),
            Self::Open => (0.3, -0.35),
            Self::Tom => (0.7, -0.25),
            Self::Tabla => (0.6, 0.45),
            Self::Bell => (0.3, -0.5),
            Self::Bass => (0.7, 0.0),
            Self::Air => (0.5, 0.0),
        }
    }

    /// Frames of the buffer of a full hit.
    fn frames(self) -> u32 {
        match self {
            Self::Kick | Self::Snare | Self::Tabla | Self::Bell => MEDIUM,
            Self::Open | Self::Tom | Self::Bass => LONG,
            Self::Hat | Self::Air => SHORT,
        }
    }

    /// How much the groove needs this track: higher is kept at lower rates.
    fn importance(self) -> u32 {
        match self {
            Self::Kick => 8,
            Self::Snare => 7,
            Self::Hat => 6,
            Self::Tabla => 5,
            Self::Bass => 4,
            Self::Tom => 3,
            Self::Open => 2,
            Self::Bell => 1,
            Self::Air => 0,
        }
    }
}

/// What grains are made of: bright and light sounds more often than heavy ones.
const GRAINS: [Track; 10] = [
    Track::Hat,
    Track::Tabla,
    Track::Air,
    Track::Hat,
    Track::Tom,
    Track::Tabla,
    Track::Open,
    Track::Air,
    Track::Snare,
    Track::Bell,
];

/// One voice to be played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// When, in seconds of the audio clock.
    pub time: f64,
    /// What.
    pub track: Track,
    /// Peak gain of the envelope before the rate's headroom, 0 to 1.
    pub level: f32,
    /// Place in the stereo image, -1 to 1.
    pub pan: f32,
    /// Speed of the tape: 1 is the recording's own pitch.
    pub speed: f32,
    /// 0 (dark) to 1 (bright): where the filter opens.
    pub brightness: f32,
    /// Where in the recording the slice starts: 0 is its attack, 1 the last place that still fills a slice.
    pub offset: f32,
    /// Frames of the slice.
    pub frames: u32,
    /// A grain, or a hit of the groove.
    pub grain: bool,
    /// Sent through a delay as well.
    pub echo: bool,
}

/// One quarter note in time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Beat {
    /// Which one, from 0.
    pub number: u64,
    /// When it begins, in seconds of the audio clock.
    pub start: f64,
    /// How long it is, in seconds.
    pub duration: f64,
}

/// The groove: for each row one bit per step.
#[derive(Debug, Clone)]
pub struct Pattern {
    rows: [u16; Track::ROWS.len()],
}

impl Default for Pattern {
    /// Four to the floor, hats off the beat, tabla between them, toms and bell at the turn.
    fn default() -> Self {
        let row = |steps: &str| {
            steps.bytes().enumerate().fold(0, |bits, (step, mark)| bits | u16::from(mark == b'x') << step)
        };
        Self {
            rows: [
                row("x...x...x...x..."), // kick
                row("....x.......x..x"), // snare
                row("x.x.x.xxx.x.x.x."), // hat
                row("..x...x...x....."), // open hat
                row("...........x.xx."), // toms
                row(".x.x..xx.x.x..x."), // tabla
                row("x..x..x...x.x..."), // cowbell: the 3-2 son clave
                row("x..x...x..x....."), // bass
            ],
        }
    }
}

impl Pattern {
    /// Whether `row` plays at `step`; false outside the grid.
    pub fn is_set(&self, row: usize, step: usize) -> bool {
        step < STEPS && self.rows.get(row).is_some_and(|bits| bits >> step & 1 == 1)
    }

    /// Turns `row` at `step` on or off, and tells what it is now. Outside the grid nothing happens.
    pub fn toggle(&mut self, row: usize, step: usize) -> bool {
        if let Some(bits) = self.rows.get_mut(row).filter(|_| step < STEPS) {
            *bits ^= 1 << step;
        }
        self.is_set(row, step)
    }

    /// Appends the `voices` hits of `beat`, sorted by time.
    ///
    /// `played` is how many voices were planned before, which spreads echoes evenly. Time: O(n log n) in the voices.
    pub fn plan_beat(&self, beat: Beat, voices: usize, played: u64, rng: &mut Rng, hits: &mut Vec<Hit>) {
        let first = hits.len();
        let bar_beat = (beat.number % (STEPS / STEPS_PER_BEAT) as u64) as usize;
        for (row, &track) in Track::ROWS.iter().enumerate() {
            for step in 0..STEPS_PER_BEAT {
                if self.is_set(row, bar_beat * STEPS_PER_BEAT + step) {
                    hits.push(groove_hit(track, step, beat, rng));
                }
            }
        }
        // The least important hits go first when the rate is too low for all of them.
        hits[first..]
            .sort_unstable_by_key(|hit| core::cmp::Reverse((hit.track.importance(), on_beat(hit, beat))));
        hits.truncate(first + voices);
        let grains = voices - (hits.len() - first);
        for index in 0..grains {
            hits.push(grain(index, grains, beat, rng));
        }
        hits[first..].sort_unstable_by(|a, b| a.time.total_cmp(&b.time));
        for (index, hit) in hits[first..].iter_mut().enumerate() {
            hit.echo = (played + index as u64) % ECHO_EVERY == ECHO_EVERY - 1;
        }
    }
}

fn on_beat(hit: &Hit, beat: Beat) -> bool {
    hit.time - beat.start < 1e-3
}

fn groove_hit(track: Track, step: usize, beat: Beat, rng: &mut Rng) -> Hit {
    let (level, pan) = track.mix();
    // Every second sixteenth comes a little late: swing.
    let swing = if step % 2 == 1 { 0.12 } else { 0.0 };
    let accent = [1.0, 0.7, 0.85, 0.65][step % STEPS_PER_BEAT];
    Hit {
        time: beat.start + beat.duration * (step as f64 + swing) / STEPS_PER_BEAT as f64,
        track,
        level: level * accent * rng.range(0.88, 1.0),
        pan,
        speed: if track == Track::Bass { 1.0 } else { rng.range(0.97, 1.03) },
        brightness: rng.range(0.75, 1.0),
        offset: 0.0,
        frames: track.frames(),
        grain: false,
        echo: false,
    }
}

/// Voice `index` of `count` grains of one beat: spread like a Euclidean rhythm over a grid that gets finer with the
/// count; beyond 64 per beat it is a texture, and a little jitter keeps it from humming at the grid's frequency.
fn grain(index: usize, count: usize, beat: Beat, rng: &mut Rng) -> Hit {
    let cells = count.next_power_of_two().clamp(8, 64);
    let cell = index * cells / count;
    let jitter = if count > 16 { f64::from(rng.range(-0.45, 0.45)) } else { 0.0 };
    let place = ((cell as f64 + jitter) / cells as f64).clamp(0.0, 0.999);
    // One family leads each beat, so that the rain changes colour; a third of the grains come from the others.
    let lead = GRAINS[(beat.number % GRAINS.len() as u64) as usize];
    let track = if rng.unit() < 0.66 { lead } else { GRAINS[rng.index(GRAINS.len())] };
    let (level, _) = track.mix();
    let accent = if (cell * STEPS_PER_BEAT).is_multiple_of(cells) { 0.8 } else { 0.45 };
    // The image turns slowly, once in 16 beats, and each grain keeps close to it.
    let turn = ((beat.number % 16) as f32 + place as f32) / 16.0;
    let speeds = [0.5, 0.75, 1.0, 1.0, 1.5, 2.0];
    Hit {
        time: beat.start + beat.duration * place,
        track,
        level: level * accent * rng.range(0.5, 1.0),
        pan: (0.75 * swing(turn) + rng.range(-0.25, 0.25)).clamp(-1.0, 1.0),
        speed: speeds[rng.index(speeds.len())] * rng.range(0.98, 1.02),
        brightness: 0.5 + 0.45 * swing(turn + 0.25) * rng.unit(),
        offset: rng.unit() * rng.unit(),
        frames: SHORT,
        grain: true,
        echo: false,
    }
}

/// From -1 at whole `turn`s to 1 half-way, in straight lines: as good as a sine for panning, and far less code.
fn swing(turn: f32) -> f32 {
    1.0 - 4.0 * (turn - turn.floor() - 0.5).abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(number: u64, voices: usize) -> Vec<Hit> {
        let mut hits = Vec::new();
        let beat = Beat { number, start: 10.0, duration: 0.5 };
        Pattern::default().plan_beat(beat, voices, 0, &mut Rng::new(3), &mut hits);
        hits
    }

    /// Would catch a rate that is not kept: too many or too few voices in a beat.
    #[test]
    fn a_beat_has_exactly_the_voices_asked_for() {
        for beat in 0..8 {
            for voices in [0, 1, 2, 5, 17, 64, 65, 200, 1000] {
                assert_eq!(plan(beat, voices).len(), voices, "beat {beat}");
            }
        }
    }

    /// Would catch voices outside their beat (late or overlapping into the next plan), disorder, and values that
    /// the browser refuses or that clip.
    #[test]
    fn hits_are_sorted_inside_the_beat_and_in_range() {
        for beat in 0..32 {
            let hits = plan(beat, 150);
            assert!(hits.windows(2).all(|pair| pair[0].time <= pair[1].time));
            for hit in &hits {
                assert!((10.0..10.5).contains(&hit.time), "{hit:?}");
                assert!((-1.0..=1.0).contains(&hit.pan), "{hit:?}");
                assert!((0.0..=1.0).contains(&hit.level), "{hit:?}");
                assert!((0.0..=1.0).contains(&hit.offset), "{hit:?}");
                assert!((0.0..=1.0).contains(&hit.brightness), "{hit:?}");
                assert!(hit.speed > 0.4 && hit.speed < 2.1, "{hit:?}");
            }
        }
    }

    /// Would catch a low rate that drops the kick and keeps a bell.
    #[test]
    fn the_kick_survives_the_lowest_rate() {
        for beat in 0..4 {
            let hits = plan(beat, 1);
            assert_eq!(hits[0].track, Track::Kick, "beat {beat}");
        }
    }

    /// Would catch echoes that cluster or vanish as the rate changes from beat to beat.
    #[test]
    fn one_voice_in_twenty_four_has_an_echo() {
        let (pattern, mut rng, mut hits) = (Pattern::default(), Rng::new(1), Vec::new());
        for number in 0..24 {
            let played = hits.len() as u64;
            let beat = Beat { number, start: number as f64, duration: 1.0 };
            pattern.plan_beat(beat, 7, played, &mut rng, &mut hits);
        }
        assert_eq!(hits.iter().filter(|hit| hit.echo).count(), hits.len() / ECHO_EVERY as usize);
    }

    /// Would catch an image that leans to one side.
    #[test]
    fn the_image_swings_to_both_sides() {
        assert_eq!([swing(0.0), swing(0.25), swing(0.5), swing(1.25)], [-1.0, 0.0, 1.0, 0.0]);
    }

    /// Would catch an edit that lands on another step, or an index that panics.
    #[test]
    fn toggling_changes_one_step_and_ignores_what_is_outside() {
        let mut pattern = Pattern::default();
        assert!(pattern.is_set(0, 0));
        assert!(!pattern.toggle(0, 0));
        assert!(pattern.is_set(0, 4));
        assert!(pattern.toggle(0, 0));
        assert!(!pattern.toggle(99, 0));
        assert!(!pattern.toggle(0, 99));
    }
}
