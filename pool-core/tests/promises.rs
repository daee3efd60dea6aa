//! The guide to the promises names tests; this one says whether they exist.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

// A test renamed or deleted, and the guide still sends people to it.
#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn every_test_that_the_guide_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = std::fs::read_to_string(root.join("PROMISES.md")).unwrap();
    let mut named = 0;
    for row in guide.lines().filter(|line| line.starts_with("| ")) {
        let (_, shown_by) = row.trim_end_matches(" |").rsplit_once(" | ").unwrap();
        for quoted in shown_by.split('`').skip(1).step_by(2) {
            let Some((file, test)) = quoted.split_once("::") else { continue };
            let source = std::fs::read_to_string(root.join("tests").join(file).with_extension("rs")).unwrap();
            let defined = [format!("fn {test}("), format!("fn {test}<")];
            assert!(defined.iter().any(|text| source.contains(text)), "{quoted} does not exist");
            named += 1;
        }
    }
    assert!(named > 60, "{named} tests found: has the guide another form?");
}
