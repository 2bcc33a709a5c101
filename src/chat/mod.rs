//! The neutral vocabulary of a conversation: what every provider and every face is translated to and from.
//!
//! Pure data. Wire formats live in `provider` and in `http`.

mod event;
mod foreign;
mod inbound;
mod message;
mod money;
mod parameters;
mod thought;
mod tool;
mod usage;
mod written;
mod written_json;

pub use event::{ChatEvent, FinishReason};
pub use foreign::{ForeignEvent, ForeignItem, has_no_more_than};
pub use inbound::{Inbound, Protocol};
pub use message::{
    ChatRequest, Image, Message, Part, Role, has_answer, join_instructions, opening_request,
    requests,
};
pub use money::Money;
pub use parameters::{AnswerFormat, Parameter, Parameters, ToolChoice};
pub use thought::SealedThought;
pub use tool::{BrokenCall, FurtherFields, FurtherWords, Tool, ToolCall};
pub use usage::Usage;
pub use written::{WrittenFields, written_fields, written_items};
pub use written_json::WrittenJson;
