//! What tests speak through: the service, a caller, a fake provider, agent files.

mod app;
mod caller;
mod deployment;
mod fake_tool_server;
mod files;
mod gate;
mod process;
mod tool_servers;
mod vendor;

pub use app::{ADMIN_KEY, TestApp, TestAppBuilder};
pub use caller::{Answer, Caller, Events};
pub use deployment::Deployment;
pub use fake_tool_server::{FakeTool, FakeToolServer};
pub use files::{AgentFolder, agent_file, agent_in_format, shipped_agents};
pub use gate::Gate;
pub use process::{Service, rolecall};
pub use tool_servers::{
    HttpToolServer, TestServers, fault_server, http_server, mcp_path, stdio_server, tool_settings,
};
pub use vendor::{
    AskedTool, FakeProvider, INPUT_TOKENS, OUTPUT_TOKENS, Pace, Received, Refusal, Reply, Wire,
    anthropic, gemini, openai, responses,
};
