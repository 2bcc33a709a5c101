//! From a run to its answer in a protocol's words, whole or streamed.

use std::collections::VecDeque;

use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::header;
use serde::Serialize;
use uuid::Uuid;

use crate::access::Caller;
use crate::conversation::{
    Addressee, ConversationError, Conversations, InConversation, NewRun, Run, RunEvent,
    RunFollower, RunHandle, RunStatus, StartedRun,
};
use crate::dispatch::Candidates;
use crate::http::error::ApiError;
use crate::http::run_headers::{RunHeaders, is_refusal, run_headers};
use crate::http::sse::{self, SseFrame};
use crate::http::state::Settings;
use crate::prompt::PromptInput;

/// Says in a protocol's words what happens in a run.
pub(super) trait Voice: Send + 'static {
    /// What a stream begins with. The run may have told nothing yet.
    fn begin(&mut self, run: &Run) -> Vec<SseFrame>;

    /// Adds what a stream says of an event. Hardly ever is that more than one frame.
    fn tell(&mut self, event: RunEvent, frames: &mut VecDeque<SseFrame>);

    /// What a stream ends with. The run may have failed.
    fn end(&mut self, run: &Run) -> Vec<SseFrame>;

    /// What a silent stream says, so that it is known to live.
    fn silence() -> SseFrame;

    /// The answer in one piece, as JSON, of a run that is completed.
    fn whole(&mut self, events: Vec<RunEvent>, run: &Run) -> String;
}

/// The run that a request in a protocol's words asks for.
pub(super) fn new_run(
    addressee: Addressee,
    prompt: PromptInput,
    is_streaming: bool,
    caller: &Caller,
) -> NewRun {
    NewRun {
        agent: addressee.agent,
        model: addressee.model,
        candidates: Candidates::default(),
        permitted: caller.permitted_agents(),
        prompt,
        conversation: InConversation::None,
        needs_answer: true,
        is_streaming,
        is_background: false,
        idempotency: None,
        metadata: None,
        asked_as_response: None,
        key_id: caller.key_id(),
    }
}

/// Makes a run and answers with what comes of it. The run ends when the caller leaves.
pub(super) async fn answer(
    conversations: &Conversations,
    settings: &Settings,
    new: NewRun,
    voice: impl Voice,
) -> Result<Response, ApiError> {
    let is_streaming = new.is_streaming;
    match conversations.start_run(new).await? {
        StartedRun::New(handle) if is_streaming => Ok(stream(handle, settings, voice).await),
        StartedRun::New(handle) => Ok(whole(handle, voice).await),
        StartedRun::Repeated(run) => {
            repeat(conversations, settings, &run, is_streaming, voice).await
        }
    }
}

/// Answers as the run was answered that the same request has made before, as far as that is on record.
async fn repeat(
    conversations: &Conversations,
    settings: &Settings,
    run: &Run,
    is_streaming: bool,
    voice: impl Voice,
) -> Result<Response, ApiError> {
    if run.status == RunStatus::Completed && run.output.is_none() {
        return Err(ConversationError::ContentNotKept.into());
    }
    let mut follower = conversations.follow_run(run.id, 0);
    if is_streaming && !is_refusal(run) {
        return Ok(follow(follower, run, settings, voice));
    }
    let mut events = Vec::new();
    while let Some(event) = follower.next_event().await {
        events.push(event);
    }
    Ok(say_whole(events, run, run_headers(run, None), voice))
}

/// Who answers, where the protocol's clients look for nothing.
#[derive(Debug, Serialize)]
pub(super) struct RolecallField<'a> {
    agent: &'a str,
    revision: i32,
    run_id: Uuid,
    dispatch_id: Uuid,
    model: &'a str,
}

impl<'a> From<&'a Run> for RolecallField<'a> {
    fn from(run: &'a Run) -> Self {
        Self {
            agent: &run.agent.name,
            revision: run.agent.revision,
            run_id: run.id,
            dispatch_id: run.dispatch_id,
            model: &run.model.resolved,
        }
    }
}

/// The model that serves, without its provider: protocols have one name.
pub(super) fn served_model(run: &Run) -> &str {
    let resolved = &run.model.resolved;
    resolved.split_once('/').map_or(resolved.as_str(), |(_, model)| model)
}

/// Tells a run that does not depend on who reads it, from its first event on.
pub(super) fn follow(
    follower: RunFollower,
    run: &Run,
    settings: &Settings,
    voice: impl Voice,
) -> Response {
    let source = Source::Follower(follower, Box::new(run.clone()));
    speak(source, run_headers(run, None), run, settings, voice)
}

async fn whole(mut handle: RunHandle, voice: impl Voice) -> Response {
    let run = handle.wait_for_end().await;
    let headers = run_headers(&run, Some(handle.roster_revision));
    say_whole(handle.read_told(), &run, headers, voice)
}

fn say_whole(
    events: Vec<RunEvent>,
    run: &Run,
    headers: RunHeaders,
    mut voice: impl Voice,
) -> Response {
    if run.status != RunStatus::Completed {
        return (headers, ApiError::of_run(run)).into_response();
    }
    let body = voice.whole(events, run);
    (headers, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// The status waits for the first content, so that a failure before it has its own.
async fn stream(mut handle: RunHandle, settings: &Settings, voice: impl Voice) -> Response {
    let ended = handle.wait_for_content(settings.hold).await;
    let run = ended.as_deref().cloned().unwrap_or_else(|| handle.run());
    let headers = run_headers(&run, Some(handle.roster_revision));
    if is_refusal(&run) {
        return (headers, ApiError::of_run(&run)).into_response();
    }
    speak(Source::Handle(handle), headers, &run, settings, voice)
}

fn speak<V: Voice>(
    source: Source,
    headers: RunHeaders,
    run: &Run,
    settings: &Settings,
    mut voice: V,
) -> Response {
    let speech = Speech { ready: voice.begin(run).into(), source, voice, is_over: false };
    let frames = stream::unfold(speech, |mut speech| async move {
        let frame = speech.next().await?;
        Some((frame, speech))
    });
    (headers, sse::respond(frames, V::silence(), settings)).into_response()
}

/// Where the events of a run come from.
enum Source {
    /// Whoever has made the run. Dropping it ends the run, unless that is in the background.
    Handle(RunHandle),
    /// Whoever looks at it, and how it stood before.
    Follower(RunFollower, Box<Run>),
}

impl Source {
    async fn next(&mut self) -> Option<RunEvent> {
        match self {
            Self::Handle(handle) => handle.next().await.map(|(_, event)| event),
            Self::Follower(follower, _) => follower.next_event().await,
        }
    }

    /// The run as it is known to stand.
    fn run(&self) -> Run {
        match self {
            Self::Handle(handle) => handle.run(),
            Self::Follower(_, run) => Run::clone(run),
        }
    }
}

/// A stream under way.
struct Speech<V> {
    source: Source,
    voice: V,
    ready: VecDeque<SseFrame>,
    is_over: bool,
}

impl<V: Voice> Speech<V> {
    async fn next(&mut self) -> Option<SseFrame> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Some(frame);
            }
            if self.is_over {
                return None;
            }
            match self.source.next().await {
                Some(RunEvent::Ended(run)) => {
                    self.is_over = true;
                    self.ready.extend(self.voice.end(&run));
                }
                Some(event) => self.voice.tell(event, &mut self.ready),
                // The service breaks off: nothing of the run's end is known.
                None => {
                    self.is_over = true;
                    self.ready.extend(self.voice.end(&self.source.run()));
                }
            }
        }
    }
}
