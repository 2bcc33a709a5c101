//! A change of one agent: who asks for it, under which condition, and when it is made.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use tokio::sync::MutexGuard;

use super::agent::{Agent, AgentState};
use super::error::RegistryError;
use super::store::{self, Head};
use super::{Inner, Registry, snapshot};
use crate::audit::{self, Author, NewEntry};
use crate::definition::AgentName;

/// Longest wait for other changes of this process to end.
const TURN_PATIENCE: Duration = Duration::from_secs(30);

/// Who changes an agent, and under which condition.
#[derive(Debug, Clone)]
pub struct Change {
    pub author: Author,
    pub precondition: Precondition,
}

/// What must be true of the agent before a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    None,
    /// The live revision is this one.
    LiveRevision(i32),
    /// There is such an agent.
    Present,
    /// There is no such agent.
    Absent,
}

impl Precondition {
    pub(super) fn check(self, head: Option<&Head>) -> Result<(), RegistryError> {
        let live = head.filter(|head| head.state != AgentState::Archived).map(|head| head.revision);
        let holds = match self {
            Self::None => true,
            Self::LiveRevision(wanted) => live == Some(wanted),
            Self::Present => live.is_some(),
            Self::Absent => live.is_none(),
        };
        if holds { Ok(()) } else { Err(RegistryError::RevisionMismatch { live }) }
    }
}

/// What a change of a known agent did.
#[derive(Debug)]
pub struct ChangeOutcome {
    /// The agent as the change left it, whatever others have made of it since.
    pub agent: Arc<Agent>,
    pub is_changed: bool,
}

/// The right of this process to change the registry, which one task has at a time.
pub(super) type Turn<'a> = MutexGuard<'a, ()>;

impl Inner {
    /// Waits for other changes of this process. Who waits here holds no connection: waiting for the lock in the
    /// database instead, a crowd of changes would hold them all.
    pub(super) async fn take_turn(&self) -> Result<Turn<'_>, RegistryError> {
        let turn = tokio::time::timeout(TURN_PATIENCE, self.changing.lock()).await;
        turn.map_err(|_| RegistryError::Busy)
    }
}

/// A change that has begun: nobody else changes the registry until it ends. Dropped, it has changed nothing.
pub(super) struct OpenChange<'a> {
    registry: &'a Registry,
    // Before the turn, so that it is dropped first.
    transaction: store::Transaction,
    _turn: Turn<'a>,
}

impl<'a> OpenChange<'a> {
    pub async fn begin(registry: &'a Registry) -> Result<Self, RegistryError> {
        let turn = registry.inner.take_turn().await?;
        let transaction = store::begin_change(&registry.inner.pool).await?;
        Ok(Self { registry, transaction, _turn: turn })
    }

    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// The agent as the change has left it so far.
    pub async fn find_agent(&mut self, name: &AgentName) -> Result<Agent, RegistryError> {
        let settings = &self.registry.inner.settings;
        snapshot::find_agent(&mut self.transaction, name.as_str(), settings).await
    }

    /// Tells the audit of it.
    pub async fn record(&mut self, author: &Author, entry: NewEntry) -> Result<(), RegistryError> {
        Ok(audit::record(&mut self.transaction, author, &[entry]).await?)
    }

    /// Counts the change, commits it, and sees to it that this instance serves it.
    pub async fn commit(self) -> Result<(), RegistryError> {
        let Self { registry, transaction, _turn: turn } = self;
        let revision = store::commit_change(transaction).await?;
        drop(turn);
        registry.refresh_to(revision).await
    }

    /// Ends it without a change, and sees to it that this instance serves what was found.
    pub async fn abandon(self) -> Result<(), RegistryError> {
        let Self { registry, mut transaction, _turn: turn } = self;
        let revision = store::find_roster_revision(&mut transaction).await?;
        transaction.rollback().await?;
        drop(turn);
        registry.refresh_to(revision).await
    }
}
