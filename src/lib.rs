//! Rolecall keeps a roster of AI agents and answers every request with the right one.
//!
//! The map, outermost component first; each imports only from those below it:
//!
//! - [`app`] puts the service together, [`config`] gathers its settings
//! - [`http`] knows everything that is HTTP towards callers
//! - [`conversation`] makes runs: one request answered by one agent
//! - [`dispatch`] picks the agent, [`prompt`] builds what its model is given
//! - [`registry`] keeps agents and revisions, [`provider`] speaks to models, [`tools`] to tool servers
//! - [`limits`] counts what each caller's key may use and has used, [`access`] knows the callers
//! - [`ledger`] keeps the records of decisions and runs, [`audit`] who changed what
//! - [`definition`] reads agent files, [`chat`] is the neutral vocabulary, [`db`] is the way to PostgreSQL, [`telemetry`]
//!   what the service tells of itself

pub mod access;
pub mod app;
pub mod audit;
pub mod chat;
pub mod config;
pub mod conversation;
pub mod db;
pub mod definition;
pub mod dispatch;
pub mod http;
pub mod ledger;
pub mod limits;
pub mod prompt;
pub mod provider;
pub mod registry;
pub mod telemetry;
pub mod tools;
