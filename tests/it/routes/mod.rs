//! One module a resource, as in `src/http/routes`.

mod admin_agents;
mod admin_sync;
mod agents;
mod bad_input;
mod dispatches;
mod keys;
mod operations;
mod prompts;
mod runs;
mod runs_under_faults;
