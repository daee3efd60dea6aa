//! The recordings: found, decoded, and charged to the audio memory.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use pool_audio::{AudioMemory, SampleBuffer};

use crate::args::Args;
use crate::decode::{DecodeError, decode};

/// The sample rate of the mix, at which recordings are played.
pub(crate) const SAMPLE_RATE: NonZeroU32 = NonZeroU32::new(48_000).expect("a constant above 0");
/// Quiet recordings are made louder, but not by more than this: what is left of the noise stays noise.
const MOST_GAIN: f32 = 4.0;

/// Recordings are not resampled. That is said of each whose pitch moves by more than this factor, two octaves: of a kit of
/// 44.1 to 192 kHz it is said once, in the report.
const FAR_OFF: f64 = 4.0;

/// One recording in memory.
#[derive(Debug)]
pub(crate) struct Recording {
    /// Its file's name, which is also its id in the audio memory.
    pub(crate) name: String,
    /// Its file.
    path: PathBuf,
    /// Its samples at the file's own rate: frames are played one by one, whatever the rate.
    pub(crate) samples: SampleBuffer,
    /// Factor that brings its loudest sample to 1.
    pub(crate) gain: f32,
}

/// What could be loaded, and what could not.
#[derive(Debug, Default)]
pub(crate) struct Kit {
    pub(crate) recordings: Vec<Rc<Recording>>,
    /// Files that could not be used, and why.
    pub(crate) failed: Vec<(PathBuf, String)>,
    pub(crate) warnings: Vec<String>,
}

/// Decodes `files` and tracks each in `memory` under its path. What does not fit the budget, less `spare` bytes
/// that are kept free for the mixer, is refused like a file that cannot be read.
pub(crate) fn load(
    files: &[PathBuf],
    memory: &mut AudioMemory,
    spare: usize,
    mut done: impl FnMut(&Path),
) -> Kit {
    let mut kit = Kit::default();
    for path in files {
        let byte_limit = memory.free().saturating_sub(spare);
        match decode(path, byte_limit) {
            Ok(decoded) => {
                // A file that is named twice is in memory twice, so its id must not be the same.
                let name = match kit.recordings.iter().filter(|recording| recording.path == *path).count() {
                    0 => path.display().to_string(),
                    times => format!("{} ({})", path.display(), times + 1),
                };
                if let Err(refusal) = memory.track(name.clone(), &decoded.samples) {
                    kit.failed.push((path.clone(), refusal.to_string()));
                    continue;
                }
                if let Some(warning) = decoded.warning {
                    kit.warnings.push(format!("{name}: {warning}"));
                }
                if let Some(warning) = far_off(decoded.samples.key().sample_rate.get()) {
                    kit.warnings.push(format!("{name}: {warning}"));
                }
                let loudest = decoded
                    .samples
                    .planes()
                    .flatten()
                    .fold(0.0, |loudest: f32, sample| loudest.max(sample.abs()));
                let gain = if loudest > 0.0 { loudest.recip().min(MOST_GAIN) } else { 1.0 };
                let recording = Recording { name, path: path.clone(), samples: decoded.samples, gain };
                kit.recordings.push(Rc::new(recording));
            }
            Err(reason @ DecodeError::OverBudget { .. }) => {
                let budget = memory.account().hard_limit();
                let taken = budget.saturating_sub(memory.free());
                let why = format!(
                    "{reason}: of its {budget}, {taken} are taken already and {spare} set aside for the mixer's buffers"
                );
                kit.failed.push((path.clone(), why));
            }
            Err(reason) => kit.failed.push((path.clone(), reason.to_string())),
        }
        done(path);
    }
    kit
}

/// What to tell of a recording whose rate has little to do with that of the mix.
fn far_off(rate: u32) -> Option<String> {
    let slower = f64::from(rate) / f64::from(SAMPLE_RATE.get());
    let (times, how) =
        if slower > 1.0 { (slower, "slower and lower") } else { (slower.recip(), "faster and higher") };
    (times > FAR_OFF).then(|| {
        format!(
            "it is not resampled: its frames, {rate} a second, are played at {SAMPLE_RATE} Hz, {} times {how}",
            (times * 10.0).round() / 10.0
        )
    })
}

/// The files that were asked for, or those of the bundled kit.
///
/// # Errors
///
/// Where the kit was looked for and not found.
pub(crate) fn files(args: &Args) -> Result<Vec<PathBuf>, String> {
    if !args.files.is_empty() {
        return Ok(args.files.clone());
    }
    bundled().map_err(|folders| {
        let folders: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
        format!("there are no FLAC files in {}; name some files to mix", folders.join(" nor in "))
    })
}

/// The bundled kit: every FLAC file of `audio/`, beside the workspace or where the program is run.
///
/// # Errors
///
/// The folders that were looked in, if none of them holds a FLAC file.
pub(crate) fn bundled() -> Result<Vec<PathBuf>, Vec<PathBuf>> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../audio");
    let folders = vec![workspace, PathBuf::from("audio")];
    for folder in &folders {
        let Ok(entries) = folder.read_dir() else { continue };
        // Canonical, so that messages name the file without a way around `..`.
        let mut files: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "flac"))
            .map(|path| path.canonicalize().unwrap_or(path))
            .collect();
        if !files.is_empty() {
            files.sort();
            return Ok(files);
        }
    }
    Err(folders)
}

/// A quiet tone of so many frames, for tests.
#[cfg(test)]
pub(crate) fn tone(frames: u32) -> Recording {
    let mut samples = SampleBuffer::new(1, frames, 48_000).expect("a small buffer");
    for (frame, sample) in samples[0].iter_mut().enumerate() {
        *sample = 0.5 * (frame as f32 * 0.05).cos();
    }
    Recording { name: "tone".into(), path: PathBuf::new(), samples, gain: 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Would catch one bad file that ends the loading, a file that is counted twice or not, and a budget that is
    /// passed by what is kept free.
    #[test]
    fn the_good_files_are_loaded_and_the_others_named() {
        let good = bundled().unwrap().swap_remove(2);
        let files = [good.clone(), "missing.wav".into(), good.clone()];
        let mut memory = AudioMemory::default();
        let mut seen = 0;
        let kit = load(&files, &mut memory, 0, |_| seen += 1);
        assert_eq!((kit.recordings.len(), kit.failed.len(), seen), (2, 1, 3));
        assert_eq!(kit.failed[0].0, Path::new("missing.wav"));
        assert_ne!(kit.recordings[0].name, kit.recordings[1].name);
        let bytes = kit.recordings[0].samples.bytes();
        assert_eq!((memory.tracked_count(), memory.tracked_bytes()), (2, 2 * bytes));

        let mut small = AudioMemory::new(bytes + bytes / 2);
        let kit = load(&files, &mut small, bytes / 4, |_| ());
        assert_eq!((kit.recordings.len(), kit.failed.len()), (1, 2));
        assert_eq!(small.overcommitted(), 0);
    }

    /// Would catch a file that sounds like nothing on Earth without a word why, and a warning for a common rate.
    #[test]
    fn a_rate_that_is_far_off_is_told() {
        for rate in [12_000, 22_050, 44_100, 48_000, 96_000, 192_000] {
            assert_eq!(far_off(rate), None);
        }
        for (rate, told) in
            [(1, "48000 times faster"), (8000, "6 times faster"), (768_000, "16 times slower")]
        {
            assert!(far_off(rate).is_some_and(|warning| warning.contains(told)), "{rate}");
        }
    }
}
