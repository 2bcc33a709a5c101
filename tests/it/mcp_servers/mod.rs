//! Tool servers: real packages and one that fails on demand, as child processes and over HTTP.

mod admin;
mod conformance;
pub mod context7;
mod faults;
mod http;
mod processes;
mod reference;
