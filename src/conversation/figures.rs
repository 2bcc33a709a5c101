//! What is counted of a run: how long it took, how much of that others had it wait for, and what it used.

use std::time::{Duration, Instant};

use super::Run;
use super::run::RunStatus;
use crate::chat::Usage;
use crate::provider::{Catalog, Target};
use crate::telemetry::metrics;

/// The time of a run.
#[derive(Debug)]
pub(super) struct RunClock {
    began: Instant,
    /// For providers, tools, and a place among the runs under way.
    waited: Duration,
    has_content: bool,
}

impl RunClock {
    pub fn start() -> Self {
        Self { began: Instant::now(), waited: Duration::ZERO, has_content: false }
    }

    /// Something that the run has waited for since then is over.
    pub fn add_wait(&mut self, since: Instant) {
        self.waited += since.elapsed();
    }

    pub fn add_waited(&mut self, waited: Duration) {
        self.waited += waited;
    }

    /// There is content. Only the first time counts.
    pub fn note_content(&mut self) {
        if !std::mem::replace(&mut self.has_content, true) {
            metrics::run_showed_content(self.began.elapsed());
        }
    }

    /// The run is over.
    pub fn stop(&self, run: &Run) {
        let took = self.began.elapsed();
        metrics::run_ended(&run.agent.name, run.status.as_str(), took);
        // Where a wait was broken off, how long it was is not known.
        if run.status == RunStatus::Completed {
            metrics::run_cost_time(took.saturating_sub(self.waited));
        }
    }
}

/// Counts what an agent has used of a model.
pub(super) fn count_usage(agent: &str, target: &Target, usage: Usage, catalog: &Catalog) {
    let model = catalog.label(&target.provider, &target.model);
    let kinds = [
        ("input", usage.input_tokens),
        ("output", usage.output_tokens),
        ("cached_input", usage.cached_input_tokens),
        ("cache_write_input", usage.cache_write_input_tokens),
    ];
    for (kind, count) in kinds.into_iter().filter(|(_, count)| *count > 0) {
        metrics::tokens_used(agent, &model, kind, count);
    }
    if let Some(price) = target.price(usage) {
        metrics::money_spent(agent, &model, price.nanos());
    }
}
