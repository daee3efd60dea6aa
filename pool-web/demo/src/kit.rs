//! The decoded recordings, and how a slice of one becomes the content of a voice's buffer.
//!
//! The samples themselves are in the browser, in a cache of `pool-web`; here is what is to be known to cut a slice.

use crate::{pattern::Track, rng::Rng};

/// Frames over which a slice fades in and out, so that no voice clicks (1.3 ms at 48 kHz).
const FADE: usize = 64;

/// One decoded recording.
#[derive(Debug, Clone)]
pub struct Recording {
    id: String,
    channels: u32,
    frames: u32,
}

/// Which frames of a recording a voice plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// The first of them.
    pub start: u32,
    /// How many the recording has from there on, at most as many as the voice wants.
    pub frames: u32,
}

impl Recording {
    /// What is in the cache under `id`; `None` if it holds no sound.
    pub fn new(id: &str, channels: u32, frames: u32) -> Option<Self> {
        // Two sides are played; what a surround recording has beyond them is left out.
        (channels > 0 && frames > 0).then(|| Self { id: id.to_owned(), channels: channels.min(2), frames })
    }

    /// Its name in the cache.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The channels for the left and the right side: a mono recording goes to both.
    pub fn sides(&self) -> [u32; 2] {
        [0, self.channels - 1]
    }

    /// The slice of up to `wanted` frames that starts at `offset`: 0 is the attack, 1 the last place that still fills it.
    pub fn slice(&self, offset: f32, wanted: u32) -> Slice {
        let spare = self.frames.saturating_sub(wanted);
        let start = (spare as f32 * offset.clamp(0.0, 1.0)) as u32;
        Slice { start, frames: (self.frames - start.min(self.frames)).min(wanted) }
    }
}

impl Slice {
    /// Fades what was copied to the front of `samples` at both ends, and silences what lies beyond the recording's end: so
    /// that nothing of their last use is left.
    pub fn shape(&self, samples: &mut [f32]) {
        let length = (self.frames as usize).min(samples.len());
        samples[length..].fill(0.0);
        // The attack of a drum is its first millisecond: a slice that starts there needs no fade in.
        fade(&mut samples[..length], self.start > 0);
    }
}

fn fade(samples: &mut [f32], fade_in: bool) {
    let length = FADE.min(samples.len() / 2);
    let last = samples.len();
    for index in 0..length {
        let gain = index as f32 / length as f32;
        if fade_in {
            samples[index] *= gain;
        }
        samples[last - 1 - index] *= gain;
    }
}

/// All recordings, by track.
#[derive(Debug, Default)]
pub struct Kit {
    recordings: Vec<(Track, Recording)>,
}

impl Kit {
    /// Adds a recording under its id, which is its file name (with or without extension and folder); an unknown name serves
    /// grains.
    pub fn add(&mut self, recording: Recording) {
        let name = recording.id.rsplit('/').next().unwrap_or(&recording.id);
        let stem = name.split('.').next().unwrap_or(name);
        let track =
            Track::ROWS.into_iter().find(|track| track.recordings().contains(&stem)).unwrap_or(Track::Air);
        self.recordings.push((track, recording));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.recordings.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.recordings.is_empty()
    }

    /// One recording of `track`, or any other if that track has none; `None` only if the kit is empty.
    pub fn choose(&self, track: Track, rng: &mut Rng) -> Option<&Recording> {
        let of_track = |entry: &&(Track, Recording)| entry.0 == track;
        let count = self.recordings.iter().filter(of_track).count();
        let found = match count {
            0 => self.recordings.get(rng.index(self.recordings.len())),
            _ => self.recordings.iter().filter(of_track).nth(rng.index(count)),
        };
        found.map(|(_, recording)| recording)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slice of a recording that holds nothing but ones, in samples that held nonsense.
    fn cut(frames: u32, offset: f32) -> Vec<f32> {
        let slice = Recording::new("ones", 2, frames).unwrap().slice(offset, 4_800);
        assert!(slice.start + slice.frames <= frames, "{slice:?} of {frames}");
        let mut samples = vec![f32::NAN; 4_800];
        samples[..slice.frames as usize].fill(1.0);
        slice.shape(&mut samples);
        samples
    }

    /// Would catch the last user's samples sounding on in a recycled buffer.
    #[test]
    fn a_slice_writes_every_frame() {
        for (frames, offset) in [(1, 0.0), (100, 1.0), (4_800, 0.5), (9_000, 1.0), (70_000, 0.3)] {
            let samples = cut(frames, offset);
            assert!(samples.iter().all(|sample| (0.0..=1.0).contains(sample)), "{frames}");
            assert!(samples[frames.min(4_800) as usize..].iter().all(|&sample| sample == 0.0), "{frames}");
        }
    }

    /// Would catch clicks at the ends of a slice, and a faded (dull) attack of a hit.
    #[test]
    fn slices_end_in_silence_and_keep_the_attack() {
        let samples = cut(20_000, 0.0);
        assert_eq!((samples[0], samples[4_799]), (1.0, 0.0));
        let samples = cut(20_000, 0.5);
        assert_eq!((samples[0], samples[2_400], samples[4_799]), (0.0, 1.0, 0.0));
    }

    /// Would catch slices that all begin at the same place, or beyond the last one that is full.
    #[test]
    fn the_offset_reaches_from_the_attack_to_the_last_full_slice() {
        let recording = Recording::new("long", 1, 10_000).unwrap();
        assert_eq!(recording.slice(0.0, 4_800), Slice { start: 0, frames: 4_800 });
        assert_eq!(recording.slice(1.0, 4_800), Slice { start: 5_200, frames: 4_800 });
        assert_eq!(recording.slice(7.0, 20_000), Slice { start: 0, frames: 10_000 });
    }

    /// Would catch a panic on a recording that decoded to nothing, and a side that a mono or surround one does not have.
    #[test]
    fn both_sides_have_a_channel() {
        assert!(Recording::new("none", 0, 10).is_none());
        assert!(Recording::new("none", 2, 0).is_none());
        let sides = |channels| Recording::new("some", channels, 1).unwrap().sides();
        assert_eq!([sides(1), sides(2), sides(6)], [[0, 0], [0, 1], [0, 1]]);
    }

    /// Would catch a track that goes silent because a file is missing, and a file that no track plays.
    #[test]
    fn every_track_finds_something_to_play() {
        let (mut kit, mut rng) = (Kit::default(), Rng::new(1));
        assert!(kit.choose(Track::Kick, &mut rng).is_none());
        for id in ["audio/bd_haus.flac", "never_heard_of.flac"] {
            kit.add(Recording::new(id, 2, 10).unwrap());
        }
        assert_eq!(kit.choose(Track::Kick, &mut rng).unwrap().id(), "audio/bd_haus.flac");
        assert_eq!(kit.choose(Track::Air, &mut rng).unwrap().id(), "never_heard_of.flac");
        assert!(kit.choose(Track::Bell, &mut rng).is_some());
        assert_eq!(kit.len(), 2);
    }
}
