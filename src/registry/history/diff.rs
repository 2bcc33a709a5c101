//! A unified diff of two texts. Pure, but for the clock that bounds it.

use std::time::Duration;

use similar::TextDiff;

/// Lines around each change.
const CONTEXT: usize = 3;

/// After this long the diff is no longer the shortest one; it still leads from one text to the other.
const PATIENCE: Duration = Duration::from_millis(500);

/// Each side is its title and its bytes; what is not UTF-8 is shown as replacement characters.
pub(super) fn unified(old: (&str, &[u8]), new: (&str, &[u8])) -> String {
    let (old_text, new_text) = (String::from_utf8_lossy(old.1), String::from_utf8_lossy(new.1));
    TextDiff::configure()
        .timeout(PATIENCE)
        .diff_lines(old_text.as_ref(), new_text.as_ref())
        .unified_diff()
        .context_radius(CONTEXT)
        .header(old.0, new.0)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::unified;

    #[test]
    fn a_change_stands_between_three_lines_of_context() {
        let old = b"1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let new = b"1\n2\n3\n4\nfive\n6\n7\n8\n9\n";
        let diff = unified(("a@1", old), ("a@2", new));
        assert_eq!(diff, "--- a@1\n+++ a@2\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n");
    }

    #[test]
    fn equal_texts_have_an_empty_diff() {
        assert_eq!(unified(("a@1", b"x\n"), ("a@1", b"x\n")), "");
        assert_eq!(unified(("a@1", b""), ("a@2", b"")), "");
    }

    #[test]
    fn a_missing_line_end_and_odd_bytes_are_shown() {
        let diff = unified(("a@1", b"x\xff\n"), ("a@2", b"x\xff"));
        assert!(diff.contains("-x\u{fffd}\n+x\u{fffd}\n\\ No newline at end of file"), "{diff}");
    }

    #[test]
    fn long_texts_with_nothing_in_common_are_compared_in_time() {
        let lines = |word: &str| {
            let lines: Vec<String> = (0..200_000).map(|line| format!("{word}{line}\n")).collect();
            lines.concat().into_bytes()
        };
        let started = std::time::Instant::now();
        let diff = unified(("a@1", &lines("a")), ("a@2", &lines("b")));
        assert!(diff.lines().count() > 400_000);
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    }
}
