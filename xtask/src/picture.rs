//! Is a screenshot a picture of something?

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, Result};

/// A page with text and charts has hundreds of colours, an empty one has one.
const MIN_COLOURS: usize = 16;
/// The least part of the pixels that is not the commonest colour.
const MIN_INK: f64 = 0.01;

/// What is wrong with the PNG at `path`; empty if nothing is.
pub(crate) fn problems(path: &Path, width: u32) -> Vec<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match look(path) {
        Err(error) => vec![format!("{name}: {error:#}")],
        Ok(look) => look.problems(width).into_iter().map(|problem| format!("{name}: {problem}")).collect(),
    }
}

/// What a look at the pixels gives.
struct Look {
    width: u32,
    colours: usize,
    /// Part of the pixels that differ from the commonest colour.
    ink: f64,
}

impl Look {
    fn problems(&self, width: u32) -> Vec<String> {
        let mut problems = Vec::new();
        if self.width != width {
            problems.push(format!("it is {} pixels wide, not {width}", self.width));
        }
        if self.colours < MIN_COLOURS || self.ink < MIN_INK {
            problems.push(format!(
                "it is blank: {} colours, {:.2} % of it not background",
                self.colours,
                self.ink * 100.0
            ));
        }
        problems
    }
}

fn look(path: &Path) -> Result<Look> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut decoder = png::Decoder::new(BufReader::new(file));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info()?;
    let mut bytes = vec![0; reader.output_buffer_size().context("the picture is too large")?];
    let info = reader.next_frame(&mut bytes)?;
    let mut counts: BTreeMap<&[u8], usize> = BTreeMap::new();
    for pixel in bytes[..info.buffer_size()].chunks_exact(info.color_type.samples()) {
        *counts.entry(pixel).or_default() += 1;
    }
    let all: usize = counts.values().sum();
    let commonest = counts.values().max().copied().unwrap_or(0);
    let ink = if all == 0 { 0.0 } else { (all - commonest) as f64 / all as f64 };
    Ok(Look { width: info.width, colours: counts.len(), ink })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, pixel: impl Fn(u32) -> [u8; 3]) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("xtask-{name}-{}.png", std::process::id()));
        let mut encoder = png::Encoder::new(File::create(&path).unwrap(), 64, 64);
        encoder.set_color(png::ColorType::Rgb);
        let bytes: Vec<u8> = (0..64 * 64).flat_map(pixel).collect();
        encoder.write_header().unwrap().write_image_data(&bytes).unwrap();
        path
    }

    /// Catches: a blank page, or a page that says one grey line, taken for charts.
    #[test]
    fn a_blank_picture_is_refused() {
        let blank = written("blank", |_| [250; 3]);
        assert_eq!(problems(&blank, 64).len(), 1);
        let few = written("few", |index| if index < 400 { [0; 3] } else { [250; 3] });
        assert_eq!(problems(&few, 64).len(), 1);
        let full = written("full", |index| [(index % 64) as u8, (index / 64) as u8, 0]);
        assert_eq!(problems(&full, 64), Vec::<String>::new());
        assert_eq!(problems(&full, 1280).len(), 1);
        for path in [blank, few, full] {
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn what_is_no_picture_is_told_with_its_name() {
        let problems = problems(Path::new("no-such.png"), 64);
        assert!(problems.len() == 1 && problems[0].starts_with("no-such.png"), "{problems:?}");
    }
}
