//! What the machine gives a node: place on its disk, descriptors, the time, and addresses to listen on.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;

use rustix::fs::statvfs;

use super::super::{descriptors, listening};
use super::finding::{Finding, spoken};
use crate::clock::{Clock, Rfc3339};
use crate::config::{Address, Config};
use crate::domain::instant::UnixMs;
use crate::own_files;

const MIB: u64 = 1 << 20;
/// Less is a matter of hours: a filter of ten million listings alone is written with 23 MB.
const FREE_MIB_WRONG: u64 = 128;
const FREE_MIB_WARNING: u64 = 2048;
/// So few connections are those of one busy proxy.
const CONNECTIONS_FEW: usize = 256;
/// 2026-11-01: this program is younger.
const MADE_MS: UnixMs = UnixMs::new(1_793_491_200_000);
/// What keeps the time of machines, as the kernel names processes (15 characters).
const TIME_KEEPERS: [&str; 6] = ["chronyd", "systemd-timesyn", "ntpd", "openntpd", "ptp4l", "phc2sys"];
/// systemd-timesyncd makes it when it has a time that it believes (systemd-timesyncd.service(8)).
const TIMESYNC_MARK: &str = "/run/systemd/timesync/synchronized";

/// The disk of the data folder, or of the folder in which it will be made.
pub(super) fn disk(config: &Config) -> Finding {
    let folder = config.data.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let about = match statvfs(folder) {
        Ok(about) => about,
        Err(error) => {
            let found = format!("{} cannot be asked for its place: {error}", folder.display());
            return Finding::warning("disk", found, "see whether the disk is there (`df`)");
        }
    };
    let free = about.f_bavail.saturating_mul(about.f_frsize) / MIB;
    let found = format!("{free} MiB are free for {}", config.data.display());
    let to_do = "make room or a larger disk: docs/OPERATIONS.md, Sizing";
    let lacks_files = about.f_files > 0 && about.f_favail < 1000;
    match free {
        _ if lacks_files => Finding::warning(
            "disk",
            format!("{} files can still be made there", about.f_favail),
            "remove files (`df -i`)",
        ),
        0..FREE_MIB_WRONG => Finding::wrong("disk", found, to_do),
        FREE_MIB_WRONG..FREE_MIB_WARNING => Finding::warning("disk", found, to_do),
        _ => Finding::ok("disk", found),
    }
}

/// Of this process: a unit may give the node another limit.
pub(super) fn descriptors(config: &Config) -> Finding {
    let (limit, connections) = descriptors::room(config);
    let found = format!("{limit} descriptors leave {connections} connections");
    let to_do = "raise the limit of open files (`ulimit -Hn`, LimitNOFILE=), and look as the node's user";
    if connections <= descriptors::CONNECTIONS_MIN {
        Finding::wrong("descriptors", found, to_do)
    } else if connections < CONNECTIONS_FEW {
        Finding::warning("descriptors", found, to_do)
    } else {
        Finding::ok("descriptors", found)
    }
}

/// What the clock shows, and who keeps it.
pub(super) fn clock(clock: &Clock) -> Vec<Finding> {
    let now_ms = clock.now_ms();
    let shown = Rfc3339::of(now_ms);
    let plausible = if now_ms < MADE_MS {
        let found = format!("it shows {}, before this program was made", shown.as_str());
        Finding::wrong("clock", found, "set the clock: days of cards and times of receipts would be wrong")
    } else {
        Finding::ok("clock", format!("it shows {}", shown.as_str()))
    };
    vec![plausible, time_source(time_keeper().as_deref(), Path::new(TIMESYNC_MARK).exists())]
}

fn time_source(keeper: Option<&str>, has_mark: bool) -> Finding {
    const CHECK: &str = "time_source";
    match keeper {
        Some("systemd-timesyn") if !has_mark => Finding::warning(
            CHECK,
            "systemd-timesyncd runs and has no time yet",
            "`timedatectl timesync-status` says why; UDP port 123 must be open",
        ),
        Some("systemd-timesyn") => Finding::ok(CHECK, "systemd-timesyncd keeps the time"),
        Some(keeper) => Finding::ok(CHECK, format!("{keeper} keeps the time")),
        None => Finding::note(
            CHECK,
            "no program that keeps the time is seen here; in a container it is the host's",
            "make sure that one runs (chronyd, systemd-timesyncd)",
        ),
    }
}

/// A process whose task it is.
fn time_keeper() -> Option<String> {
    let names = std::fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| {
        let is_process = entry.file_name().to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        is_process.then(|| own_files::read_text(&entry.path().join("comm")).ok())?
    });
    names.map(|name| name.trim().to_owned()).find(|name| TIME_KEEPERS.contains(&name.as_str()))
}

/// Every address that a node would listen on.
pub(super) fn listeners(config: &Config) -> Vec<Finding> {
    let mut found = vec![listener("listen", "listen", &config.listen)];
    found.extend(config.tls.plain_listen.as_ref().map(|address| listener("listen", "tls.plain_listen", address)));
    found.push(listener("metrics_listen", "metrics_listen", &config.metrics_listen));
    found
}

fn listener(check: &'static str, key: &str, address: &Address) -> Finding {
    match listening::first_of(address, TcpListener::bind) {
        Ok(_) => Finding::ok(check, format!("{address} is free")),
        Err(error) => match error.kind() {
            ErrorKind::AddrInUse if check == "metrics_listen" && address.is_default() => {
                Finding::note(check, format!("{address} is in use: a node takes another port and prints it"), "nothing")
            }
            ErrorKind::AddrInUse => Finding::note(
                check,
                format!("{address} is in use: by this node if it runs, else it cannot start"),
                format!("`ss -ltnp` shows by whom; `{key}` names another one"),
            ),
            ErrorKind::PermissionDenied => Finding::wrong(
                check,
                format!("{address} is not allowed for this user"),
                format!("give `{key}` a port of 1024 or more, or the unit AmbientCapabilities=CAP_NET_BIND_SERVICE"),
            ),
            _ => Finding::wrong(
                check,
                format!("{address} is no address of this machine: {error}"),
                format!("give `{key}` one that `ip address` shows, or 0.0.0.0"),
            ),
        },
    }
}

/// How long a thing has waited, as people say it.
pub(super) fn age(clock: &Clock, since_ms: UnixMs) -> String {
    spoken(clock.now_ms().since(since_ms).as_secs())
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn a_clock_before_this_program_is_wrong() {
        let states = |at| clock(&Clock::fixed_at(at))[0].state;
        assert_eq!(states(UnixMs::EPOCH), State::Wrong);
        assert_eq!(states(UnixMs::new(MADE_MS.get() - 1)), State::Wrong);
        assert_eq!(states(MADE_MS), State::Ok);
    }

    #[test]
    fn a_time_keeper_that_knows_no_time_is_a_warning() {
        assert_eq!(time_source(Some("systemd-timesyn"), false).state, State::Warning);
        assert_eq!(time_source(Some("systemd-timesyn"), true).state, State::Ok);
        assert_eq!(time_source(Some("chronyd"), false).state, State::Ok);
        assert_eq!(time_source(None, false).state, State::Note);
    }
}
