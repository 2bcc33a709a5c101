//! What is done once when a run ends.

use chrono::Utc;

use super::charges;
use super::end::{End, invites_another_try, log_failure, outcome};
use super::execution::Execution;
use super::figures::count_usage;
use super::run::RunStatus;
use super::spans;
use super::stored::{FLUSH_PATIENCE, NotKept};
use super::turn::Turn;
use super::{RunEvent, Warning};
use crate::chat::{FinishReason, Usage};
use crate::provider::AttemptOutcome;

impl Execution {
    /// Whatever has ended the run: its status, its usage, its place and its record.
    pub(super) async fn settle(mut self: Box<Self>, mut end: End) {
        // The provider first: it should not write on for nobody.
        self.call.finish(AttemptOutcome::Cancelled);
        let is_priced = self.charge();
        if self.keep_exchange(&end).await.is_err() {
            end = End::NotKept;
        }
        for event in self.turn.release() {
            self.live.tell(event);
        }
        self.complete_run(&end, is_priced);
        self.remember_calls();
        self.tell_of_end(&end);
        // On record first: what the caller is told to have ended must be found.
        self.conversations.store_events(&self.live).await;
        self.note();
        self.conversations.inner.ledger.secure().await;
        if let Some(exchange) = self.exchange.take() {
            // Boxed, as whatever only runs of stored conversations need: all others would carry its room.
            // Whoever has the conversation next, or deletes it, finds all that this run has left.
            Box::pin(self.conversations.inner.ledger.flush(FLUSH_PATIENCE)).await;
            Box::pin(exchange.release()).await;
        }
        self.live.end();
    }

    /// Charges the run's key with what was used, and counts it. False if the price of any of it is not known.
    fn charge(&mut self) -> bool {
        let (spent, is_priced) = self.funds.settle(self.call.request_usages());
        self.live.recorded.set_spent(spent);
        self.count_usage();
        is_priced
    }

    /// The run as it is from now on.
    fn complete_run(&self, end: &End, is_priced: bool) {
        let is_price_missed = !is_priced && self.funds.has_budget();
        let cut_turn = self.cut_turn();
        let cut_usage = cut_turn.as_ref().map_or(Usage::default(), |turn| turn.usage);
        let usage = self.usage + cut_usage;
        let has_calls = !self.live.calls_for_caller().is_empty();
        self.live.update(|run| {
            run.turns.extend(cut_turn);
            run.usage = usage;
            run.attempts = self.call.attempts().to_vec();
            run.warnings.extend(is_price_missed.then_some(Warning::PriceUnknown));
            let dropped = self.call.dropped_parameters().iter().copied();
            run.warnings.extend(dropped.map(Warning::ParameterDropped));
            // Some compatible servers say `stop` when the model has called tools.
            if run.finish_reason == Some(FinishReason::Stop) && has_calls {
                run.finish_reason = Some(FinishReason::ToolCalls);
            }
            // What the caller is to answer first is no answer yet.
            let has_answer = matches!(end, End::Finished) && !has_calls;
            if has_answer && self.tools.was_tool_skipped() {
                run.warnings.push(Warning::RequiredToolSkipped);
            }
            (run.status, run.error) = outcome(end, self.names_model);
            run.cost_usd = charges::total(&run.turns);
            run.ended_at = Some(Utc::now());
        });
        if !invites_another_try(end, &self.live.run()) {
            self.live.recorded.keep_idempotency_key();
        }
    }

    /// Remembers who waits for the results of calls that the caller is to answer.
    fn remember_calls(&self) {
        let Some(beginning) = self.beginning else { return };
        let waiting_agents = &self.conversations.inner.waiting_agents;
        let agent = &self.live.recorded.agent.name;
        waiting_agents.remember(beginning, &self.live.calls_for_caller(), agent);
    }

    /// Tells all who look at the service, and those who follow the run, what it has come to.
    fn tell_of_end(&self, end: &End) {
        let run = self.live.run();
        log_failure(end, &run);
        self.clock.stop(&run);
        spans::tell(&self.span, &run);
        // The line of a request that is answered in one piece says the same of a run that is completed.
        if !self.is_held_back || run.status != RunStatus::Completed {
            tracing::info!(
                run.id = %run.id,
                agent.name = %run.agent.name,
                run.status = run.status.as_str(),
                run.model = %run.model.resolved,
                run.requests = run.request_count(),
                "run ended"
            );
        }
        self.live.tell(RunEvent::Usage(run.usage));
    }

    fn count_usage(&self) {
        let catalog = self.conversations.inner.providers.catalog();
        for (target, usage) in self.funds.usages(self.call.request_usages()) {
            count_usage(&self.live.recorded.agent.name, target, usage, catalog);
        }
    }

    /// Adds the run to its conversation. A refused answer leaves nothing there: shown again, it would be refused again.
    /// OpenAI's callers may follow one whose refusal is the model's own words.
    ///
    /// # Errors
    /// If that fails and the run is worth nothing without.
    async fn keep_exchange(&mut self, end: &End) -> Result<(), NotKept> {
        let Some(exchange) = &self.exchange else { return Ok(()) };
        let was_refused = self.turn.finish_reason == Some(FinishReason::Refusal);
        let run = self.live.run();
        let can_follow = run.refused_in_words && run.asked_as_response.is_some();
        let is_tried = matches!(end, End::Finished) && (!was_refused || can_follow);
        let result = if is_tried { Box::pin(exchange.keep()).await } else { Ok(()) };
        if exchange.is_required() || (is_tried && result.is_ok()) {
            return result;
        }
        // It would have begun with this run: there is nothing that anybody could go on with.
        self.exchange = None;
        self.live.update(|run| {
            run.conversation_id = None;
            run.warnings.extend(result.is_err().then_some(Warning::ConversationNotKept));
        });
        Ok(())
    }

    /// The turn that was under way when the run ended.
    fn cut_turn(&self) -> Option<Turn> {
        let used = || self.funds.used_in_turn(self.call.request_usages());
        self.turn.is_under_way().then(|| self.turn.told(used(), Vec::new()))
    }
}
