//! Stored conversations: making one, looking one up, reading its messages, deleting it.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::messages::{MessageBody, read_opening};
use crate::access::Caller;
use crate::conversation::{
    Conversation, ConversationMessage, ConversationRef, Conversations, NewConversation,
};
use crate::http::error::{ApiError, ProblemBody};
use crate::http::extract::{ApiJson, ApiPath, ApiQuery};
use crate::http::pagination::{Page, PageQuery};

/// A conversation to be stored.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateConversation {
    /// The agent that it begins with; else the first run picks one.
    agent: Option<String>,
    /// What has been said elsewhere. Calls at the end may wait for their results.
    messages: Option<Vec<MessageBody>>,
    /// Kept with the conversation and given back.
    #[schema(value_type = Option<Value>)]
    metadata: Option<serde_json::Map<String, Value>>,
}

/// A conversation as this caller may see it.
pub(super) fn seen_by(caller: &Caller, id: Uuid) -> ConversationRef {
    ConversationRef { id, owner: caller.sees_only() }
}

/// Makes a conversation, empty or with what has been said elsewhere.
#[utoipa::path(
    post, path = "/v1/conversations", tag = "conversations",
    request_body = CreateConversation,
    responses(
        (status = 201, description = "The conversation", body = Conversation),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn create_conversation(
    State(conversations): State<Conversations>,
    Extension(caller): Extension<Caller>,
    ApiJson(body): ApiJson<CreateConversation>,
) -> Result<Response, ApiError> {
    let new = NewConversation {
        key_id: caller.key_id(),
        agent: body.agent,
        permitted: caller.permitted_agents(),
        messages: read_opening(body.messages.unwrap_or_default())?,
        metadata: body.metadata.map(Value::Object),
    };
    let made = conversations.create_conversation(new).await?;
    let location = [(header::LOCATION, format!("/v1/conversations/{}", made.id))];
    Ok((StatusCode::CREATED, location, Json(made)).into_response())
}

/// The caller's conversations, newest first, without their messages. An admin sees everybody's.
#[utoipa::path(
    get, path = "/v1/conversations", tag = "conversations",
    params(PageQuery),
    responses(
        (status = 200, description = "The conversations", body = Page<Conversation>),
        (status = "4XX", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn list_conversations(
    State(conversations): State<Conversations>,
    Extension(caller): Extension<Caller>,
    ApiQuery(page): ApiQuery<PageQuery>,
) -> Result<Json<Page<Conversation>>, ApiError> {
    let (limit, before) = (page.limit()?, page.parse_after()?);
    let found = conversations.list_conversations(caller.sees_only(), before, page.rows()?).await?;
    Ok(Json(Page::new(found, limit, |conversation: &Conversation| conversation.id.to_string())))
}

/// A conversation without its messages.
#[utoipa::path(
    get, path = "/v1/conversations/{id}", tag = "conversations",
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, description = "The conversation", body = Conversation),
        (status = 404, description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn get_conversation(
    State(conversations): State<Conversations>,
    Extension(caller): Extension<Caller>,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<Json<Conversation>, ApiError> {
    Ok(Json(conversations.find_conversation(seen_by(&caller, id)).await?))
}

/// The messages of a conversation, the first one first: requests, answers, calls of tools and their results.
#[utoipa::path(
    get, path = "/v1/conversations/{id}/messages", tag = "conversations",
    params(("id" = Uuid, Path), PageQuery),
    responses(
        (status = 200, description = "The messages", body = Page<ConversationMessage>),
        (status = 404, description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn list_conversation_messages(
    State(conversations): State<Conversations>,
    Extension(caller): Extension<Caller>,
    ApiPath(id): ApiPath<Uuid>,
    ApiQuery(page): ApiQuery<PageQuery>,
) -> Result<Json<Page<ConversationMessage>>, ApiError> {
    let (limit, after) = (page.limit()?, page.parse_after()?);
    let conversation = seen_by(&caller, id);
    let found = conversations.list_messages(conversation, after, page.rows()?).await?;
    Ok(Json(Page::new(found, limit, |message: &ConversationMessage| message.position.to_string())))
}

/// Deletes a conversation: its messages, and the texts of its runs and decisions. Their figures stay.
#[utoipa::path(
    delete, path = "/v1/conversations/{id}", tag = "conversations",
    params(("id" = Uuid, Path)),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "A run of it is under way", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn delete_conversation(
    State(conversations): State<Conversations>,
    Extension(caller): Extension<Caller>,
    ApiPath(id): ApiPath<Uuid>,
) -> Result<StatusCode, ApiError> {
    conversations.delete_conversation(seen_by(&caller, id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
