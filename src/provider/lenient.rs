//! Readers of fields that compatible servers leave out, null, or write in another shape than the protocol's.

use serde::{Deserialize, Deserializer};

/// For `deserialize_with`, beside `default`: null is what a missing field is.
pub(super) fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}
