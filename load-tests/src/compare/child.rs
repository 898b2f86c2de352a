//! A server process pinned to one CPU: started, awaited until it listens and
//! is ready, ended when dropped.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::wire::{Target, get, get_status};

const READY_MARK: &str = "listening on http://";
const METRICS_MARK: &str = "metrics on http://";
/// A server that has used no more than this in that time has nothing left to build.
const REST: (Duration, Duration) = (Duration::from_secs(3), Duration::from_millis(60));
/// An evaluation takes 50 us: ten million listings in ten minutes, on a machine that does nothing else.
const REST_TIMEOUT: Duration = Duration::from_hours(1);
const START_TIMEOUT: Duration = Duration::from_mins(2);
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);
const LOG_LINES_KEPT: usize = 20;

#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    target: Target,
    /// Of a node.
    metrics: Arc<OnceLock<Target>>,
    /// From starting the process to the first 200 of `/health/ready`.
    pub(crate) ready_after: Duration,
}

type LastLines = Arc<Mutex<VecDeque<String>>>;

impl Child {
    /// Starts `program` on `cpu` and waits until it is ready.
    ///
    /// `taskset` and `setpriv` (util-linux) replace themselves by the program,
    /// so the handle is the program's own; `setpriv` has the kernel end it
    /// when this process dies without having dropped the handle.
    pub(crate) fn start(program: &std::path::Path, arguments: &[&str], cpu: usize) -> anyhow::Result<Self> {
        let started_at = Instant::now();
        let mut process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "taskset", "-c", &cpu.to_string()])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start setpriv (package util-linux)")?;
        let last_lines = LastLines::default();
        let (sender, addresses) = sync_channel(1);
        let metrics = Arc::<OnceLock<_>>::default();
        if let Some(stdout) = process.stdout.take() {
            drain(stdout, Arc::clone(&last_lines), Some((sender, Arc::clone(&metrics))));
        }
        if let Some(stderr) = process.stderr.take() {
            drain(stderr, Arc::clone(&last_lines), None);
        }
        match await_ready(&mut process, &addresses, started_at + START_TIMEOUT) {
            Ok(target) => Ok(Self { process, target, metrics, ready_after: started_at.elapsed() }),
            Err(error) => {
                stop(&mut process);
                let lines = last_lines.lock().unwrap_or_else(PoisonError::into_inner);
                let log = lines.iter().cloned().collect::<Vec<_>>().join("\n");
                Err(error.context(format!("{} did not get ready; its last lines:\n{log}", program.display())))
            }
        }
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Resident memory in bytes, from /proc.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
    }

    /// Processor time used so far by all threads in nanoseconds: the first field of `schedstat` (sched-stats, kernel documentation).
    pub(crate) fn cpu_ns(&self) -> anyhow::Result<u64> {
        let mut total = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            // A thread that has ended meanwhile has no file.
            if let Ok(line) = std::fs::read_to_string(thread?.path().join("schedstat")) {
                total += line.split(' ').next().unwrap_or_default().parse::<u64>().context("schedstat")?;
            }
        }
        Ok(total)
    }

    /// Waits until it builds nothing any more: a node that has no blind base yet makes one on the CPU that is measured.
    pub(crate) fn await_rest(&self) -> anyhow::Result<()> {
        let started_at = Instant::now();
        loop {
            let before_ns = self.cpu_ns()?;
            std::thread::sleep(REST.0);
            if Duration::from_nanos(self.cpu_ns()?.saturating_sub(before_ns)) <= REST.1 {
                return Ok(());
            }
            ensure!(started_at.elapsed() < REST_TIMEOUT, "still busy after {} s", REST_TIMEOUT.as_secs());
        }
    }

    /// How many receipts it has given, under how many signatures. None: it is no node.
    pub(crate) fn receipts(&self) -> anyhow::Result<Option<[f64; 2]>> {
        let Some(metrics) = self.metrics.get() else { return Ok(None) };
        let (status, text) = get(metrics, "/metrics")?;
        ensure!(status == 200, "/metrics answered {status}");
        let text = String::from_utf8(text).context("/metrics")?;
        let names = ["lostcard_receipts_total", "lostcard_receipt_heads_total"];
        Ok(Some(names.map(|name| counter(&text, name).unwrap_or(0.0))))
    }

    /// Processor time used so far in seconds.
    pub(crate) fn cpu_seconds(&self) -> Option<f64> {
        cpu_seconds(self.process.id())
    }
}

/// Processor time that a process used so far in seconds, from /proc: fields 14 and 15 of `stat`, in hundredths (proc(5)).
pub(crate) fn cpu_seconds(id: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks = fields.split(' ').skip(11).take(2).map(|field| field.parse::<f64>().unwrap_or(0.0));
    Some(ticks.sum::<f64>() / 100.0)
}

impl Drop for Child {
    fn drop(&mut self) {
        stop(&mut self.process);
    }
}

/// Asks the process to end, and ends it when it does not.
fn stop(process: &mut std::process::Child) {
    let deadline = Instant::now() + STOP_TIMEOUT;
    if let Some(pid) = i32::try_from(process.id()).ok().and_then(rustix::process::Pid::from_raw) {
        // Still our child and not yet waited for: the id cannot be another's.
        if matches!(process.try_wait(), Ok(None))
            && rustix::process::kill_process(pid, rustix::process::Signal::TERM).is_ok()
        {
            while Instant::now() < deadline && matches!(process.try_wait(), Ok(None)) {
                std::thread::sleep(PAUSE);
            }
        }
    }
    // Both fail only when the process has ended already.
    let _ = process.kill();
    let _ = process.wait();
}

fn await_ready(
    process: &mut std::process::Child,
    addresses: &Receiver<String>,
    deadline: Instant,
) -> anyhow::Result<Target> {
    let mut target = None;
    while Instant::now() < deadline {
        if let Some(status) = process.try_wait()? {
            bail!("ended early: {status}");
        }
        if target.is_none()
            && let Ok(url) = addresses.recv_timeout(PAUSE)
        {
            target = Some(Target::parse(&url)?);
        }
        if let Some(target) = target {
            if get_status(&target, "/health/ready").is_ok_and(|status| status == 200) {
                return Ok(target);
            }
            std::thread::sleep(PAUSE);
        }
    }
    bail!("not ready within {} s", START_TIMEOUT.as_secs())
}

/// A counter without labels in the text format of Prometheus.
fn counter(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// Reads a pipe to its end so that the child never blocks on it; keeps the
/// last lines and hands on the addresses the child says it listens on.
fn drain(
    pipe: impl Read + Send + 'static,
    last_lines: LastLines,
    addresses: Option<(SyncSender<String>, Arc<OnceLock<Target>>)>,
) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if let Some((sender, metrics)) = &addresses {
                if let Some(url) = url_after(&line, METRICS_MARK).and_then(|url| Target::parse(&url).ok()) {
                    let _ = metrics.set(url);
                } else if let Some(url) = url_after(&line, READY_MARK) {
                    // The first one counts. Nobody listens any more once the start has timed out.
                    let _ = sender.try_send(url);
                }
            }
            let mut lines = last_lines.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() == LOG_LINES_KEPT {
                lines.pop_front();
            }
            lines.push_back(line);
        }
    });
}

/// The URL in a line such as `... listening on http://127.0.0.1:4711 ...`, without its path.
fn url_after(line: &str, mark: &str) -> Option<String> {
    let (before, after) = line.split_once(mark)?;
    if before.contains("metrics") {
        return None;
    }
    let authority = after.split(|character: char| character.is_whitespace() || "\",;/".contains(character)).next()?;
    Some(format!("http://{authority}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_found_in_a_log_line() {
        for (line, expected) in [
            ("listening on http://127.0.0.1:4711", Some("http://127.0.0.1:4711")),
            (r#"{"message":"listening on http://127.0.0.1:4711","x":1}"#, Some("http://127.0.0.1:4711")),
            ("metrics listening on http://127.0.0.1:9", None),
            ("starting", None),
        ] {
            assert_eq!(url_after(line, READY_MARK).as_deref(), expected, "{line}");
        }
        let metrics = url_after("metrics on http://127.0.0.1:9/metrics", METRICS_MARK);
        assert_eq!(metrics.as_deref(), Some("http://127.0.0.1:9"));
    }

    #[test]
    fn a_counter_is_read_by_its_whole_name() {
        let text = "# TYPE a_total counter\na_total_more 1\na_total 2\nb{a=\"1\"} 3\n";
        assert_eq!(["a_total", "b", "c"].map(|name| counter(text, name)), [Some(2.0), None, None]);
    }
}
