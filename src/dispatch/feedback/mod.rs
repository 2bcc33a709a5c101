//! What callers said of decisions, as it is stored, and a snapshot of the newest of it in memory.
//!
//! Whether something may be said of a decision is decided in `correct`.

mod store;
mod trail;

use std::sync::Arc;

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::corrections::Corrections;
use super::error::DispatchError;
use crate::audit::Author;
use crate::db::{ANSWER_PATIENCE, READ_PATIENCE, in_time};

/// A cheap handle to the feedback.
#[derive(Debug, Clone)]
pub struct Feedback {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    corrections: ArcSwap<Corrections>,
    /// Held while the snapshot is read anew, so that an older one never replaces a newer one.
    refreshing: tokio::sync::Mutex<()>,
}

/// What is to be stored of a decision.
#[derive(Debug)]
pub(super) struct NewFeedback<'a> {
    pub dispatch_id: Uuid,
    pub key_id: Uuid,
    pub agent: Option<&'a str>,
    pub input: &'a str,
    pub confidence: f64,
    pub first_agent: Option<&'a str>,
}

/// What is stored of a decision.
#[derive(Debug)]
pub struct FeedbackEntry {
    pub dispatch_id: Uuid,
    /// The feedback's revision with which it was said.
    pub revision: i64,
    pub agent: Option<String>,
    pub input: String,
    pub confidence: f64,
    pub first_agent: Option<String>,
    pub created_at: DateTime<Utc>,
}

impl FeedbackEntry {
    pub fn was_right(&self) -> bool {
        was_right(self.agent.as_deref(), self.first_agent.as_deref())
    }
}

/// Whether the first candidate was the right one. If it belongs to nobody, no candidate was.
pub(super) fn was_right(agent: Option<&str>, first_agent: Option<&str>) -> bool {
    agent.is_some() && agent == first_agent
}

/// What was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgotten {
    pub count: u64,
    /// The feedback's revision without it.
    pub revision: i64,
}

impl Feedback {
    /// Connects to the feedback and reads its snapshot.
    pub async fn open(pool: PgPool) -> Result<Self, DispatchError> {
        let inner = Inner {
            pool,
            corrections: ArcSwap::default(),
            refreshing: tokio::sync::Mutex::default(),
        };
        let feedback = Self { inner: Arc::new(inner) };
        feedback.refresh().await?;
        Ok(feedback)
    }

    /// The newest corrections as of now.
    pub fn corrections(&self) -> Arc<Corrections> {
        self.inner.corrections.load_full()
    }

    /// Reads what was said or forgotten since, through whichever instance.
    pub async fn refresh(&self) -> Result<(), DispatchError> {
        let _refreshing = self.inner.refreshing.lock().await;
        let (pool, known) = (&self.inner.pool, self.corrections());
        let counted = in_time(ANSWER_PATIENCE, store::find_revisions(pool)).await?;
        if counted.feedback_revision == known.revision {
            return Ok(());
        }
        // What was forgotten since would stay; and a revision that falls is that of a database that was restored from
        // a backup.
        let is_of_use =
            (counted.feedback_forgotten..=counted.feedback_revision).contains(&known.revision);
        let behind = if is_of_use { known.revision } else { 0 };
        // What comes between the two queries is read now and once more with its own revision, which changes nothing.
        let newer = in_time(READ_PATIENCE, store::list_newest(pool, behind)).await?;
        let corrections = if is_of_use {
            known.followed_by(counted.feedback_revision, newer)
        } else {
            Corrections::new(counted.feedback_revision, newer)
        };
        self.inner.corrections.store(Arc::new(corrections));
        Ok(())
    }

    /// Stores what was said of a decision, in place of what was said of it before. Returns the feedback's revision.
    pub(super) async fn record(&self, new: &NewFeedback<'_>) -> Result<i64, DispatchError> {
        let revision = store::upsert(&self.inner.pool, new).await?;
        self.refresh().await?;
        Ok(revision)
    }

    /// What was said, newest first, before the revision `before`; of one agent if it is given.
    pub async fn list(
        &self,
        agent: Option<&str>,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<FeedbackEntry>, DispatchError> {
        Ok(store::list_page(&self.inner.pool, agent, before.unwrap_or(i64::MAX), limit).await?)
    }

    /// How much was said; of one agent if it is given.
    pub async fn count(&self, agent: Option<&str>) -> Result<i64, DispatchError> {
        Ok(store::count(&self.inner.pool, agent).await?)
    }

    /// Removes what was said; of one agent if it is given.
    pub(super) async fn reset(
        &self,
        agent: Option<&str>,
        author: &Author,
    ) -> Result<Forgotten, DispatchError> {
        let forgotten = store::delete(&self.inner.pool, agent, author).await?;
        self.refresh().await?;
        Ok(forgotten)
    }
}
