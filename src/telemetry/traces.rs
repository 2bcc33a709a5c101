//! Traces for a collector, in the words of OpenTelemetry. Without a collector a span is nothing, and what a caller's trace
//! is called is passed on all the same. No prompt and no answer is in a span.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{FutureExt, SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanExporter as _};

use super::outbox::Outbox;

/// Where spans go.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The whole URL.
    pub endpoint: String,
    /// What the service is called there.
    pub service_name: String,
}

/// How long the collector may take for one request.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// One for the process, as the log is.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

#[derive(Debug, thiserror::Error)]
#[error("traces cannot be sent to the collector")]
pub struct TracesError(#[from] ExporterBuildError);

/// The way to the collector.
#[derive(Debug)]
pub struct Traces {
    /// Kept, because its drop ends the tracer.
    _provider: SdkTracerProvider,
    outbox: Outbox,
}

impl Traces {
    /// Begins to send spans, from within the runtime.
    pub fn start(settings: &Settings) -> Result<Self, TracesError> {
        let resource = Resource::builder()
            .with_service_name(settings.service_name.clone())
            .with_attributes([KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))])
            .build();
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&settings.endpoint)
            .with_timeout(EXPORT_TIMEOUT)
            .build()?;
        exporter.set_resource(&resource);
        let outbox = Outbox::start(exporter, EXPORT_TIMEOUT);
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_span_processor(outbox.clone())
            .build();
        // A second service in one process sends its spans where the first one does.
        let _ = TRACER.set(provider.tracer("rolecall"));
        Ok(Self { _provider: provider, outbox })
    }

    /// Sends what is left, within `patience`.
    pub async fn stop(self, patience: Duration) {
        self.outbox.stop(patience).await;
    }
}

/// A span, from its beginning to its drop.
#[derive(Debug)]
pub struct Span {
    context: Context,
}

/// Begins a span below the present one.
pub fn begin(name: impl Into<Cow<'static, str>>) -> Span {
    begin_kind(name, SpanKind::Internal)
}

/// Begins a span of a request to somebody else.
pub fn begin_request(name: impl Into<Cow<'static, str>>) -> Span {
    begin_kind(name, SpanKind::Client)
}

fn begin_kind(name: impl Into<Cow<'static, str>>, kind: SpanKind) -> Span {
    let above = Context::current();
    let Some(tracer) = TRACER.get() else { return Span { context: above } };
    let builder = tracer.span_builder(name).with_kind(kind);
    let span = tracer.build_with_context(builder, &above);
    Span { context: above.with_span(span) }
}

impl Span {
    /// Says something of what the span stands for, by a name of the conventions.
    pub fn set(&self, name: &'static str, value: impl Into<Value>) {
        if self.is_recorded() {
            self.context.span().set_attribute(KeyValue::new(name, value));
        }
    }

    pub fn rename(&self, name: impl Into<Cow<'static, str>>) {
        if self.is_recorded() {
            self.context.span().update_name(name);
        }
    }

    /// It has failed; `word` tells kinds of failures apart.
    pub fn fail(&self, word: &str) {
        if self.is_recorded() {
            self.set("error.type", word.to_owned());
            self.context.span().set_status(Status::error(word.to_owned()));
        }
    }

    /// Does something inside the span: what begins meanwhile is below it.
    // No `async fn`: that would hold what it is given twice, and runs are many.
    pub fn around<F: Future>(&self, inner: F) -> impl Future<Output = F::Output> + use<F> {
        inner.with_context(self.context.clone())
    }

    /// Whether anybody is told what is said of it. Nothing need be made up for nobody.
    pub fn is_recorded(&self) -> bool {
        TRACER.get().is_some() && self.context.span().is_recording()
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if TRACER.get().is_some() {
            self.context.span().end();
        }
    }
}

/// The caller's span, if the headers of its request name one: what is done around it is below it. It is not ours to end.
pub fn of_caller(headers: &HeaderMap) -> Span {
    let propagator = TraceContextPropagator::new();
    Span { context: propagator.extract_with_context(&Context::new(), &In(headers)) }
}

/// Names the present trace in the headers of a request.
pub fn name_in(headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(&Context::current(), &mut Out(headers));
}

/// The name of the present trace and span, if there is one.
pub fn traceparent() -> Option<String> {
    let mut headers = HeaderMap::new();
    name_in(&mut headers);
    headers.get("traceparent")?.to_str().ok().map(str::to_owned)
}

struct In<'a>(&'a HeaderMap);

impl Extractor for In<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct Out<'a>(&'a mut HeaderMap);

impl Injector for Out<'_> {
    fn set(&mut self, name: &str, value: String) {
        let name = HeaderName::from_bytes(name.as_bytes()).ok();
        // A state that is empty is none.
        let value = Some(value).filter(|value| !value.is_empty());
        let value = value.and_then(|value| HeaderValue::from_str(&value).ok());
        if let Some((name, value)) = name.zip(value) {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{name_in, of_caller, traceparent};

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[tokio::test]
    async fn a_caller_s_trace_is_passed_on_where_none_is_kept() {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", PARENT.parse().expect("a value"));
        headers.insert("tracestate", "vendor=1".parse().expect("a value"));
        let passed_on = of_caller(&headers).around(async {
            let mut passed_on = HeaderMap::new();
            name_in(&mut passed_on);
            passed_on
        });
        assert_eq!(passed_on.await, headers);
    }

    #[tokio::test]
    async fn what_names_no_trace_is_passed_over() {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", "00-nonsense".parse().expect("a value"));
        assert_eq!(of_caller(&headers).around(async { traceparent() }).await, None);
        assert_eq!(traceparent(), None);
    }
}
