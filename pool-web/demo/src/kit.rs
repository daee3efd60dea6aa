//! The decoded recordings, and how a slice of one becomes the content of a voice's buffer.

use crate::{pattern::Track, rng::Rng};

/// Frames over which a slice fades in and out, so that no voice clicks (1.3 ms at 48 kHz).
const FADE: usize = 64;

/// One decoded recording: one or two planes of equal length.
#[derive(Debug)]
pub struct Recording {
    planes: Vec<Vec<f32>>,
    frames: usize,
}

impl Recording {
    /// A recording of these planes; `None` if there are none, or if they are empty or differ in length.
    pub fn new(planes: Vec<Vec<f32>>) -> Option<Self> {
        let frames = planes.first()?.len();
        (frames > 0 && planes.iter().all(|plane| plane.len() == frames)).then_some(Self { planes, frames })
    }

    /// Bytes of its samples.
    pub fn bytes(&self) -> usize {
        self.planes.len() * self.frames * size_of::<f32>()
    }

    /// Copies the slice that starts at `offset` (0 to 1) into `left` and `right`, faded at both ends.
    ///
    /// A mono recording goes to both sides. What lies beyond the recording's end is silence; every frame of both
    /// sides is written, so nothing of a recycled buffer is left.
    pub fn slice(&self, offset: f32, left: &mut [f32], right: &mut [f32]) {
        let spare = self.frames.saturating_sub(left.len());
        let start = (spare as f32 * offset.clamp(0.0, 1.0)) as usize;
        for (plane, out) in [(0, left), (self.planes.len() - 1, right)] {
            let source = &self.planes[plane][start.min(self.frames)..];
            let length = source.len().min(out.len());
            out[..length].copy_from_slice(&source[..length]);
            out[length..].fill(0.0);
            // The attack of a drum is its first millisecond: a slice that starts there needs no fade in.
            fade(&mut out[..length], start > 0);
        }
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
    /// Adds a recording under its file name (with or without extension and folder); an unknown name serves grains.
    pub fn add(&mut self, file: &str, recording: Recording) {
        let name = file.rsplit('/').next().unwrap_or(file);
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

    /// Bytes of all samples.
    pub fn bytes(&self) -> usize {
        self.recordings.iter().map(|(_, recording)| recording.bytes()).sum()
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

    fn ramp(frames: usize) -> Recording {
        Recording::new(vec![vec![0.5; frames], vec![-0.5; frames]]).unwrap()
    }

    /// Would catch the last user's samples sounding on in a recycled buffer.
    #[test]
    fn a_slice_writes_every_frame() {
        for (frames, offset) in [(1, 0.0), (100, 1.0), (4_800, 0.5), (9_000, 1.0), (70_000, 0.3)] {
            let (mut left, mut right) = (vec![f32::NAN; 4_800], vec![f32::NAN; 4_800]);
            ramp(frames).slice(offset, &mut left, &mut right);
            assert!(left.iter().all(|sample| (0.0..=0.5).contains(sample)), "{frames}");
            assert!(right.iter().all(|sample| (-0.5..=0.0).contains(sample)), "{frames}");
        }
    }

    /// Would catch clicks at the ends of a slice, and a faded (dull) attack of a hit.
    #[test]
    fn slices_end_in_silence_and_keep_the_attack() {
        let (mut left, mut right) = (vec![0.0; 4_800], vec![0.0; 4_800]);
        ramp(20_000).slice(0.0, &mut left, &mut right);
        assert_eq!((left[0], left[4_799]), (0.5, 0.0));
        ramp(20_000).slice(0.5, &mut left, &mut right);
        assert_eq!((left[0], right[4_799]), (0.0, 0.0));
        assert_eq!(left[2_400], 0.5);
    }

    /// Would catch a panic on a recording that decoded to nothing or to ragged planes.
    #[test]
    fn an_empty_recording_is_refused() {
        assert!(Recording::new(vec![]).is_none());
        assert!(Recording::new(vec![vec![]]).is_none());
        assert!(Recording::new(vec![vec![0.0; 2], vec![0.0; 3]]).is_none());
    }

    /// Would catch a track that goes silent because a file is missing, and a file that no track plays.
    #[test]
    fn every_track_finds_something_to_play() {
        let (mut kit, mut rng) = (Kit::default(), Rng::new(1));
        assert!(kit.choose(Track::Kick, &mut rng).is_none());
        kit.add("audio/bd_haus.flac", ramp(10));
        kit.add("never_heard_of.flac", ramp(20));
        assert_eq!(kit.choose(Track::Kick, &mut rng).unwrap().bytes(), 80);
        assert_eq!(kit.choose(Track::Air, &mut rng).unwrap().bytes(), 160);
        assert!(kit.choose(Track::Bell, &mut rng).is_some());
        assert_eq!(kit.bytes(), 240);
    }
}
