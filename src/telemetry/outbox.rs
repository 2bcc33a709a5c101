//! Spans on their way to the collector: a bounded queue, and a task that sends what is in it. Whoever ends a span does
//! not wait; what does not fit is dropped and counted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::metrics;

const QUEUE_LENGTH: usize = 4_096;

const MAX_BATCH: usize = 512;

/// How long spans are gathered.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Clone)]
pub(super) struct Outbox {
    queue: mpsc::Sender<SpanData>,
    stop: CancellationToken,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Outbox {
    /// Starts the task that sends, each time within `timeout`.
    pub fn start(exporter: impl SpanExporter + 'static, timeout: Duration) -> Self {
        let (queue, spans) = mpsc::channel(QUEUE_LENGTH);
        let stop = CancellationToken::new();
        let task = tokio::spawn(send(exporter, spans, timeout, stop.clone()));
        Self { queue, stop, task: Arc::new(Mutex::new(Some(task))) }
    }

    /// Sends what is left.
    pub async fn stop(&self, patience: Duration) {
        self.stop.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut task) = task else { return };
        if tokio::time::timeout(patience, &mut task).await.is_err() {
            tracing::warn!("the last spans are lost: the collector does not take them");
            task.abort();
        }
    }
}

impl SpanProcessor for Outbox {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.queue.try_send(span).is_err() {
            metrics::spans_dropped("queue_full", 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        self.stop.cancel();
        Ok(())
    }
}

async fn send(
    exporter: impl SpanExporter,
    mut spans: mpsc::Receiver<SpanData>,
    timeout: Duration,
    stop: CancellationToken,
) {
    let mut is_failing = false;
    loop {
        // Nobody puts in any more: what is there is the rest.
        if stop.is_cancelled() {
            spans.close();
        } else {
            let _ = tokio::time::timeout(PAUSE, stop.cancelled()).await;
            if spans.is_empty() {
                continue;
            }
        }
        let mut batch = Vec::new();
        if spans.recv_many(&mut batch, MAX_BATCH).await == 0 {
            return;
        }
        let count = batch.len();
        let sent = tokio::time::timeout(timeout, exporter.export(batch)).await;
        let error = match sent {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("no answer in time".to_owned()),
        };
        if let Some(error) = &error {
            metrics::spans_dropped("not_taken", count);
            if !is_failing {
                tracing::warn!(%error, "spans are lost: the collector does not take them");
            }
        }
        is_failing = error.is_some();
    }
}
