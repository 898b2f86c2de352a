//! What the operator sees: the log and the metrics. No label, field or line may hold a number, a digest, a token or a path
//! as it was sent: routes appear as their patterns. Counters are resolved once and are plain atomics afterwards.

pub mod figures;
mod logging;
mod process;
pub mod traces;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::domain::verdict::Verdict;
use crate::own_files;
use process::Process;

pub use logging::init_log;

/// Every metric of a node.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    process: Process,
    verdicts: [IntCounter; 4],
    pub check_seconds: Histogram,
    pub created_seconds: Histogram,
    pub in_flight: IntGauge,
    pub workshop_waiting: IntGaugeVec,
    pub workshop_running: IntGaugeVec,
    pub workshop_refused: IntCounterVec,
    pub reserved_bytes: IntGauge,
    pub budget_refused: IntCounterVec,
    pub capacity_refused: IntCounterVec,
    pub connections: IntGauge,
    pub connections_allowed: IntGauge,
    pub descriptors: IntGauge,
    pub descriptors_max: IntGauge,
    pub tasks_running: IntGaugeVec,
    pub lookups_filter: IntCounter,
    pub lookups_exact: IntCounter,
    pub lookups_local: IntCounter,
    pub lookups_redis: IntCounter,
    pub lookups_store: IntCounter,
    pub lookups_failed: IntCounter,
    pub reports: IntCounter,
    pub misuse_reports: IntCounter,
    pub receipt_heads: IntCounter,
    pub receipts: IntCounter,
    pub certificates: IntCounter,
    pub tls_files_refused: IntGauge,
    pub tls_certificate_ends_s: IntGauge,
    pub tls_handshakes: IntGauge,
    pub tokens_issued: IntCounter,
    pub tokens_verified: IntCounter,
    pub tokens_refused: IntCounter,
    pub lane_left: IntCounter,
    pub limited: IntCounterVec,
    pub numbers_refused: IntCounterVec,
    pub places_forgotten_early: IntCounter,
    pub holds: IntCounterVec,
    pub clients_held: IntGauge,
    pub clients_uncounted: IntGauge,
    pub problems: IntCounterVec,
    pub feed_sequence: IntGauge,
    pub filter_keys: IntGauge,
    pub exact: IntGauge,
    pub recent_changes: IntGauge,
    resident_memory: IntGauge,
    /// Since the metrics were last read, in nanoseconds.
    longest_poll_ns: AtomicU64,
    longest_poll: Gauge,
    pub lease_as_of_ms: IntGauge,
    pub follower_failures: IntCounter,
    pub epoch_changes: IntCounter,
    pub rotating_from: IntGauge,
    pub nodes: IntGauge,
    pub publications_by_lease: IntCounter,
    pub write_groups: IntCounter,
    pub writes_waiting: IntGauge,
    pub redis_answered: IntCounter,
    pub redis_failed: IntCounter,
    pub redis_timed_out: IntCounter,
    pub redis_skipped: IntCounter,
    pub redis_not_genuine: IntCounter,
    pub redis_breaker_open: IntGauge,
    pub answers_repeated_by_redis: IntCounter,
    pub wakes: IntCounter,
    pub filter_file_reads: IntCounterVec,
    pub filter_file_writes: IntCounterVec,
    pub retention_deleted: IntCounterVec,
    pub retention_finished_ms: IntGauge,
    pub retention_failures: IntCounter,
    pub registry_log_behind: IntGauge,
    pub witness_answers: IntCounterVec,
    pub audit_log_wrong: IntGauge,
    pub audit_heads: IntCounterVec,
    pub audit_heads_waiting: IntGauge,
    pub sightings_recorded: IntCounter,
    pub sightings_stored: IntCounter,
    pub sightings_behind: IntCounter,
    pub sightings_lost: IntCounterVec,
    pub sightings_moves_failed: IntCounter,
    pub sightings_journal_bytes: IntGauge,
    pub webhook_deliveries: IntCounterVec,
    pub webhook_overdue_seconds: IntGauge,
    pub webhooks_disabled: IntCounter,
    pub watch_peppers_missing: IntGauge,
    pub usage_rows: IntCounter,
    pub usage_flushes_failed: IntCounter,
    pub usage_flushed_ms: IntGauge,
}

impl Metrics {
    /// Registers every metric.
    #[expect(clippy::too_many_lines, reason = "one entry a metric, and nothing else")]
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new_custom(Some("lostcard".to_owned()), None)?;
        let counter = |name, help| register(&registry, IntCounter::new(name, help)?);
        let gauge = |name, help| register(&registry, IntGauge::new(name, help)?);
        let family = |name, help, label| register(&registry, IntCounterVec::new(Opts::new(name, help), &[label])?);
        let gauges = |name, help, label| register(&registry, IntGaugeVec::new(Opts::new(name, help), &[label])?);
        let verdicts = family("checks_total", "Checks answered, by verdict.", "verdict")?;
        let lookups = family("lookups_total", "Look-ups, by the tier that answered; failed if none did.", "tier")?;
        let redis =
            family("redis_calls_total", "Calls to Redis, by outcome; skipped while the breaker is open.", "outcome")?;
        let seconds = HistogramOpts::new("check_seconds", "Time from a single check's head to its answer, in seconds.")
            .buckets(vec![1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 5e-2, 0.25, 1.0]);
        let created = HistogramOpts::new("created_seconds", "Time from a request's head to its 201, in seconds.")
            .buckets(vec![2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0]);
        Ok(Self {
            verdicts: [
                verdicts.with_label_values(&[Verdict::NotListed.as_str()]),
                verdicts.with_label_values(&[Verdict::CardListed.as_str()]),
                verdicts.with_label_values(&[Verdict::OtherCardListed.as_str()]),
                verdicts.with_label_values(&[Verdict::NumberListed.as_str()]),
            ],
            check_seconds: register(&registry, Histogram::with_opts(seconds)?)?,
            created_seconds: register(&registry, Histogram::with_opts(created)?)?,
            tasks_running: gauges(
                "task_running",
                "Background tasks, by name: 1 while it runs, 0 when it has ended.",
                "task",
            )?,
            workshop_waiting: gauges(
                "workshop_waiting",
                "Pieces of long work that wait for their turn, by kind.",
                "work",
            )?,
            workshop_running: gauges("workshop_running", "Pieces of long work that are being done, by kind.", "work")?,
            workshop_refused: family(
                "workshop_refused_total",
                "Pieces of long work that had no turn in time, by kind.",
                "work",
            )?,
            in_flight: gauge("in_flight", "Requests that wait for more than memory.")?,
            reserved_bytes: gauge("reserved_bytes", "Bytes of heads and bodies in flight, of overload.memory_mib.")?,
            budget_refused: family(
                "budget_refused_total",
                "Heads, bodies and connections refused because there was no room, by whose it was: node, share (of an address or a \
                 client), connections (of an address), descriptors, handshakes (no place, or not in time), heads (not in time).",
                "whose",
            )?,
            capacity_refused: family(
                "capacity_refused_total",
                "Requests refused with reduced_capacity, by whose load it was: caller (of the one that was refused before, too), node.",
                "whose",
            )?,
            connections: gauge("connections", "Open connections.")?,
            connections_allowed: gauge("connections_allowed", "Connections that the limit of descriptors allows.")?,
            descriptors: gauge("open_descriptors", "Open descriptors of this process.")?,
            descriptors_max: gauge("descriptors_allowed", "Descriptors that the system allows this process.")?,
            lookups_filter: lookups.with_label_values(&["filter"]),
            lookups_exact: lookups.with_label_values(&["exact"]),
            lookups_local: lookups.with_label_values(&["local"]),
            lookups_redis: lookups.with_label_values(&["redis"]),
            lookups_store: lookups.with_label_values(&["store"]),
            lookups_failed: lookups.with_label_values(&["failed"]),
            reports: counter("reports_total", "Loss reports acknowledged.")?,
            misuse_reports: counter("misuse_reports_total", "Misuse reports acknowledged.")?,
            receipt_heads: counter("receipt_heads_total", "Signatures made over batches of receipts.")?,
            receipts: counter("receipts_total", "Receipts issued.")?,
            certificates: counter("certificates_total", "Temporary identification certificates issued.")?,
            tls_files_refused: gauge(
                "tls_files_refused",
                "1 while certificate or key of TLS changed and cannot be taken up.",
            )?,
            tls_handshakes: gauge("tls_handshakes", "Connections whose TLS handshake is made, or waits.")?,
            tls_certificate_ends_s: gauge(
                "tls_certificate_ends_seconds",
                "Wall time at which the certificate in use ends; 0: no TLS.",
            )?,
            tokens_issued: counter("tokens_issued_total", "Access tokens issued.")?,
            tokens_verified: counter(
                "tokens_verified_total",
                "Access tokens verified by signature (not from memory).",
            )?,
            lane_left: counter(
                "lane_left_total",
                "Connections that left the short way of checks for the HTTP server.",
            )?,
            tokens_refused: counter("tokens_refused_total", "Requests refused for their token.")?,
            numbers_refused: family(
                "numbers_refused_total",
                "Questions that a limit of numbers refused, or would refuse if it were enforced, by what was spent.",
                "by",
            )?,
            places_forgotten_early: counter(
                "places_forgotten_early_total",
                "How often counties and birth dates of clients were forgotten before their month was over: too many new numbers.",
            )?,
            holds: family("holds_total", "Clients that were held, by why.", "why")?,
            clients_held: gauge("clients_held", "Clients whose new numbers are refused until they are released.")?,
            clients_uncounted: gauge("clients_uncounted", "Clients whose numbers nobody counts.")?,
            limited: family("limited_total", "Requests refused by a limit, by limit.", "limit")?,
            problems: family("problems_total", "Problem documents sent, by code.", "code")?,
            feed_sequence: gauge("feed_sequence", "The registry sequence this node knows.")?,
            filter_keys: gauge("filter_keys", "Numbers that this node holds in memory.")?,
            exact: gauge("exact", "Whether this node holds every listing in memory (1), or a filter (0).")?,
            recent_changes: gauge(
                "recent_changes",
                "Changes since the filter was built, or since they were worked into the listings in memory.",
            )?,
            longest_poll_ns: AtomicU64::new(0),
            longest_poll: register(
                &registry,
                Gauge::new(
                    "event_loop_longest_poll_seconds",
                    "The longest that a connection kept its event loop since this was last read; 0 without overload.measure_polls.",
                )?,
            )?,
            resident_memory: gauge("resident_memory_bytes", "Memory of this process that is in RAM.")?,
            lease_as_of_ms: gauge("lease_as_of_milliseconds", "Wall time of the last poll that renewed the lease.")?,
            follower_failures: counter("follower_failures_total", "Polls of the feed that failed.")?,
            epoch_changes: counter(
                "epoch_changes_total",
                "Full reloads because the feed went back or changed its epoch.",
            )?,
            rotating_from: gauge("rotating_from", "The pepper that rows are being re-keyed from; 0: none.")?,
            nodes: gauge("nodes", "Nodes that serve from this store, as this one knows.")?,
            publications_by_lease: counter(
                "publications_by_lease_total",
                "Changes published only when the leases had run out: a node was silent.",
            )?,
            write_groups: counter("write_groups_total", "Transactions of writes that share one.")?,
            writes_waiting: gauge("writes_waiting", "Writes that wait for their group to begin.")?,
            redis_answered: redis.with_label_values(&["answered"]),
            redis_failed: redis.with_label_values(&["failed"]),
            redis_timed_out: redis.with_label_values(&["timed_out"]),
            redis_skipped: redis.with_label_values(&["skipped"]),
            redis_not_genuine: counter("redis_not_genuine_total", "Values in Redis that this service did not write.")?,
            redis_breaker_open: gauge("redis_breaker_open", "1 while Redis is not asked because it failed.")?,
            answers_repeated_by_redis: counter(
                "answers_repeated_by_redis_total",
                "Repetitions of a request that were answered from Redis.",
            )?,
            wakes: counter("wakes_total", "Wake-ups by other nodes.")?,
            filter_file_reads: family(
                "filter_file_reads_total",
                "Saved filters looked for when the registry was loaded: used, none, or why one was refused.",
                "outcome",
            )?,
            filter_file_writes: family(
                "filter_file_writes_total",
                "Filters saved to local disk: written or failed.",
                "outcome",
            )?,
            retention_deleted: family(
                "retention_deleted_total",
                "Records deleted by this node because their period was over, by class.",
                "class",
            )?,
            retention_finished_ms: gauge(
                "retention_finished_milliseconds",
                "Wall time at which retention was last brought to its end, by whichever node; 0: never.",
            )?,
            retention_failures: counter("retention_failures_total", "Runs of retention on this node that failed.")?,
            registry_log_behind: gauge(
                "registry_log_behind",
                "Rows of the feed that the newest checkpoint of the registry log does not cover.",
            )?,
            witness_answers: register(
                &registry,
                IntCounterVec::new(
                    Opts::new("witness_answers_total", "Answers of witnesses of the registry log: cosigned or failed."),
                    &["outcome"],
                )?,
            )?,
            audit_log_wrong: gauge(
                "audit_log_wrong",
                "Whether the audit log does not continue from where this node saw it end (1), or was written without the key.",
            )?,
            audit_heads: register(
                &registry,
                IntCounterVec::new(
                    Opts::new("audit_heads_total", "Heads of the audit log, by sink and outcome: sent or failed."),
                    &["sink", "outcome"],
                )?,
            )?,
            audit_heads_waiting: gauge("audit_heads_waiting", "Heads of the audit log that a sink has not taken yet.")?,
            sightings_recorded: counter(
                "sightings_recorded_total",
                "Checks that found a listing, written to the journal.",
            )?,
            sightings_stored: counter("sightings_stored_total", "Sightings moved to the store, each once a listing.")?,
            sightings_behind: counter(
                "sightings_behind_total",
                "Checks that found a listing and were refused because the disk of the journal was behind.",
            )?,
            sightings_lost: family(
                "sightings_lost_total",
                "Checks that found a listing and were answered without a record of it that is sure, by why.",
                "reason",
            )?,
            sightings_moves_failed: counter(
                "sightings_moves_failed_total",
                "Times that the journal of sightings could not be moved to the store.",
            )?,
            sightings_journal_bytes: gauge("sightings_journal_bytes", "Sightings that wait in the journal, in bytes.")?,
            webhook_deliveries: family(
                "webhook_deliveries_total",
                "Attempts to deliver a webhook, by outcome; given_up beside the last attempt's own.",
                "outcome",
            )?,
            webhook_overdue_seconds: gauge(
                "webhook_overdue_seconds",
                "For how long the delivery that waits longest has been due.",
            )?,
            webhooks_disabled: counter(
                "webhooks_disabled_total",
                "Endpoints disabled because they failed or are gone.",
            )?,
            watch_peppers_missing: gauge(
                "watch_peppers_missing",
                "Peppers that watches are keyed by and this node's key folder lacks.",
            )?,
            usage_rows: counter("usage_rows_total", "Sums of usage added to the store, each one site on one day.")?,
            usage_flushes_failed: counter(
                "usage_flushes_failed_total",
                "Times that counts of usage could not be added to the store.",
            )?,
            usage_flushed_ms: gauge(
                "usage_flushed_milliseconds",
                "Wall time at which this node last added counts of usage; 0: never.",
            )?,
            process: Process::new()?,
            registry,
        })
    }

    /// A connection kept its event loop for so long.
    pub fn note_poll(&self, ns: u64) {
        self.longest_poll_ns.fetch_max(ns, Ordering::Relaxed);
    }

    /// The counter of a verdict.
    pub fn verdict(&self, verdict: Verdict) -> &IntCounter {
        &self.verdicts[verdict as usize]
    }

    /// What only the system knows.
    fn look_at_process(&self) {
        self.resident_memory.set(resident_bytes());
        let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        self.descriptors.set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    /// The text exposition (Prometheus text format 0.0.4).
    pub fn render(&self) -> String {
        self.look_at_process();
        self.longest_poll.set(seconds(self.longest_poll_ns.swap(0, Ordering::Relaxed)));
        let mut families = self.registry.gather();
        families.extend(self.process.families(self.resident_memory.get(), self.descriptors.get()));
        TextEncoder::new().encode_to_string(&families).unwrap_or_default()
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

/// What Linux says about this process (proc(5), `VmRSS` in kB); 0 where it does not.
fn resident_bytes() -> i64 {
    let status = own_files::read_text(Path::new("/proc/self/status")).unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    resident.and_then(|text| text.trim().trim_end_matches(" kB").parse::<i64>().ok()).unwrap_or_default() * 1024
}

/// A duration as histograms count it.
pub fn seconds(elapsed_ns: u64) -> f64 {
    Duration::from_nanos(elapsed_ns).as_secs_f64()
}
