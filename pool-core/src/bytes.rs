//! Bytes for people: `12.50 KiB`.

use core::fmt;

/// A number of bytes that prints itself in binary units: KiB is 1024 bytes, MiB 1024 KiB, and so on.
///
/// Below 1 KiB the number is exact; above it has two decimals, rounded half up, or as many as the format's
/// precision asks for (at most nine). What would round up to 1024 of one unit is shown as 1 of the next.
///
/// ```
/// use pool_core::Bytes;
///
/// assert_eq!(Bytes(1023).to_string(), "1023 B");
/// assert_eq!(Bytes(1536).to_string(), "1.50 KiB");
/// assert_eq!(Bytes(1024 * 1024 - 1).to_string(), "1.00 MiB");
/// assert_eq!(format!("{:.1}", Bytes(96_000_000)), "91.6 MiB");
/// ```
///
/// Formatting does not allocate and uses integers only, so that it costs a firmware no floating point.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Bytes(pub usize);

const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0 as u128;
        if bytes < 1024 {
            return write!(f, "{bytes} B");
        }
        let digits = f.precision().unwrap_or(2).min(9);
        let scale = 10u128.pow(digits as u32);
        let mut unit = 1024u128;
        for (place, name) in UNITS.iter().enumerate() {
            let scaled = (bytes * scale + unit / 2) / unit;
            if scaled < 1024 * scale || place + 1 == UNITS.len() {
                let (whole, rest) = (scaled / scale, scaled % scale);
                return match digits {
                    0 => write!(f, "{whole} {name}"),
                    _ => write!(f, "{whole}.{rest:0digits$} {name}"),
                };
            }
            unit *= 1024;
        }
        Ok(())
    }
}

impl From<usize> for Bytes {
    fn from(bytes: usize) -> Self {
        Self(bytes)
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::Bytes;
    use alloc::{format, string::ToString};

    // The seed divided by 1024 and wrote "KB"; and a value just below a unit printed as "1024.00" of the lower one.
    #[test]
    fn units_are_binary_and_never_1024_of_one() {
        for (bytes, text) in [
            (0, "0 B"),
            (1, "1 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (1029, "1.00 KiB"),
            (1030, "1.01 KiB"),
            (1024 * 1024 - 1, "1.00 MiB"),
            (1024 * 1024 - 6, "1023.99 KiB"),
            (100 * 1024 * 1024, "100.00 MiB"),
            (1 << 30, "1.00 GiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text, "{bytes}");
        }
    }

    // Integer overflow at the largest number.
    #[test]
    fn the_largest_number_prints() {
        let text = Bytes(usize::MAX).to_string();
        let expected = if usize::BITS == 64 { "16.00 EiB" } else { "4.00 GiB" };
        assert_eq!(text, expected);
        assert_eq!(format!("{:.0}", Bytes(1536)), "2 KiB");
        assert_eq!(format!("{:.20}", Bytes(1024)), "1.000000000 KiB");
    }
}
