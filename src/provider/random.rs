//! Chance, for shared load and for waits that should not fall together. Not for secrets.

/// A number from zero up to `limit`, which must not be zero.
pub(super) fn random_below(limit: u64) -> u64 {
    // The bias of the remainder is far below what sharing load could notice.
    random() % limit
}

/// A number from 0 up to 1.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
pub(super) fn random_unit() -> f64 {
    (random() >> 11) as f64 / (1_u64 << 53) as f64
}

fn random() -> u64 {
    getrandom::u64().expect("the operating system gives random bytes")
}
