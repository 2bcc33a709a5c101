//! Signatures that Gemini has its calls of tools sent back with, over whichever protocol it is asked. Pure.

use super::Target;

/// Google's own stand-in for a signature, for calls that another model made. Since its third generation the API
/// refuses a step whose first call has none: <https://ai.google.dev/gemini-api/docs/thought-signatures>
pub(super) const STAND_IN: &str = "skip_thought_signature_validator";

/// The first call of a step must have a signature.
pub(super) fn are_checked(target: &Target) -> bool {
    is_third_generation(target)
}

/// Every generation but the first two is like the third. Names such as `gemini-flash-latest` stand for one of the
/// newest. Others than Google's native API put a maker before the name.
pub(super) fn is_third_generation(target: &Target) -> bool {
    let name = target.model.rsplit('/').next().unwrap_or_default();
    let is_older = ["gemini-1.", "gemini-2."].iter().any(|older| name.starts_with(older));
    name.starts_with("gemini-") && !is_older
}
