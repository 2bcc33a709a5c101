//! What can go wrong with stored tool servers.

#[derive(Debug, thiserror::Error)]
pub enum ToolServerError {
    #[error("{0}")]
    InvalidName(&'static str),
    #[error(
        "the URL must be `http://…` or `https://…`, without a user or password, of 2,000 characters at most"
    )]
    InvalidUrl,
    #[error("the tool server `{0}` stands in the configuration file, and is changed there")]
    Configured(String),
    #[error("there can be {0} tool servers at most")]
    TooMany(usize),
    #[error("failed to read or write tool servers")]
    Database(#[from] sqlx::Error),
}
