//! Rolecall keeps a roster of AI agents and answers every request with the right one.
pub mod access;
pub mod chat;
pub mod db;
pub mod definition;
pub mod dispatch;
pub mod ledger;
pub mod provider;
pub mod registry;
