//! Records as they are stored. What others than the ledger understand of them is JSON, a text here.

use std::borrow::Cow;

use chrono::serde::{ts_microseconds, ts_microseconds_option};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

/// The strategy of decisions that the caller made.
pub(super) const BY_NAME: &str = "named";

/// The strategy of decisions that a conversation has made, if it is a stored one.
pub(super) const BY_CONVERSATION: &str = "sticky";

/// A decision. Its texts, as those of other records, may be borrowed: what is on its way to the database is not copied.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DispatchRecord<T = String> {
    pub id: Uuid,
    pub key_id: Uuid,
    pub outcome: Cow<'static, str>,
    pub agent_name: Option<T>,
    pub agent_revision: Option<i32>,
    pub roster_revision: i64,
    pub conversation_id: Option<Uuid>,
    /// The whole decision as it was answered.
    pub decision: T,
    pub input: Option<T>,
    #[serde(with = "ts_microseconds")]
    pub created_at: DateTime<Utc>,
}

/// A decision in short, with what was asked.
#[derive(Debug, Clone)]
pub struct DecidedRequest {
    pub id: Uuid,
    pub input: String,
    pub outcome: String,
    pub agent_name: Option<String>,
    /// Which stage decided.
    pub strategy: String,
    pub confidence: f64,
}

/// Which decided requests are listed.
#[derive(Debug, Clone, Default)]
pub struct DecidedFilter {
    /// Not those that were decided before.
    pub since: Option<DateTime<Utc>>,
    pub agent_name: Option<String>,
}

/// What of a decision's JSON a decided request holds.
#[derive(Deserialize)]
struct Decided {
    strategy: String,
    confidence: f64,
}

impl DispatchRecord {
    /// `None` if the filter leaves it out, it has no input, or something else than the input decided.
    pub(super) fn decided_request(&self, filter: &DecidedFilter) -> Option<DecidedRequest> {
        let is_wanted = filter.since.is_none_or(|since| since <= self.created_at)
            && (filter.agent_name.is_none() || filter.agent_name == self.agent_name);
        let input = self.input.as_ref().filter(|_| is_wanted)?;
        let Decided { strategy, confidence } = serde_json::from_str(&self.decision).ok()?;
        let is_kept = strategy == BY_CONVERSATION && self.conversation_id.is_some();
        (strategy != BY_NAME && !is_kept).then(|| DecidedRequest {
            id: self.id,
            input: input.clone(),
            outcome: self.outcome.to_string(),
            agent_name: self.agent_name.clone(),
            strategy,
            confidence,
        })
    }
}

/// The state of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunRecord<T = String> {
    pub id: Uuid,
    pub key_id: Uuid,
    pub instance_id: Uuid,
    pub dispatch_id: Uuid,
    pub conversation_id: Option<Uuid>,
    pub agent_name: T,
    pub agent_revision: i32,
    pub agent_sha256: T,
    pub status: Cow<'static, str>,
    /// The run as it is answered, without its texts, which are in its events.
    pub record: T,
    #[serde(with = "ts_microseconds")]
    pub created_at: DateTime<Utc>,
    /// Set once, when the run has ended.
    #[serde(with = "ts_microseconds_option")]
    pub ended_at: Option<DateTime<Utc>>,
    /// The caller's own name for the request.
    pub idempotency_key: Option<T>,
    /// Tells the same request from another one under the same key. Written when the run claims its key.
    pub request_sha256: Option<Vec<u8>>,
    /// How many events there were; set when the run ends.
    pub event_count: Option<i32>,
    /// What it has used, model by model; the first is the model that it is told to have used. Set when the run ends, and
    /// not read again.
    pub charges: Option<Json<Vec<Charge>>>,
    /// What all of its requests have cost the key, as far as that is known, in billionths of a dollar. Set when the run ends,
    /// and not read again.
    pub spent_nano_usd: Option<i64>,
}

/// What a run has used of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Charge {
    /// `provider/model`.
    pub model: String,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cached_input_tokens: u64,
    pub cache_write_input_tokens: u64,
    /// `None` if the price of any of it is not known.
    pub cost_usd: Option<f64>,
}

/// Some events of a run, one behind the other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunEvents<T = String> {
    pub run_id: Uuid,
    /// The sequence number of the first one, counted from 1.
    pub first_sequence: i32,
    /// A JSON array.
    pub events: T,
}

/// Which runs are listed.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// The key that made them; `None` means all.
    pub key_id: Option<Uuid>,
    pub agent_name: Option<String>,
    pub status: Option<String>,
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::{Charge, DispatchRecord, RunEvents, RunRecord};
    use crate::ledger::journal::FORMAT;
    use chrono::DateTime;
    use serde::Serialize;
    use sqlx::types::Json;
    use uuid::Uuid;

    fn written(record: &impl Serialize) -> String {
        let bytes = postcard::to_stdvec(record).expect("is written");
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a String takes everything");
            text
        })
    }

    /// If this fails, a record is written in another way than before: that needs another [`FORMAT`], so that no service
    /// reads the journal of another version as what it is not.
    #[test]
    fn records_of_a_format_are_always_written_alike() {
        let (id, time) =
            (Uuid::from_u128(7), DateTime::from_timestamp_nanos(1_800_000_000_000_000));
        let dispatch = DispatchRecord {
            id,
            key_id: id,
            outcome: "picked".into(),
            agent_name: Some("a".to_owned()),
            agent_revision: Some(2),
            roster_revision: 3,
            conversation_id: None,
            decision: "{}".to_owned(),
            input: Some("help".to_owned()),
            created_at: time,
        };
        let charge = Charge {
            model: "a/m".to_owned(),
            input_tokens: 1,
            output_tokens: 2,
            cached_input_tokens: 3,
            cache_write_input_tokens: 4,
            cost_usd: Some(0.5),
        };
        let run = RunRecord {
            id,
            key_id: id,
            instance_id: id,
            dispatch_id: id,
            conversation_id: Some(id),
            agent_name: "a".to_owned(),
            agent_revision: 2,
            agent_sha256: "ff".to_owned(),
            status: "completed".into(),
            record: "{}".to_owned(),
            created_at: time,
            ended_at: Some(time),
            idempotency_key: Some("k".to_owned()),
            request_sha256: Some(vec![1, 2]),
            event_count: Some(5),
            charges: Some(Json(vec![charge])),
            spent_nano_usd: Some(6),
        };
        let events = RunEvents { run_id: id, first_sequence: 1, events: "[]".to_owned() };
        let all = [written(&dispatch), written(&run), written(&events)].join("\n");
        insta::assert_snapshot!(format!("records_of_format_{FORMAT}"), all);
    }
}
