//! How a run comes to its conversation: to one that there is, to that of an earlier run, or to one of its own.

use uuid::Uuid;

use super::store::{self, RunPlace};
use super::{Claim, ConversationRef};
use crate::conversation::{ConversationError, Conversations};

/// The conversation of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum InConversation {
    /// Nothing is stored.
    #[default]
    None,
    Existing(ConversationRef),
    /// That of an earlier run, which this one follows. If others have followed it already, what was said up to it is
    /// copied, and the run goes on in a conversation of its own.
    Behind {
        run: RunRef,
        is_kept: bool,
    },
    /// One that the run begins.
    New,
}

/// A run as a caller names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunRef {
    pub id: Uuid,
    /// The only key whose runs the caller may see; `None` means all.
    pub owner: Option<Uuid>,
}

/// What goes before a run.
#[derive(Debug, Clone, Copy)]
pub(in crate::conversation) struct Before {
    /// The conversation that the run belongs to.
    pub conversation_id: Uuid,
    /// What is read; nothing of a conversation that the run begins.
    pub source: Option<Source>,
}

/// A conversation, or the first part of one.
#[derive(Debug, Clone, Copy)]
pub(in crate::conversation) struct Source {
    pub conversation: ConversationRef,
    /// The position of the last message that counts; `None` means all.
    pub up_to: Option<i32>,
}

/// A run's hold on its conversation: what goes before it, and how it is kept.
#[derive(Debug, Default)]
pub(in crate::conversation) struct Joined {
    pub before: Option<Before>,
    pub keeping: Option<Keeping>,
}

/// Where what a run says is kept.
#[derive(Debug)]
pub(in crate::conversation) enum Keeping {
    /// Behind the others of a conversation that the run has.
    Claimed(Claim),
    /// In a conversation that nobody knows of yet.
    Begun(Beginning),
}

/// A conversation that begins with a run.
#[derive(Debug, Clone, Copy)]
pub(in crate::conversation) struct Beginning {
    /// The key that makes it.
    pub key_id: Uuid,
    /// What goes before the run, to be copied: a conversation and the position of the last message.
    pub copied: Option<(Uuid, i32)>,
}

impl Conversations {
    /// Gives a run its conversation, waiting for it if another run has it.
    pub(in crate::conversation) async fn join(
        &self,
        wanted: InConversation,
        run_id: Uuid,
        key_id: Uuid,
    ) -> Result<Joined, ConversationError> {
        match wanted {
            InConversation::Existing(conversation) => {
                self.join_existing(conversation, run_id).await
            }
            InConversation::Behind { run, is_kept: true } => {
                self.join_behind(run, run_id, key_id).await
            }
            InConversation::New => {
                self.check_content_is_kept()?;
                Ok(Joined::begin(key_id, None))
            }
            InConversation::None | InConversation::Behind { is_kept: false, .. } => {
                Ok(Joined { before: self.find_before(wanted).await?, keeping: None })
            }
        }
    }

    /// What goes before a run that keeps nothing.
    pub(in crate::conversation) async fn find_before(
        &self,
        wanted: InConversation,
    ) -> Result<Option<Before>, ConversationError> {
        match wanted {
            InConversation::None | InConversation::New => Ok(None),
            InConversation::Existing(conversation) => Ok(Some(Before::all_of(conversation))),
            InConversation::Behind { run, .. } => {
                let place = self.find_place(run, Uuid::nil()).await?;
                let source = Some(place.source());
                Ok(Some(Before { conversation_id: place.conversation_id, source }))
            }
        }
    }

    async fn join_existing(
        &self,
        conversation: ConversationRef,
        run_id: Uuid,
    ) -> Result<Joined, ConversationError> {
        let claim = self.claim(conversation, run_id).await?;
        let before = Some(Before::all_of(conversation));
        Ok(Joined { before, keeping: Some(Keeping::Claimed(claim)) })
    }

    async fn join_behind(
        &self,
        run: RunRef,
        run_id: Uuid,
        key_id: Uuid,
    ) -> Result<Joined, ConversationError> {
        let place = self.find_place(run, run_id).await?;
        if place.is_last {
            let conversation = ConversationRef { id: place.conversation_id, owner: run.owner };
            match self.join_existing(conversation, run_id).await {
                // While it was waited for, another run may have followed.
                Ok(joined) if self.find_place(run, run_id).await?.is_last => return Ok(joined),
                Ok(_) | Err(ConversationError::ConversationBusy(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Joined::begin(key_id, Some(&place)))
    }

    async fn find_place(&self, run: RunRef, asking: Uuid) -> Result<RunPlace, ConversationError> {
        self.check_content_is_kept()?;
        let place = store::find_place(&self.inner.claims.pool, &run, asking).await?;
        place.ok_or(ConversationError::PreviousNotFound(run.id))
    }
}

impl Before {
    pub(super) fn all_of(conversation: ConversationRef) -> Self {
        let source = Source { conversation, up_to: None };
        Self { conversation_id: conversation.id, source: Some(source) }
    }
}

impl Joined {
    /// A new conversation, with what was said up to a place in another.
    fn begin(key_id: Uuid, behind: Option<&RunPlace>) -> Self {
        let copied = behind.map(|place| (place.conversation_id, place.position));
        let source = behind.map(RunPlace::source);
        Self {
            before: Some(Before { conversation_id: Uuid::now_v7(), source }),
            keeping: Some(Keeping::Begun(Beginning { key_id, copied })),
        }
    }

    /// Whether another run may have been waited for.
    pub fn may_have_waited(&self) -> bool {
        matches!(self.keeping, Some(Keeping::Claimed(_)))
    }
}

impl RunPlace {
    fn source(&self) -> Source {
        let conversation = ConversationRef { id: self.conversation_id, owner: None };
        Source { conversation, up_to: Some(self.position) }
    }
}
