//! One module a resource, as in `src/http/routes`.

mod admin_agents;
mod admin_sync;
mod agent_formats;
mod agent_states;
mod agents;
mod audit;
mod bad_input;
mod conversation_runs;
mod conversations;
mod dispatches;
mod evals;
mod export;
mod feedback;
mod idempotency;
mod judge;
mod keys;
mod operations;
mod prompts;
mod revisions;
mod run_attempts;
mod run_records;
mod runs;
mod runs_under_faults;
mod tool_loop;
mod usage;
