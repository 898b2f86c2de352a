//! Spans of requests, sent to a collector by OTLP where one is set. A span says what a log line may say of a request (method, pattern of the
//! path, status, id, times) and nothing of who asked or about whom. Where a caller sends `traceparent`, the span belongs to its trace.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use jiff::civil::Date;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Span, SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SpanData,
    SpanExporter as ExportSpans,
};

use crate::clock::Clock;
use crate::crypto::random;
use crate::domain::label::holds_id_number;

/// How long a span may wait for others before it is sent.
const DELAY: Duration = Duration::from_secs(1);
/// How long the collector may take. Spans that came meanwhile wait; beyond [`WAITING_MAX`] they are lost.
const EXPORT_MAX: Duration = Duration::from_secs(5);
const WAITING_MAX: usize = 2048;
/// What a node that stops gives its last spans.
const STOP_MAX: Duration = Duration::from_secs(1);

/// Of a `traceparent`.
const LENGTH: usize = 55;

/// Where spans go, and of how many requests.
#[derive(Debug, Clone)]
pub struct TraceOptions {
    pub endpoint: String,
    pub one_in: u32,
}

/// Makes spans. They are sent by a thread of its own: no request waits for a collector.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    one_in: u32,
    clock: Clock,
}

/// A request that was answered.
#[derive(Debug)]
pub struct Answered<'a> {
    pub method: &'a str,
    /// The pattern of its path.
    pub route: &'a str,
    pub status: u16,
    pub request_id: &'a str,
    pub spent_ns: u64,
}

/// The span of the caller's that a request belongs to.
#[derive(Debug, Clone)]
pub struct Parent(Context);

impl Parent {
    /// Reads a `traceparent` of version 00 (W3C Trace Context), strictly: it is the caller's text, and what could hold a number is not
    /// taken, as with request ids. Its companion `tracestate` may hold anything, and is not read.
    pub fn parse(traceparent: &str, today: Date) -> Option<Self> {
        let is_whole = traceparent.len() == LENGTH && traceparent.starts_with("00-");
        if !is_whole || holds_id_number(traceparent, today) {
            return None;
        }
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &Field(traceparent));
        context.span().span_context().is_valid().then_some(Self(context))
    }
}

struct Field<'a>(&'a str);

impl Extractor for Field<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == "traceparent").then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

impl Traces {
    /// Begins to send. `node` tells the nodes of a service apart.
    pub fn start(options: TraceOptions, node: String, clock: Clock) -> Result<Self, ExporterBuildError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(options.endpoint)
            .with_timeout(EXPORT_MAX)
            .build()?;
        let batches = BatchConfigBuilder::default()
            .with_scheduled_delay(DELAY)
            .with_max_queue_size(WAITING_MAX)
            .with_max_export_batch_size(WAITING_MAX / 4);
        let exporter = Watched { exporter, is_failing: AtomicBool::new(false) };
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches.build()).build();
        // Nothing of the environment: what a resource says of a machine is the operator's to add at the collector.
        let resource = Resource::builder_empty().with_service_name("lostcard").with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", node),
        ]);
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(resource.build())
            .build();
        let tracer = provider.tracer("lostcard");
        Ok(Self { provider, tracer, one_in: options.one_in, clock })
    }

    /// Makes the span of a request that was just answered, if it has one: the caller decides by `traceparent`, else chance.
    pub fn note(&self, parent: Option<&Parent>, answered: &Answered<'_>) {
        let is_wanted = match parent {
            Some(Parent(context)) => context.span().span_context().is_sampled(),
            None => random::below(self.one_in) == 0,
        };
        if !is_wanted {
            return;
        }
        let &Answered { method, route, status, request_id, spent_ns } = answered;
        let now = Duration::from_millis(u64::try_from(self.clock.now_ms().get()).unwrap_or_default());
        let ended = SystemTime::UNIX_EPOCH + now;
        let began = ended.checked_sub(Duration::from_nanos(spent_ns)).unwrap_or(ended);
        let attributes = [
            KeyValue::new("http.request.method", method.to_owned()),
            KeyValue::new("http.route", route.to_owned()),
            KeyValue::new("http.response.status_code", i64::from(status)),
            KeyValue::new("lostcard.request_id", request_id.to_owned()),
        ];
        let builder = self.tracer.span_builder(format!("{method} {route}")).with_kind(SpanKind::Server);
        let builder = builder.with_start_time(began).with_attributes(attributes);
        let root = Context::new();
        let mut span = builder.start_with_context(&self.tracer, parent.map_or(&root, |Parent(context)| context));
        if status >= 500 {
            span.set_status(Status::error(""));
        }
        span.end_with_timestamp(ended);
    }

    /// Sends what waits, for a moment.
    pub fn stop(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(STOP_MAX) {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

/// An exporter whose failures are logged, once an outage.
#[derive(Debug)]
struct Watched {
    exporter: SpanExporter,
    is_failing: AtomicBool,
}

impl ExportSpans for Watched {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let outcome = self.exporter.export(batch).await;
        if self.is_failing.swap(outcome.is_err(), Ordering::Relaxed) != outcome.is_err() {
            if outcome.is_ok() {
                tracing::info!("the collector takes spans again");
            } else {
                // Its text may repeat the address, which may hold a password.
                tracing::warn!("the collector takes no spans: they are lost, and nothing else is");
            }
        }
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_a_traceparent_and_holds_no_number_is_a_parent() {
        let parse = |text: &str| Parent::parse(text, jiff::civil::date(2026, 11, 29));
        let parent = parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").unwrap();
        assert!(parent.0.span().span_context().is_sampled());
        let unsampled = parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00").unwrap();
        assert!(!unsampled.0.span().span_context().is_sampled());
        let holding = "00-00000000000000110105199001011232-b7ad6b7169203331-01";
        assert!(holding.len() == LENGTH && parse(&holding.replace("232", "233")).is_some(), "no number with this end");
        for text in [
            "",
            "x",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-110105199001011234-b7ad6b7169203331-01",
            holding,
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
