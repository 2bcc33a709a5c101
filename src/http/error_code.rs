//! Every stable error code: its word, its status, its title.

use http::StatusCode;

macro_rules! error_codes {
    ($($variant:ident, $code:literal, $status:ident, $title:literal;)*) => {
        /// What went wrong, in a word that does not change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ErrorCode {
            $(#[doc = $title] $variant,)*
        }

        impl ErrorCode {
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

error_codes! {
    InvalidRequest, "invalid_request", BAD_REQUEST, "Invalid request";
    ContextLengthExceeded, "context_length_exceeded", BAD_REQUEST, "Context length exceeded";
    ContentFiltered, "content_filtered", BAD_REQUEST, "Content filtered";
    Unauthenticated, "unauthenticated", UNAUTHORIZED, "Not authenticated";
    Forbidden, "forbidden", FORBIDDEN, "Forbidden";
    NotFound, "not_found", NOT_FOUND, "Not found";
    AgentNotFound, "agent_not_found", NOT_FOUND, "Agent not found";
    ConversationNotFound, "conversation_not_found", NOT_FOUND, "Conversation not found";
    DispatchNotFound, "dispatch_not_found", NOT_FOUND, "Dispatch not found";
    KeyNotFound, "key_not_found", NOT_FOUND, "Key not found";
    McpServerNotFound, "mcp_server_not_found", NOT_FOUND, "Tool server not found";
    ModelNotFound, "model_not_found", NOT_FOUND, "Model not found";
    RevisionNotFound, "revision_not_found", NOT_FOUND, "Revision not found";
    RunNotFound, "run_not_found", NOT_FOUND, "Run not found";
    PreviousResponseNotFound, "previous_response_not_found", BAD_REQUEST, "Previous response not found";
    MethodNotAllowed, "method_not_allowed", METHOD_NOT_ALLOWED, "Method not allowed";
    RequestTimeout, "request_timeout", REQUEST_TIMEOUT, "Request timeout";
    Conflict, "conflict", CONFLICT, "Conflict";
    AgentDisabled, "agent_disabled", CONFLICT, "Agent disabled";
    ContentNotKept, "content_not_kept", CONFLICT, "Content not kept";
    RunCancelled, "run_cancelled", CONFLICT, "Run cancelled";
    RevisionMismatch, "revision_mismatch", PRECONDITION_FAILED, "Revision mismatch";
    PayloadTooLarge, "payload_too_large", PAYLOAD_TOO_LARGE, "Payload too large";
    UnsupportedMediaType, "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "Unsupported media type";
    InvalidDefinition, "invalid_definition", UNPROCESSABLE_ENTITY, "Invalid agent definition";
    NameMismatch, "name_mismatch", UNPROCESSABLE_ENTITY, "Names do not match";
    IdempotencyKeyReused, "idempotency_key_reused", UNPROCESSABLE_ENTITY, "Idempotency key reused";
    NoMatchingAgent, "no_matching_agent", UNPROCESSABLE_ENTITY, "No matching agent";
    RateLimited, "rate_limited", TOO_MANY_REQUESTS, "Rate limited";
    BudgetExceeded, "budget_exceeded", TOO_MANY_REQUESTS, "Budget exceeded";
    Internal, "internal", INTERNAL_SERVER_ERROR, "Internal error";
    ProviderFailed, "provider_failed", BAD_GATEWAY, "Provider failed";
    ProviderOverloaded, "provider_overloaded", SERVICE_UNAVAILABLE, "Provider overloaded";
    ProviderTimeout, "provider_timeout", GATEWAY_TIMEOUT, "Provider timeout";
    Unavailable, "unavailable", SERVICE_UNAVAILABLE, "Unavailable";
}

impl ErrorCode {
    /// Whether clients try again by themselves when they are answered this.
    pub fn is_worth_another_try(self) -> bool {
        matches!(self.status().as_u16(), 408 | 409 | 429 | 500..)
    }
}
