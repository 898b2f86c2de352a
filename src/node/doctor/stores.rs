//! The store as a node would find it: whether it is there, free and quick, whether it belongs to these keys and settings, and what in
//! its rows an operator has to correct.

use std::time::Duration;

use super::super::options;
use super::files::Keys;
use super::finding::{Finding, spoken};
use super::others;
use crate::clock::{Clock, Rfc3339};
use crate::config::Config;
use crate::crypto::Keyring;
use crate::domain::numbers::NumbersMode;
use crate::registry::building;
use crate::service::misfits::misfits;
use crate::store::examination::Migrated;
use crate::store::keys::KeyMatch;
use crate::store::log::LogStanding;
use crate::store::{Silence, Store, StoreError, StoreOptions};

/// Connections of a look.
const CONNECTIONS: u32 = 2;
/// A check that goes to the store takes a few such questions.
const SLOW: Duration = Duration::from_millis(50);
/// Two clocks that differ by more make lists of "since" wrong.
const CLOCKS_APART_WARNING: Duration = Duration::from_secs(1);
/// Tokens have so much of leeway by custom, and no more.
const CLOCKS_APART_WRONG: Duration = Duration::from_mins(1);
/// How far ahead of this machine's clock a row may be: clocks of several nodes differ.
const AHEAD_MAX: Duration = Duration::from_secs(2);
/// A change is in the log after a second; the alert waits as long.
const LOG_BEHIND_MAX: Duration = Duration::from_mins(1);
/// More would hide what else there is to read.
const CLIENTS_SHOWN: usize = 20;

const STORE: &str = "store";

/// All that is asked of the store.
pub(super) async fn store(config: &Config, clock: &Clock, keys: Keys, findings: &mut Vec<Finding>) {
    let options = StoreOptions { connections_max: CONNECTIONS, ..options::store_options(config) };
    let store = match Store::open_as_it_is(&options, &config.data).await {
        Ok(Some(store)) => store,
        Ok(None) => {
            findings.push(Finding::note(STORE, "there is none yet", "nothing: the first start makes it"));
            return;
        }
        Err(error) => {
            findings.push(failure(STORE, &error));
            return;
        }
    };
    findings.push(Finding::ok(STORE, store.place()));
    if let Err(error) = look(config, clock, &store, keys, findings).await {
        findings.push(failure(STORE, &error));
    }
    store.close().await;
}

async fn look(
    config: &Config,
    clock: &Clock,
    store: &Store,
    keys: Keys,
    findings: &mut Vec<Finding>,
) -> Result<(), StoreError> {
    if let Some((theirs, ours)) = store.now_ms(clock).await? {
        findings.push(clocks(theirs.since(ours).max(ours.since(theirs))));
    }
    let migrated = store.migrated().await?;
    let has_rows = migrations(&migrated, findings);
    if migrated.is_new {
        return Ok(());
    }
    findings.push(latency(store.latency(clock).await?, config.registry.store_timeout_ms));
    findings.push(match store.try_turn().await {
        Ok(()) => Finding::ok("store_turn", "a writer gets its turn"),
        Err(error) => failure("store_turn", &error),
    });
    if !has_rows {
        return Ok(());
    }
    if let Some(newest_ms) = store.newest_row_ms().await?
        && newest_ms > clock.now_ms().plus(AHEAD_MAX)
    {
        let found = format!("the newest row is of {}, which has not come here yet", Rfc3339::of(newest_ms).as_str());
        findings.push(Finding::wrong(
            "store_rows",
            found,
            "set this machine's clock; if it is right, another node's was wrong",
        ));
    } else {
        findings.push(Finding::ok("store_rows", "none is newer than this machine's clock"));
    }
    if let Some(environment) = store.known_environment().await?
        && environment != config.environment()
    {
        let (is, wanted) = (environment.as_str(), config.environment().as_str());
        let to_do = "name another store, or set `sandbox` as it is";
        findings.push(Finding::wrong("environment", format!("the store is a {is}'s, and this is a {wanted}"), to_do));
    }
    match keys {
        Keys::Read(keyring) => {
            match_keys(store, &keyring, findings).await?;
            findings.extend(others::webhooks(config, clock, store, keyring).await?);
        }
        Keys::None if store.knows_keys().await? => findings.push(Finding::wrong(
            "store_keys",
            "the store was made with keys that are not here",
            "restore the key folder: without it nobody can read the registry",
        )),
        Keys::None | Keys::Faulty => {}
    }
    clients(store, findings).await?;
    numbers(config, store, findings).await?;
    uncounted(config, store, findings).await?;
    listings(config, store, findings).await?;
    findings.push(log(config, clock, store).await?);
    Ok(())
}

/// The registry log: its newest checkpoint, and whether it follows what is listed.
async fn log(config: &Config, clock: &Clock, store: &Store) -> Result<Finding, StoreError> {
    const CHECK: &str = "log";
    if !config.blind.enabled {
        return Ok(Finding::ok(CHECK, "there is none: blind.enabled is off"));
    }
    let Some(LogStanding { head, feed, lacks_entries, is_cut }) = store.log_standing().await? else {
        return Ok(Finding::note(CHECK, "there is none yet", "nothing: the first node that serves begins it"));
    };
    if head.note.is_empty() {
        let to_do = "nothing: a node that serves publishes its first checkpoint within seconds";
        return Ok(Finding::note(CHECK, "it has begun, and has no checkpoint yet", to_do));
    }
    let age = clock.now_ms().since(head.signed_at);
    // A policy that cannot be read has a line of its own.
    let cosigned = match options::witnesses(config) {
        Ok(Some(witnesses)) => {
            let (signed, all) = witnesses.count_on(&head.note);
            format!(", cosigned by {signed} of {all} witnesses")
        }
        Ok(None) | Err(_) => String::new(),
    };
    let found = format!("the newest checkpoint is of {} leaves, {} old{cosigned}", head.size, spoken(age.as_secs()));
    let behind = feed.get().saturating_sub(head.sequence().get());
    if behind == 0 || lacks_entries || is_cut || age < LOG_BEHIND_MAX {
        return Ok(Finding::ok(CHECK, found));
    }
    let to_do = "start a node, or look in the log of those that run for what keeps them from publishing it";
    Ok(Finding::warning(CHECK, format!("{found}; {behind} changes are not in it"), to_do))
}

/// Whether the rows can be looked at.
fn migrations(migrated: &Migrated, findings: &mut Vec<Finding>) -> bool {
    const CHECK: &str = "migrations";
    let list = |versions: &[i64]| versions.iter().map(|version| format!("{version:04}")).collect::<Vec<_>>().join(", ");
    let (pending, unknown) = (&migrated.pending, &migrated.unknown);
    findings.push(if migrated.is_new {
        Finding::note(CHECK, "none ran yet", "nothing: the first start runs them")
    } else if !migrated.broken.is_empty() {
        let found = format!("{} failed half-way, or ran with another text", list(&migrated.broken));
        Finding::wrong(CHECK, found, "restore the back-up of before, and start the version that goes with it")
    } else if !pending.is_empty() {
        let to_do = "back up the store, then start one node of this version first";
        Finding::warning(CHECK, format!("{} did not run yet: the next start runs them", list(pending)), to_do)
    } else if !unknown.is_empty() {
        let to_do = "take this node to the version of the others when their deploy is done";
        Finding::warning(CHECK, format!("{} ran, which only a newer version knows", list(unknown)), to_do)
    } else {
        Finding::ok(CHECK, "all ran")
    });
    migrated.broken.is_empty() && pending.is_empty()
}

fn latency(median: Duration, timeout_ms: u64) -> Finding {
    const CHECK: &str = "store_latency";
    let found = format!("{} ms for a small question", median.as_millis());
    let to_do = "look for load on the database and on the way to it";
    if median >= Duration::from_millis(timeout_ms) {
        Finding::wrong(CHECK, format!("{found}: more than registry.store_timeout_ms"), to_do)
    } else if median >= SLOW {
        Finding::warning(CHECK, found, to_do)
    } else {
        Finding::ok(CHECK, found)
    }
}

fn clocks(apart: Duration) -> Finding {
    const CHECK: &str = "store_clock";
    let found = format!("this machine's clock and the database's are {} ms apart", apart.as_millis());
    let to_do = "find out which is wrong (`chronyc tracking` on both), and set it";
    match apart {
        _ if apart > CLOCKS_APART_WRONG => Finding::wrong(
            CHECK,
            format!("this machine's clock and the database's are {} apart", spoken(apart.as_secs())),
            to_do,
        ),
        _ if apart > CLOCKS_APART_WARNING => Finding::warning(CHECK, found, to_do),
        _ => Finding::ok(CHECK, found),
    }
}

/// A store that is dead is told from one that is busy.
fn failure(check: &'static str, error: &StoreError) -> Finding {
    let found = error.to_string();
    match error {
        StoreError::Busy => {
            let to_do = "find the writer that holds its lock (`fuser` on the file; pg_stat_activity), and let it end";
            Finding::warning(check, found, to_do)
        }
        StoreError::Dead { how, .. } => {
            let to_do = match how {
                Silence::Refused => "start the database there, or correct `database_url`",
                Silence::Unreachable => "look at the way there: routes, firewall, name",
                Silence::Hung => {
                    "look at the server: it takes connections and says nothing (disk, processor, a firewall that drops)"
                }
                Silence::Closed => {
                    "look at the server's log, and at what is between: is it PostgreSQL that listens there?"
                }
            };
            Finding::wrong(check, found, to_do)
        }
        StoreError::ReadOnly => Finding::wrong(check, found, "name the primary, or make its disk and file writable"),
        StoreError::Full => Finding::wrong(check, found, "make room on the disk of the database"),
        StoreError::Unavailable(cause) => {
            // Of the driver: it may quote the server, and never the URL.
            let to_do = "correct `database_url`, the rights of its user, or its file";
            let cause = cause.to_string();
            Finding::wrong(check, format!("{found}: {}", cause.lines().next().unwrap_or_default()), to_do)
        }
        _ => Finding::wrong(check, found, "see docs/OPERATIONS.md, Back up and restore"),
    }
}

/// Whether the keys are those of the store.
async fn match_keys(store: &Store, keyring: &Keyring, findings: &mut Vec<Finding>) -> Result<(), StoreError> {
    const CHECK: &str = "store_keys";
    let to_do = "restore the key folder that goes with this store, or name that store";
    let mut found = match store.match_keys(&keyring.check_values()).await? {
        KeyMatch::Same => None,
        KeyMatch::Unknown => {
            findings.push(Finding::note(
                CHECK,
                "the store knows no keys yet",
                "nothing: the first start tells it these",
            ));
            return Ok(());
        }
        KeyMatch::Different => {
            Some("these are not the keys that the store was made with: every look-up would be wrong".to_owned())
        }
        KeyMatch::Lacks { pepper } => Some(format!("rows are keyed by pepper {pepper}, which is not here")),
    };
    let checks = match keyring.later_checks() {
        Ok(checks) => checks,
        Err(error) => {
            findings.push(Finding::wrong(CHECK, error.to_string(), "restore the key folder"));
            return Ok(());
        }
    };
    for check in checks {
        let known = store.key_check(check.purpose, check.version).await?;
        if known.is_some_and(|value| value != check.value) {
            let (purpose, version) = (check.purpose.as_str(), check.version);
            found.get_or_insert(format!("{purpose} key {version} differs from this service's"));
        }
    }
    findings.push(match found {
        Some(found) => Finding::wrong(CHECK, found, to_do),
        None => Finding::ok(CHECK, "the store was made with these keys"),
    });
    Ok(())
}

/// Clients of before there was a rule.
async fn clients(store: &Store, findings: &mut Vec<Finding>) -> Result<(), StoreError> {
    const CHECK: &str = "clients";
    let misfits = misfits(store).await?;
    if misfits.is_empty() {
        findings.push(Finding::ok(CHECK, "each has what its organization's kind may have"));
    }
    for misfit in misfits.iter().take(CLIENTS_SHOWN) {
        let (id, kind, scopes) = (misfit.client_id, misfit.kind.as_str(), &misfit.forbidden);
        let found = format!("client {id} has scopes that the kind {kind} may not have: {scopes}");
        findings.push(Finding::warning(CHECK, found, misfit.command.clone()));
    }
    if misfits.len() > CLIENTS_SHOWN {
        let found = format!("{} more clients have such scopes", misfits.len() - CLIENTS_SHOWN);
        findings.push(Finding::warning(CHECK, found, "correct these first, then look again"));
    }
    Ok(())
}

/// Clients that may ask about as many numbers as they like.
async fn uncounted(config: &Config, store: &Store, findings: &mut Vec<Finding>) -> Result<(), StoreError> {
    const CHECK: &str = "uncounted";
    let uncounted = store.count_clients().await?.uncounted;
    findings.push(match uncounted {
        0 => Finding::ok(CHECK, "the numbers of each client are counted"),
        _ if config.sandbox => Finding::ok(CHECK, "clients whose numbers nobody counts: this is a sandbox"),
        _ => Finding::warning(
            CHECK,
            format!("clients whose numbers nobody counts, and who may read the list: {uncounted}"),
            "see `client list`; declare what each needs (`client numbers ID --guests 400/1d`)",
        ),
    });
    Ok(())
}

/// Whether nodes hold every listing. With a filter a look-up takes longer for a number that is listed.
async fn listings(config: &Config, store: &Store, findings: &mut Vec<Finding>) -> Result<(), StoreError> {
    const CHECK: &str = "listings";
    let (records, exact_mib) = (store.count_listing_records().await?, config.registry.exact_mib);
    findings.push(if building::fits(records, exact_mib << 20) {
        Finding::ok(CHECK, format!("{records} reports and replacements fit into registry.exact_mib"))
    } else {
        let found = format!(
            "{records} reports and replacements do not fit into registry.exact_mib ({exact_mib} MiB): a filter leads to the store, \
             and who sees packets tells the first look at a listed number by its time"
        );
        let wanted = building::mib_for(records);
        Finding::warning(CHECK, found, format!("set registry.exact_mib to {wanted} or more, where there is memory"))
    });
    Ok(())
}

/// Whether limits of numbers refuse.
async fn numbers(config: &Config, store: &Store, findings: &mut Vec<Finding>) -> Result<(), StoreError> {
    const CHECK: &str = "numbers";
    let mode = match config.limits.numbers_mode {
        Some(mode) => mode,
        None => store.numbers_mode().await?,
    };
    findings.push(match mode {
        NumbersMode::Enforce => Finding::ok(CHECK, "limits of numbers refuse"),
        NumbersMode::Observe if config.sandbox => Finding::ok(CHECK, "limits of numbers only count: this is a sandbox"),
        NumbersMode::Observe => Finding::warning(
            CHECK,
            "limits of numbers only count: a client may try as many as it likes",
            "declare what clients need (`client numbers`), then set limits.numbers_mode to enforce",
        ),
    });
    Ok(())
}
