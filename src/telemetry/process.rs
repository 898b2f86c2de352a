//! What Linux says about this process, by the names that every Prometheus client uses (`process_*`), so that dashboards made for any
//! program show this one too.

use std::path::Path;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, IntGauge, Registry};
use rustix::process::{Resource, getrlimit};

use crate::clock::Clock;
use crate::own_files;

/// In which proc(5) counts times of a process: the same on every architecture that this is built for.
const TICKS_A_SECOND: f64 = 100.0;

/// The figures of the process, with a registry of their own: their names have no prefix.
#[derive(Debug)]
pub(super) struct Process {
    registry: Registry,
    cpu_seconds: Counter,
    resident_bytes: IntGauge,
    virtual_bytes: IntGauge,
    open_fds: IntGauge,
    max_fds: IntGauge,
    threads: IntGauge,
}

/// What `/proc/self/stat` says.
#[derive(Debug, Default, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    threads: i64,
    /// Since boot.
    started_seconds: f64,
    virtual_bytes: i64,
}

impl Process {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let gauge = |name, help| register(&registry, IntGauge::new(name, help)?);
        let start =
            Gauge::new("process_start_time_seconds", "When the process started, in seconds since the Unix epoch.")?;
        register(&registry, start)?.set(started_at(&Clock::System));
        Ok(Self {
            cpu_seconds: register(
                &registry,
                Counter::new(
                    "process_cpu_seconds_total",
                    "User and system time that the process has used, in seconds.",
                )?,
            )?,
            resident_bytes: gauge("process_resident_memory_bytes", "Memory that the process holds.")?,
            virtual_bytes: gauge("process_virtual_memory_bytes", "Address space of the process.")?,
            open_fds: gauge("process_open_fds", "Open descriptors.")?,
            max_fds: gauge("process_max_fds", "Descriptors that the system allows the process.")?,
            threads: gauge("process_threads", "Threads of the process.")?,
            registry,
        })
    }

    /// As it is now; resident memory and descriptors as they were just read.
    pub(super) fn families(&self, resident_bytes: i64, open_fds: i64) -> Vec<MetricFamily> {
        let stat = read_stat();
        // Two readings at once may come in either order.
        self.cpu_seconds.inc_by((stat.cpu_seconds - self.cpu_seconds.get()).max(0.0));
        self.resident_bytes.set(resident_bytes);
        self.virtual_bytes.set(stat.virtual_bytes);
        self.open_fds.set(open_fds);
        let allowed = getrlimit(Resource::Nofile).current;
        self.max_fds.set(allowed.and_then(|fds| i64::try_from(fds).ok()).unwrap_or(i64::MAX));
        self.threads.set(stat.threads);
        self.registry.gather()
    }
}

fn read_stat() -> Stat {
    let text = own_files::read_text(Path::new("/proc/self/stat")).unwrap_or_default();
    parse_stat(&text).unwrap_or_default()
}

/// The fields behind the program's name, which may hold anything.
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| Some(fields.get(at)?.parse::<f64>().ok()? / TICKS_A_SECOND);
    Some(Stat {
        cpu_seconds: ticks(11)? + ticks(12)?,
        threads: fields.get(17)?.parse().ok()?,
        started_seconds: ticks(19)?,
        virtual_bytes: fields.get(20)?.parse().ok()?,
    })
}

/// By the clocks of now, so that no other file of the system is needed: a unit may hide them.
fn started_at(clock: &Clock) -> f64 {
    let age = Duration::from_nanos(clock.boot_ns()).as_secs_f64() - read_stat().started_seconds;
    let now = Duration::from_millis(u64::try_from(clock.now_ms().get()).unwrap_or_default()).as_secs_f64();
    (now - age.max(0.0)).floor()
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_brackets_moves_no_field() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 150 250 13 14 15 16 9 18 4200 123456 21";
        for name in ["lostcard", "a) b (c", ""] {
            let stat = parse_stat(&format!("77 ({name}) {rest}")).unwrap();
            assert_eq!(stat, Stat { cpu_seconds: 4.0, threads: 9, started_seconds: 42.0, virtual_bytes: 123_456 });
        }
        assert_eq!(parse_stat("77 (lostcard) S 1 2"), None);
    }

    #[test]
    fn figures_are_of_this_process() {
        let process = Process::new().unwrap();
        let figure = |families: &[MetricFamily], name: &str| {
            let family = families.iter().find(|family| family.name() == name).unwrap_or_else(|| panic!("{name}"));
            let metric = &family.get_metric()[0];
            metric.get_counter().get_value() + metric.get_gauge().get_value()
        };
        let first = process.families(7, 5);
        let used = |families: &[MetricFamily]| figure(families, "process_cpu_seconds_total");
        let mut sum = 0_u64;
        let later = loop {
            sum = (0..1_000_000).fold(sum, |sum, n| std::hint::black_box(sum.wrapping_add(n)));
            let later = process.families(7, 5);
            // One tick of work.
            if used(&later) > used(&first) {
                break later;
            }
        };
        let taken = [figure(&later, "process_resident_memory_bytes"), figure(&later, "process_open_fds")];
        assert_eq!(taken.map(|figure| figure.to_string()), ["7", "5"]);
        assert!(figure(&later, "process_threads") >= 1.0 && figure(&later, "process_max_fds") >= 5.0);
        assert!(figure(&later, "process_virtual_memory_bytes") > 1e6);
        let started = figure(&later, "process_start_time_seconds");
        let now = Duration::from_secs(Clock::System.now_s().unsigned_abs()).as_secs_f64();
        assert!(started <= now && now - started < 24.0 * 3600.0, "{started} at {now}");
    }
}
