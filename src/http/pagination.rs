//! Lists: a page of items, and the cursor that continues it. A cursor is the key of the last item that was seen, with a
//! checksum: text that no list has given is known as such, where it would be taken for a place in a list of names.

use std::fmt::Write;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::ApiError;

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Most items, 1 to 1,000; 100 if it is not said.
    limit: Option<usize>,
    /// Where the page before ended: its `next_cursor`.
    cursor: Option<String>,
}

impl PageQuery {
    /// For lists that have filters too: a flattened structure reads no numbers from a query.
    pub fn new(limit: Option<usize>, cursor: Option<String>) -> Self {
        Self { limit, cursor }
    }

    pub fn limit(&self) -> Result<usize, ApiError> {
        match self.limit.unwrap_or(DEFAULT_LIMIT) {
            limit @ 1..=MAX_LIMIT => Ok(limit),
            _ => Err(ApiError::invalid_field("/limit", format!("must be 1 to {MAX_LIMIT}"))),
        }
    }

    /// Rows to ask for: one more than the limit, which tells whether the list goes on.
    pub fn rows(&self) -> Result<i64, ApiError> {
        Ok(i64::try_from(self.limit()? + 1).unwrap_or(i64::MAX))
    }

    /// The key of the last item that was seen.
    pub fn after(&self) -> Result<Option<String>, ApiError> {
        self.parse_after()
    }

    /// The key of the last item that was seen, where it is not a text.
    pub fn parse_after<T: FromStr>(&self) -> Result<Option<T>, ApiError> {
        let Some(cursor) = self.cursor.as_deref() else { return Ok(None) };
        let key = key_of(cursor).and_then(|key| key.parse().ok());
        key.map(Some).ok_or_else(|| {
            ApiError::invalid_field("/cursor", "is no cursor of this list: give its `next_cursor`")
        })
    }
}

/// The digits of the key, behind those of its checksum. They need no escapes in a URL.
fn cursor_of(key: &str) -> String {
    let mut cursor = format!("{:08x}", crc32c::crc32c(key.as_bytes()));
    for byte in key.bytes() {
        write!(cursor, "{byte:02x}").expect("a text takes all that is written");
    }
    cursor
}

/// `None` if it is no cursor.
fn key_of(cursor: &str) -> Option<String> {
    let digits = cursor.as_bytes().chunks(2).map(std::str::from_utf8);
    let bytes = digits.map(|pair| u8::from_str_radix(pair.ok()?, 16).ok());
    let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
    let key = String::from_utf8(bytes.get(4..)?.to_vec()).ok()?;
    (cursor_of(&key) == cursor).then_some(key)
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Give it as `cursor` to go on; `null` at the end.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Makes a page of up to one item more than `limit`: the one too many tells that the list goes on.
    pub fn new(mut items: Vec<T>, limit: usize, key: impl Fn(&T) -> String) -> Self {
        let goes_on = items.len() > limit;
        items.truncate(limit);
        let next_cursor = items.last().filter(|_| goes_on).map(|last| cursor_of(&key(last)));
        Self { items, next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::{cursor_of, key_of};

    #[test]
    fn a_cursor_is_what_a_list_gave() {
        for key in ["", "a", "42", "bad & worse/ä.md", "01890a5d-ac96-774b-bcce-b302099a8057"] {
            let cursor = cursor_of(key);
            assert_eq!(key_of(&cursor).as_deref(), Some(key));
            assert_eq!(key_of(&cursor.to_uppercase()).is_some(), cursor == cursor.to_uppercase());
            assert_eq!(key_of(&format!("{cursor}00")), None);
            assert_eq!(key_of(&cursor[1..]), None);
        }
        for other in ["", "a", "zebra", "+1+1+1+1", "ä", "0000000061", "\0"] {
            assert_eq!(key_of(other), None, "{other}");
        }
    }
}
