//! Numbers as text, for tables and charts.

use std::fmt::Write;

/// Appends. Writing to a `String` cannot fail.
pub(crate) fn put(text: &mut String, more: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(more);
}

/// As many digits as mean something.
pub(crate) fn shown(value: f64) -> String {
    match value {
        _ if value < 9.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A number with a space between the thousands.
pub(crate) fn spaced(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart() {
        assert_eq!([7, 999, 1_000, 1_048_576].map(spaced), ["7", "999", "1 000", "1 048 576"]);
    }
}
