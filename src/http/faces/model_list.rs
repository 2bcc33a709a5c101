//! What a caller may name as a model: `auto`, which picks, and the agents.

use chrono::{DateTime, Utc};

use crate::access::Caller;
use crate::conversation::{AUTO, ConversationError, Conversations};
use crate::registry::{Agent, Registry};

/// A name that a request may have as its model.
#[derive(Debug)]
pub(super) struct ListedModel {
    pub id: String,
    pub display_name: String,
    /// When it became what it is.
    pub since: DateTime<Utc>,
}

/// All of them, `auto` first.
pub(super) fn list(registry: &Registry, caller: &Caller) -> Vec<ListedModel> {
    let roster = registry.roster();
    let agents = roster.live().filter(|agent| caller.may_use(agent.name().as_str()));
    std::iter::once(auto()).chain(agents.map(|agent| listed(agent))).collect()
}

/// The one of that name. An alias or a model's id is not listed, and found like one that is: a request may have it.
pub(super) fn find(
    registry: &Registry,
    conversations: &Conversations,
    caller: &Caller,
    id: &str,
) -> Result<ListedModel, ConversationError> {
    let addressee = conversations.find_addressee(id)?;
    match (addressee.agent, addressee.model) {
        (Some(name), _) => {
            let roster = registry.roster();
            let agent = roster.find(&name).filter(|it| it.is_live() && caller.may_use(&name));
            agent.map(|agent| listed(agent)).ok_or(ConversationError::ModelNotFound(name))
        }
        (None, Some(id)) => {
            Ok(ListedModel { display_name: id.clone(), id, since: DateTime::UNIX_EPOCH })
        }
        (None, None) => Ok(auto()),
    }
}

fn auto() -> ListedModel {
    ListedModel {
        id: AUTO.to_owned(),
        display_name: "The agent that fits".to_owned(),
        since: DateTime::UNIX_EPOCH,
    }
}

fn listed(agent: &Agent) -> ListedModel {
    ListedModel {
        id: agent.name().to_string(),
        display_name: agent.definition.display_name.clone(),
        since: agent.updated_at,
    }
}
