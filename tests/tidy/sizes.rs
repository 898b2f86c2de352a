//! How long files are: most are read in one sitting. The bound of a single file is one of the rules in `tests/tidy.rs`.

use super::{code_of, sources};

/// Half of the files, and nine in ten, are shorter than these.
const LINES_MEDIAN_MAX: usize = 150;
const LINES_MOST_MAX: usize = 300;

/// The lines of code that half of the files of `src/` do not exceed, and nine in ten.
fn quantiles(files: &[(String, String)]) -> (usize, usize) {
    let files = files.iter().filter(|(path, _)| path.starts_with("src/") && !path.ends_with("/tests.rs"));
    let mut lines: Vec<_> = files.map(|(path, text)| code_of(path, text).lines().count()).collect();
    lines.sort_unstable();
    let at = |part: usize| lines.get(lines.len() * part / 10).copied().unwrap_or_default();
    (at(5), at(9))
}

#[test]
fn most_files_are_short() {
    let (median, most) = quantiles(&sources().unwrap());
    assert!(median <= LINES_MEDIAN_MAX, "the median file of src has {median} lines");
    assert!(most <= LINES_MOST_MAX, "one file of src in ten has more than {most} lines");
    let long = ("src/a.rs".to_owned(), "//!\n".repeat(LINES_MOST_MAX + 1));
    assert_eq!(quantiles(&[long]), (LINES_MOST_MAX + 1, LINES_MOST_MAX + 1), "long files are seen");
}
