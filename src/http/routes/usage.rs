//! What runs have used and what that cost, in sums.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::chat::Usage;
use crate::http::error::{ApiError, ProblemBody};
use crate::http::extract::ApiQuery;
use crate::http::pagination::{Page, PageQuery};
use crate::ledger::{Ledger, UsageFilter, UsageGroups, UsageSum};

/// How long runs that have just ended are waited for.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

/// Which sums.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UsageQuery {
    /// What has a sum of its own, with commas between: `day`, `agent`, `revision` (of an agent), `key`, `model`. One
    /// sum of all if it is not said.
    group_by: Option<String>,
    /// The first day, such as `2026-11-01`, by UTC. A time stands for its day.
    from: Option<String>,
    /// The last day.
    to: Option<String>,
    /// Most items, 1 to 1,000; 100 if it is not said.
    limit: Option<usize>,
    /// Where the page before ended: its `next_cursor`.
    cursor: Option<String>,
}

/// A sum. What it is of is there as far as `group_by` asks for it.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageItem {
    /// The day, by UTC, on which the runs ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    day: Option<NaiveDate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    revision: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    key_id: Option<Uuid>,
    /// `provider/model`, as the provider names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    model: Option<String>,
    runs: RunCounts,
    usage: Usage,
    /// Null if the price of any of it was not known.
    cost_usd: Option<f64>,
    #[serde(skip)]
    place: String,
}

/// How many runs ended, and how.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunCounts {
    total: i64,
    completed: i64,
    failed: i64,
    cancelled: i64,
    truncated: i64,
}

impl From<UsageSum> for UsageItem {
    fn from(sum: UsageSum) -> Self {
        let tokens = |count: i64| u64::try_from(count).unwrap_or(0);
        Self {
            day: sum.day,
            agent: sum.agent_name,
            revision: sum.agent_revision,
            key_id: sum.key_id,
            model: sum.model,
            runs: RunCounts {
                total: sum.runs,
                completed: sum.completed,
                failed: sum.failed,
                cancelled: sum.cancelled,
                truncated: sum.truncated,
            },
            usage: Usage {
                input_tokens: tokens(sum.input_tokens),
                output_tokens: tokens(sum.output_tokens),
                cached_input_tokens: tokens(sum.cached_input_tokens),
                cache_write_input_tokens: tokens(sum.cache_write_input_tokens),
                // Sums do not tell them apart; their cost is in `cost_usd`.
                hour_cache_write_input_tokens: 0,
            },
            cost_usd: sum.cost_usd,
            place: sum.place,
        }
    }
}

/// Sums of what ended runs have used, and what that cost when they ended.
#[utoipa::path(
    get, path = "/admin/v1/usage", tag = "admin",
    params(UsageQuery),
    responses(
        (status = 200, description = "A page of sums", body = Page<UsageItem>),
        (status = 400, description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn list_usage(
    State(ledger): State<Ledger>,
    ApiQuery(query): ApiQuery<UsageQuery>,
) -> Result<Json<Page<UsageItem>>, ApiError> {
    let filter = UsageFilter {
        from: read_day(query.from.as_deref(), "/from")?,
        to: read_day(query.to.as_deref(), "/to")?,
        groups: read_groups(query.group_by.as_deref().unwrap_or_default())?,
    };
    let page = PageQuery::new(query.limit, query.cursor);
    let (limit, after) = (page.limit()?, page.after()?);
    // Sums are of what is written. If the database does not take it now, it will not answer either.
    ledger.flush(FLUSH_PATIENCE).await;
    let sums = ledger.list_usage(&filter, after.as_deref(), page.rows()?).await?;
    let items = sums.into_iter().map(UsageItem::from).collect();
    Ok(Json(Page::new(items, limit, |item: &UsageItem| item.place.clone())))
}

fn read_day(text: Option<&str>, pointer: &str) -> Result<Option<NaiveDate>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let of_time = |time: DateTime<chrono::FixedOffset>| time.with_timezone(&Utc).date_naive();
    let day = text.parse().or_else(|_| DateTime::parse_from_rfc3339(text).map(of_time)).ok();
    // Years of four digits: there are days that PostgreSQL does not know.
    let day = day.filter(|day: &NaiveDate| (0..=9_999).contains(&day.year()));
    day.map(Some).ok_or_else(|| {
        ApiError::invalid_field(
            pointer,
            "must be a day such as `2026-11-01`, or a time of RFC 3339",
        )
    })
}

fn read_groups(text: &str) -> Result<UsageGroups, ApiError> {
    let mut groups = UsageGroups::default();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match name {
            "day" => groups.day = true,
            "agent" => groups.agent = true,
            // A revision is one of an agent.
            "revision" => (groups.agent, groups.revision) = (true, true),
            "key" => groups.key = true,
            "model" => groups.model = true,
            other => {
                let detail =
                    format!("`{other}` is none of `day`, `agent`, `revision`, `key`, `model`");
                return Err(ApiError::invalid_field("/group_by", detail));
            }
        }
    }
    Ok(groups)
}
