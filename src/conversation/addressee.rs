//! Who is to answer a request that names a model, where protocols have no other place to name an agent.

use super::{ConversationError, Conversations};
use crate::provider::ResolutionRule;

/// The name that asks for a pick where protocols have a model's.
pub const AUTO: &str = "auto";

/// Who is to answer: what is `None` is left to the service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addressee {
    pub agent: Option<String>,
    pub model: Option<String>,
}

impl Conversations {
    /// Who is meant by the `model` of a request in a provider's protocol: nobody in particular, an agent, or whoever fits
    /// on a model of that name.
    pub fn find_addressee(&self, name: &str) -> Result<Addressee, ConversationError> {
        if name == AUTO {
            return Ok(Addressee::default());
        }
        if self.inner.dispatcher.knows_agent(name) {
            return Ok(Addressee { agent: Some(name.to_owned()), model: None });
        }
        // Natively no model at all means the default one; these protocols must have it.
        if name.is_empty() {
            return Err(ConversationError::ModelNotFound(name.to_owned()));
        }
        self.check_model(name)?;
        Ok(Addressee { agent: None, model: Some(name.to_owned()) })
    }

    /// Refuses a model that nothing is known of.
    pub(super) fn check_model(&self, name: &str) -> Result<(), ConversationError> {
        let catalog = self.inner.providers.catalog();
        if catalog.knows(name) || catalog.resolve(Some(name)).rule != ResolutionRule::Fallback {
            return Ok(());
        }
        Err(ConversationError::ModelNotFound(name.to_owned()))
    }
}
