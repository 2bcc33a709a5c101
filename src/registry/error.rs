//! Why a change of the registry was refused, or could not be made.

use std::path::PathBuf;

use crate::definition::{AgentName, Diagnostic};

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("the file is over {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
    #[error("the file is not a usable agent definition")]
    InvalidDefinition(Vec<Diagnostic>),
    #[error("the path names the agent `{path}`, the file `{file}`")]
    NameMismatch { path: AgentName, file: AgentName },
    #[error("there is no such agent")]
    NotFound,
    #[error("the agent has no revision {0}")]
    RevisionNotFound(i32),
    #[error("the agent is archived: activate one of its revisions, or put it again, before this")]
    Archived,
    #[error("the live revision is another one")]
    RevisionMismatch { live: Option<i32> },
    #[error("the agents folder {} cannot be read, so nothing is pruned: {source}", .folder.display())]
    AgentsFolder { folder: PathBuf, source: std::io::Error },
    #[error("other changes of the registry take too long")]
    Busy,
    #[error("failed to read or write the registry")]
    Database(#[from] sqlx::Error),
    #[error("revision {revision} of agent `{name}` as it is stored cannot be read by this version")]
    StoredDefinition { name: String, revision: i32 },
}
