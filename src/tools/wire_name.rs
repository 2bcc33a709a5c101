//! What models call a tool: a name that every provider takes.

use sha2::{Digest, Sha256};

/// Names of tools may be so long at `OpenAI` and Gemini, and twice as long elsewhere.
const MAX_LENGTH: usize = 64;

/// `mcp__<server>__<tool>`, of letters, digits, `_` and `-`. A name that has to be changed or shortened for that ends in
/// a part of its hash, so that it is unique and does not depend on which other tools there are.
pub(super) fn wire_name(server: &str, tool: &str) -> String {
    let full = format!("mcp__{server}__{tool}");
    let is_allowed =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
    if full.len() <= MAX_LENGTH && full.chars().all(is_allowed) {
        return full;
    }
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(&full));
    let hash = format!("{:08x}", u32::from_be_bytes([a, b, c, d]));
    let allowed = full.chars().map(|character| if is_allowed(character) { character } else { '_' });
    let shortened: String = allowed.take(MAX_LENGTH - hash.len() - 1).collect();
    format!("{shortened}_{hash}")
}

#[cfg(test)]
mod tests {
    use super::wire_name;

    #[test]
    fn a_name_that_every_provider_takes_is_kept() {
        assert_eq!(wire_name("context7", "query-docs"), "mcp__context7__query-docs");
    }

    #[test]
    fn other_names_are_changed_and_stay_apart() {
        let long = |end: &str| wire_name("server", &format!("{}{end}", "x".repeat(80)));
        assert_eq!(long("a").len(), 64);
        assert_ne!(long("a"), long("b"));
        let dotted = wire_name("my.server", "get/it");
        assert!(dotted.starts_with("mcp__my_server__get_it_"), "{dotted}");
        assert_ne!(dotted, wire_name("my_server", "get.it"));
    }
}
