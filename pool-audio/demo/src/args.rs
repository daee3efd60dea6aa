//! What the user asked for on the command line.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// Shown by `--help` and after a mistake.
pub(crate) const USAGE: &str = "\
Mixes recordings through pooled buffers, measures it, and writes mix.wav and native.json.

usage: pool-audio-demo [OPTIONS] [FILES...]

  FILES            recordings (FLAC, WAV, AIFF, Ogg Vorbis, MP3); without any, the drum kit that comes with it
  --out DIR        where to write mix.wav and native.json      [target/demo]
  --seconds S      length of the mix, 0.1 to 3600              [16]
  --voices V       voices at once, fewer of very short files, 1 to 4096 [64]
  --budget BYTES   memory for samples and buffers together     [96000000]
  --jack           play through a JACK server with 128-frame callbacks, which is started for it, and record
                   that; writes histogram.svg and timeline.svg as well. Ctrl-C ends it early, with everything
                   written; the exit code is 1 then
  --stall-every N  with --jack: plants a stall of 4 ms in each Nth callback, to see that it is counted   [0: none]
  --help           this text

A file that cannot be used is named on the error output and left out; the others are mixed, frame by frame: they are
not resampled. The exit code is 0 if something was mixed, 1 if nothing could be, 2 if the command line makes no sense;
with --jack it is 1 too if not all that was played is recorded, or a file cannot be written.";

/// The command line, checked.
#[derive(Debug, PartialEq)]
pub(crate) struct Args {
    pub(crate) out: PathBuf,
    pub(crate) seconds: f64,
    pub(crate) voices: usize,
    pub(crate) budget: usize,
    pub(crate) jack: bool,
    /// 0 for none.
    pub(crate) stall_every: u64,
    /// Empty for the bundled kit.
    pub(crate) files: Vec<PathBuf>,
}

/// What came of reading the command line.
#[derive(Debug, PartialEq)]
pub(crate) enum Request {
    Mix(Args),
    Help,
}

/// What is wrong with the command line.
#[derive(Debug, PartialEq)]
pub(crate) enum ArgsError {
    UnknownOption(String),
    NoValue(&'static str),
    OnlyLive(&'static str),
    BadValue { option: &'static str, value: String, wanted: &'static str },
}

impl fmt::Display for ArgsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownOption(option) => write!(f, "there is no option {option}"),
            Self::NoValue(option) => write!(f, "{option} needs a value after it"),
            Self::OnlyLive(option) => write!(f, "{option} goes with --jack"),
            Self::BadValue { option, value, wanted } => write!(f, "{option} wants {wanted}, not {value:?}"),
        }
    }
}

impl std::error::Error for ArgsError {}

/// Reads the arguments after the program's name.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Request, ArgsError> {
    let mut args = Args {
        out: PathBuf::from("target/demo"),
        seconds: 16.0,
        voices: 64,
        budget: pool_audio::DEFAULT_BUDGET,
        jack: false,
        stall_every: 0,
        files: Vec::new(),
    };
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--help" | "-h") => return Ok(Request::Help),
            Some("--out") => args.out = value("--out", arguments.next())?.into(),
            Some("--seconds") => {
                let wanted = |seconds: &f64| (0.1..=3600.0).contains(seconds);
                args.seconds = number("--seconds", arguments.next(), "0.1 to 3600", wanted)?;
            }
            Some("--voices") => {
                let wanted = |voices: &usize| (1..=4096).contains(voices);
                args.voices = number("--voices", arguments.next(), "a whole number from 1 to 4096", wanted)?;
            }
            Some("--budget") => {
                args.budget = number("--budget", arguments.next(), "a whole number of bytes", |_| true)?;
            }
            Some("--jack") => args.jack = true,
            Some("--stall-every") => {
                args.stall_every =
                    number("--stall-every", arguments.next(), "a whole number of callbacks", |_| true)?;
            }
            Some("--") => {
                args.files.extend(arguments.by_ref().map(PathBuf::from));
            }
            Some(option) if option.starts_with("--") => {
                return Err(ArgsError::UnknownOption(option.to_string()));
            }
            _ => args.files.push(argument.into()),
        }
    }
    if args.stall_every > 0 && !args.jack {
        return Err(ArgsError::OnlyLive("--stall-every"));
    }
    Ok(Request::Mix(args))
}

fn value(option: &'static str, value: Option<OsString>) -> Result<OsString, ArgsError> {
    value.ok_or(ArgsError::NoValue(option))
}

fn number<T: std::str::FromStr>(
    option: &'static str,
    given: Option<OsString>,
    wanted: &'static str,
    in_range: impl Fn(&T) -> bool,
) -> Result<T, ArgsError> {
    let given = value(option, given)?;
    let text = given.to_string_lossy();
    text.parse().ok().filter(in_range).ok_or_else(|| ArgsError::BadValue {
        option,
        value: text.into_owned(),
        wanted,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Request, ArgsError> {
        parse(line.split_whitespace().map(OsString::from))
    }

    /// Would catch an option that swallows a file or the other way round.
    #[test]
    fn options_and_files_are_told_apart() {
        let Ok(Request::Mix(args)) =
            parsed("a.wav --out o --seconds 2.5 --voices 100 --budget 9 b.flac -- --c")
        else {
            panic!("a good line was refused")
        };
        assert_eq!((args.out, args.seconds, args.voices, args.budget), ("o".into(), 2.5, 100, 9));
        assert_eq!(args.files, ["a.wav", "b.flac", "--c"].map(PathBuf::from));
    }

    /// Would catch numbers that hang the mixer or divide by zero, taken without a word.
    #[test]
    fn nonsense_is_refused_and_named() {
        assert_eq!(parsed("--loud"), Err(ArgsError::UnknownOption("--loud".into())));
        assert_eq!(parsed("--stall-every 500"), Err(ArgsError::OnlyLive("--stall-every")));
        assert_eq!(parsed("--out"), Err(ArgsError::NoValue("--out")));
        let lines =
            ["--seconds 0", "--seconds -1", "--seconds NaN", "--seconds inf", "--seconds x", "--voices 0"];
        for line in lines.into_iter().chain(["--voices 1.5", "--voices 99999", "--budget -1"]) {
            let error = parsed(line).unwrap_err();
            let option = line.split(' ').next().unwrap();
            assert!(matches!(error, ArgsError::BadValue { .. }), "{line}");
            assert!(error.to_string().starts_with(option), "{error}");
        }
        assert_eq!(parsed("--help"), Ok(Request::Help));
    }
}
