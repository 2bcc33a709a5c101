//! Errors as they are logged.

use std::error::Error;

/// An error and what has caused it, outermost first. What a text has said already is not said again: some libraries put the
/// cause into their own words, too.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::causes;

    #[derive(Debug, thiserror::Error)]
    #[error("failed to write")]
    struct Quiet(#[source] std::io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("failed to write: {0}")]
    struct Loud(#[source] std::io::Error);

    #[test]
    fn a_cause_is_told_once() {
        let full = || std::io::Error::other("the disk is full");
        for error in [causes(&Quiet(full())), causes(&Loud(full()))] {
            assert_eq!(error, "failed to write: the disk is full");
        }
    }
}
