//! The service as its callers meet it: a real server, a database of its own for each test, real sockets. Only
//! the model vendor is simulated, over HTTP.

mod cancelled_transactions;
mod cli;
mod concurrent_changes;
mod connections;
mod dispatch_quality;
mod durability;
mod endurance;
mod faces;
mod feedback_snapshot;
mod folder_watch;
mod founding_scenario;
mod hostile_files;
mod image;
mod inert_definitions;
mod killed_replica;
mod learning;
mod mcp_servers;
mod migrations;
mod private_postgres;
mod replicas;
mod retention;
mod routes;
mod scorecard;
mod secrets;
mod stopping;
mod support;
mod tidy;
mod traces;
