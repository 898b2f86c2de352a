//! `/console`: the operator's page, and the figures it shows: a snapshot of the node that answers, and its last hour.
//! Nothing about a person, a client or an organization.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::ids::NodeId;
use crate::domain::instant::UnixMs;
use crate::domain::sandbox::Environment;
use crate::domain::sequence::Sequence;
use crate::http::contract::answers::{instant, json};
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::state::AppState;
use crate::registry::company::Seen;
use crate::service::console::{Alert, Sample};

/// The nodes' look at each other is out of date when it is older than this: the store does not answer.
const LOOK_NS_MAX: u64 = 5_000_000_000;

/// Checks answered since the node's start, by verdict.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the verdicts' own words")]
pub struct CheckCounts {
    #[schema(minimum = 0)]
    not_listed: i64,
    #[schema(minimum = 0)]
    card_listed: i64,
    #[schema(minimum = 0)]
    other_card_listed: i64,
    #[schema(minimum = 0)]
    number_listed: i64,
}

/// How often something happened since the node's start.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventCount {
    /// The name of a limit, or the code of a problem.
    name: String,
    #[schema(minimum = 0)]
    count: i64,
}

/// A node's figures at one moment. Counts begin with its start.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConsoleSample {
    #[schema(format = DateTime)]
    at: String,
    checks: CheckCounts,
    /// Single checks that took at most as long as each of `check_bounds_seconds`; the last one counts all.
    check_buckets: Vec<i64>,
    /// Loss reports acknowledged.
    #[schema(minimum = 0)]
    loss_reports: i64,
    /// Requests refused by a limit, by limit. One that refused nothing is left out.
    limited: Vec<EventCount>,
    /// Problem documents sent, by code.
    problems: Vec<EventCount>,
    /// The change of the registry up to which the node knows it.
    #[schema(value_type = i64, minimum = 0)]
    registry_sequence: Sequence,
    /// How long ago that was asked for. Above the lease (one second, unless set otherwise) the node answers from the store.
    #[schema(minimum = 0)]
    registry_age_milliseconds: i64,
    /// Numbers listed, as the filter holds them.
    #[schema(minimum = 0)]
    numbers_listed: i64,
    /// Changes since the filter was built.
    #[schema(minimum = 0)]
    recent_changes: i64,
}

/// A node that serves from the same store.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConsoleNode {
    #[schema(value_type = Uuid)]
    node_id: NodeId,
    /// For how long it has not been seen to move.
    #[schema(minimum = 0)]
    silent_milliseconds: i64,
    /// The change up to which it has told that it knows the registry. Told only where there are several nodes.
    #[schema(value_type = i64, minimum = 0)]
    registry_sequence: Sequence,
    /// Changes that another node knows and this one has not told to know.
    #[schema(minimum = 0)]
    changes_behind: i64,
    /// Whether the others took it for gone.
    is_dropped: bool,
}

/// An alert rule of deploy/prometheus, as this node judges it by its own figures.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConsoleAlert {
    /// The alert's name, which is also that of its section in docs/OPERATIONS.md.
    name: &'static str,
    /// Whether it wakes somebody; else it waits for the morning.
    wakes: bool,
    /// Whether it has held for as long as it must.
    is_firing: bool,
    /// Since when it holds; absent where it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    since: Option<String>,
}

/// The node that answered, now.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "lamps that are on or off by themselves")]
pub struct ConsoleSnapshot {
    /// Differs with each start: behind a balancer, keep the figures of each node apart.
    #[schema(value_type = Uuid)]
    node_id: NodeId,
    /// `production`, or `sandbox` where nothing is real.
    environment: &'static str,
    version: &'static str,
    #[schema(format = DateTime)]
    started_at: String,
    #[schema(minimum = 0)]
    uptime_seconds: i64,
    /// Whether it may be sent requests: its registry is current, its disk is sound, and it does not drain.
    is_ready: bool,
    /// Whether the store answered within the last seconds.
    store_reached: bool,
    redis_configured: bool,
    /// False where Redis is not configured, or not asked because it failed.
    redis_reached: bool,
    sample: ConsoleSample,
    /// The upper bounds of `check_buckets`.
    check_bounds_seconds: Vec<f64>,
    /// Requests that wait for more than memory.
    requests_waiting: i64,
    #[schema(minimum = 0)]
    resident_memory_bytes: i64,
    /// Sightings that wait in the node's journal.
    #[schema(minimum = 0)]
    sightings_journal_bytes: i64,
    /// For how long the webhook that waits longest has been due.
    #[schema(minimum = 0)]
    webhooks_overdue_seconds: i64,
    /// Absent where retention has never run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime, nullable = false)]
    retention_finished_at: Option<String>,
    /// Whether rows are being re-keyed to another pepper.
    is_rotating: bool,
    /// All nodes of the store. Absent where the store does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    nodes: Option<Vec<ConsoleNode>>,
    /// Every rule that a node can judge alone.
    alerts: Vec<ConsoleAlert>,
}

/// The last hour of the node that answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConsoleHistory {
    #[schema(value_type = Uuid)]
    node_id: NodeId,
    #[schema(format = DateTime)]
    started_at: String,
    /// Every ten seconds, oldest first; nothing from before the node's start.
    samples: Vec<ConsoleSample>,
    check_bounds_seconds: Vec<f64>,
}

/// Read the state of a node
///
/// Scope `admin`; costs one unit. The figures of the node that answers, the nodes that it knows, and the alert rules that hold.
/// The node answers from memory, even if the store is away. Behind a balancer each call may reach another node: `node_id` says which.
#[utoipa::path(
    get, path = "/v1/console", operation_id = "getConsole", tag = "operations", security(("bearer" = [])),
    responses((status = 200, description = "The node.", body = ConsoleSnapshot), crate::http::contract::openapi::CallRefusals)
)]
pub async fn read(_caller: Caller, state: Data<AppState>) -> HttpResponse {
    let figures = state.metrics.figures();
    let (now_ns, company) = (state.clock.boot_ns(), state.registry.company());
    let sample = state.console.sample(&figures);
    let looked = company.looked_ns > 0 && now_ns.saturating_sub(company.looked_ns) < LOOK_NS_MAX;
    let head = company.nodes.iter().map(|seen| seen.confirmed).max().unwrap_or_default().max(sample.sequence);
    let own = state.registry.node();
    let node = |seen: &Seen| {
        // Its own knowledge is newer than its look at the others.
        let known = if seen.node == own { sample.sequence } else { seen.confirmed };
        ConsoleNode {
            node_id: seen.node,
            silent_milliseconds: whole(company.looked_ns.saturating_sub(seen.moved_ns) / 1_000_000),
            registry_sequence: known,
            changes_behind: whole(head.since(known)),
            is_dropped: seen.is_dropped,
        }
    };
    let finished_ms = UnixMs::new(figures.value("lostcard_retention_finished_milliseconds"));
    let is_current = state.registry.is_current();
    let redis_configured = state.registry.shared().is_some();
    json(&ConsoleSnapshot {
        node_id: own,
        environment: Environment::of_issuer(state.access.issuer()).as_str(),
        version: env!("CARGO_PKG_VERSION"),
        started_at: instant(state.console.started_ms),
        uptime_seconds: whole(state.console.uptime_s()),
        is_ready: is_current && state.registry.is_sound() && !state.is_draining(),
        store_reached: is_current || looked,
        redis_configured,
        redis_reached: redis_configured && figures.value("lostcard_redis_breaker_open") == 0,
        requests_waiting: figures.value("lostcard_in_flight"),
        resident_memory_bytes: figures.value("lostcard_resident_memory_bytes"),
        sightings_journal_bytes: figures.value("lostcard_sightings_journal_bytes"),
        webhooks_overdue_seconds: figures.value("lostcard_webhook_overdue_seconds"),
        retention_finished_at: (finished_ms > UnixMs::EPOCH).then(|| instant(finished_ms)),
        is_rotating: figures.value("lostcard_rotating_from") > 0,
        nodes: looked.then(|| company.nodes.iter().map(node).collect()),
        alerts: state.console.alerts().iter().map(ConsoleAlert::of).collect(),
        check_bounds_seconds: state.console.check_bounds().to_vec(),
        sample: ConsoleSample::of(sample),
    })
}

/// Read the last hour of a node
///
/// Scope `admin`; costs one unit. Charts begin with it; after that each `GET /v1/console` adds a sample.
#[utoipa::path(
    get, path = "/v1/console/history", operation_id = "getConsoleHistory", tag = "operations", security(("bearer" = [])),
    responses((status = 200, description = "The samples.", body = ConsoleHistory), crate::http::contract::openapi::CallRefusals)
)]
pub async fn history(_caller: Caller, state: Data<AppState>) -> HttpResponse {
    json(&ConsoleHistory {
        node_id: state.registry.node(),
        started_at: instant(state.console.started_ms),
        samples: state.console.history().into_iter().map(ConsoleSample::of).collect(),
        check_bounds_seconds: state.console.check_bounds().to_vec(),
    })
}

impl ConsoleSample {
    fn of(sample: Sample) -> Self {
        let events =
            |counts: Vec<(String, i64)>| counts.into_iter().map(|(name, count)| EventCount { name, count }).collect();
        let [not_listed, card_listed, other_card_listed, number_listed] = sample.checks;
        Self {
            at: instant(sample.at_ms),
            checks: CheckCounts { not_listed, card_listed, other_card_listed, number_listed },
            check_buckets: sample.check_buckets,
            loss_reports: sample.reports,
            limited: events(sample.limited),
            problems: events(sample.problems),
            registry_sequence: sample.sequence,
            registry_age_milliseconds: sample.age_ms,
            numbers_listed: sample.numbers,
            recent_changes: sample.recent_changes,
        }
    }
}

impl ConsoleAlert {
    fn of(alert: &Alert) -> Self {
        Self {
            name: alert.rule.alert,
            wakes: alert.rule.wakes,
            is_firing: alert.is_firing,
            since: alert.since_ms.map(instant),
        }
    }
}

fn whole(of: u64) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}
