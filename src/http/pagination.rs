//! Lists: a page of items, and the cursor that continues it.

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
    pub fn after(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// The key of the last item that was seen, where it is not a text.
    pub fn parse_after<T: FromStr>(&self) -> Result<Option<T>, ApiError> {
        let parsed = self.after().map(str::parse).transpose();
        parsed.map_err(|_| ApiError::invalid_field("/cursor", "is no cursor of this list"))
    }
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
        let next_cursor = items.last().filter(|_| goes_on).map(key);
        Self { items, next_cursor }
    }
}
