//! What lies on the node's own disk: data folder, keys, certificates, the journal of sightings; and the name that it goes by.

use std::path::Path;
use std::sync::Arc;

use super::super::options;
use super::finding::{Finding, spoken};
use super::machine::age;
use crate::clock::Clock;
use crate::config::Config;
use crate::crypto::Keyring;
use crate::crypto::keyfiles::KeyFolder;
use crate::http::pipeline::authorities::Authorities;
use crate::http::pipeline::tls::examine;
use crate::own_files;
use crate::service::sightings::waiting::waiting;

const DAY_S: u64 = 86_400;
/// Authorities renew earlier than that: later it is forgotten.
const RENEW_DAYS: u64 = 14;
/// A node moves sightings every second.
const MOVED_WITHIN_S: u64 = 60;

/// The data folder.
pub(super) fn data(config: &Config) -> Finding {
    const CHECK: &str = "data";
    let (path, shown) = (config.data.as_path(), config.data.display());
    if std::fs::symlink_metadata(path).is_err() {
        return Finding::note(CHECK, format!("{shown} does not exist"), "nothing: the first start makes it");
    }
    if !path.is_dir() {
        return Finding::wrong(CHECK, format!("{shown} is no folder"), "name another one as `data`");
    }
    let to_do = format!("chown it to the node's user, and chmod 700 {shown}");
    let can_write = rustix::fs::access(path, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok();
    match own_files::judge_folder(path) {
        Err(error) => Finding::wrong(CHECK, format!("{shown} cannot be looked at: {error}"), to_do),
        Ok(_) if !can_write => Finding::wrong(CHECK, format!("{shown} cannot be written by this user"), to_do),
        Ok(Err(why)) => Finding::warning(CHECK, format!("{shown} {why}"), to_do),
        Ok(Ok(())) => Finding::ok(CHECK, format!("{shown} is for its owner alone")),
    }
}

/// The keys of a node.
pub(super) enum Keys {
    /// There are none.
    None,
    /// They cannot be used, which has been said.
    Faulty,
    Read(Arc<Keyring>),
}

/// The key folder, and the keys in it where they can be read.
pub(super) fn keys(config: &Config, findings: &mut Vec<Finding>) -> Keys {
    const CHECK: &str = "keys";
    let folder = KeyFolder::new(config.key_folder());
    let shown = folder.path().display();
    let files = match folder.list() {
        Ok(files) => files.unwrap_or_default(),
        Err(error) => {
            findings.push(Finding::wrong(
                CHECK,
                format!("{shown} cannot be read: {error}"),
                "chown it to the node's user",
            ));
            return Keys::Faulty;
        }
    };
    if files.is_empty() {
        let to_do = "restore them if this node had some; else the first start makes them";
        findings.push(Finding::note(CHECK, format!("{shown} holds no keys"), to_do));
        return Keys::None;
    }
    if folder.is_sandbox() != config.sandbox {
        let whose =
            if config.sandbox { "a production's, and this is a sandbox" } else { "a sandbox's, and this is none" };
        findings.push(Finding::wrong(
            CHECK,
            format!("the keys in {shown} are {whose}"),
            "name another folder as `keys`",
        ));
        return Keys::Faulty;
    }
    let before = findings.len();
    if let Ok(Err(why)) = own_files::judge_folder(folder.path()) {
        findings.push(Finding::wrong(CHECK, format!("{shown} {why}"), format!("chmod 700 {shown}")));
    }
    for (file, why) in files.iter().filter_map(|file| Some((file, file.refusal?))) {
        let path = file.path.display();
        let to_do =
            format!("chown it to the node's user, and chmod 600 {path}; if somebody else may have read it, rotate it");
        findings.push(Finding::wrong(CHECK, format!("{path} {why}"), to_do));
    }
    if findings.len() > before {
        return Keys::Faulty;
    }
    let count = files.len();
    match Keyring::open(folder) {
        Ok(keyring) => {
            findings.push(Finding::ok(CHECK, format!("{count} files in {}", config.key_folder().display())));
            Keys::Read(Arc::new(keyring))
        }
        Err(error) => {
            findings.push(Finding::wrong(CHECK, error.to_string(), "restore the folder from its back-up"));
            Keys::Faulty
        }
    }
}

/// Certificate and key of the node, and the authorities of its clients.
pub(super) fn tls(config: &Config, clock: &Clock) -> Vec<Finding> {
    let mut findings = vec![match options::tls_options(config) {
        None => without_tls(config),
        Some(tls) => match examine(&tls) {
            Err(error) => Finding::wrong("tls", error.to_string(), "put certificate and key there that go together"),
            Ok(ends_at_s) => certificate(&tls.certificate, ends_at_s, clock.now_s()),
        },
    }];
    if let Some(path) = &config.tls.client_ca {
        findings.push(match Authorities::new(path.clone()) {
            Ok(_) => Finding::ok("client_ca", format!("{} can be read", path.display())),
            Err(error) => {
                Finding::wrong("client_ca", error.to_string(), "put the authorities' certificates there, as PEM")
            }
        });
    }
    findings
}

fn without_tls(config: &Config) -> Finding {
    const CHECK: &str = "tls";
    if config.listen.is_loopback() {
        return Finding::note(
            CHECK,
            "none: only this machine reaches the node",
            "a proxy with TLS, or tls.certificate, before others do",
        );
    }
    if !config.server.trusted_proxies.is_empty() {
        return Finding::note(
            CHECK,
            "none here: the trusted proxies do it",
            "keep others from reaching the node past them",
        );
    }
    let found = format!("{} is reached by others without TLS: tokens and numbers are read on their way", config.listen);
    Finding::warning(CHECK, found, "set tls.certificate and tls.key, or listen on loopback behind a proxy")
}

fn certificate(path: &Path, ends_at_s: i64, now_s: i64) -> Finding {
    const CHECK: &str = "tls";
    let shown = path.display();
    let to_do = "renew it and put it in its place: the node takes it up within two seconds";
    match u64::try_from(ends_at_s - now_s) {
        Err(_) => {
            let since = spoken(now_s.abs_diff(ends_at_s));
            Finding::wrong(CHECK, format!("the certificate in {shown} has ended, {since} ago"), to_do)
        }
        Ok(left) if left < RENEW_DAYS * DAY_S => {
            Finding::warning(CHECK, format!("the certificate in {shown} ends in {}", spoken(left)), to_do)
        }
        Ok(left) => Finding::ok(CHECK, format!("the certificate in {shown} ends in {}", spoken(left))),
    }
}

/// The name in tokens and receipts.
pub(super) fn public_url(config: &Config) -> Finding {
    const CHECK: &str = "public_url";
    match &config.public_url {
        Some(url) => Finding::ok(CHECK, format!("receipts carry {url}")),
        None if config.listen.is_loopback() => Finding::note(
            CHECK,
            "none: receipts carry the listener's address",
            "set it before the first receipt that must last",
        ),
        None => Finding::warning(
            CHECK,
            "none: receipts carry the listener's address, which others cannot tell apart",
            "set it to the URL that clients use: it stays for years",
        ),
    }
}

/// Sightings on their way to the store.
pub(super) fn journal(config: &Config, clock: &Clock) -> Finding {
    const CHECK: &str = "journal";
    let folder = config.data.join("sightings");
    let found = match waiting(&folder) {
        Ok(found) => found,
        Err(error) => {
            let found = format!("{} cannot be read: {error}", folder.display());
            return Finding::wrong(CHECK, found, "chown it to the node's user");
        }
    };
    let limit = config.sightings.journal_mib_max << 20;
    let (segments, kib) = (found.segments, found.bytes >> 10);
    let Some(oldest_ms) = found.oldest_ms else {
        return Finding::ok(CHECK, "no sighting waits for the store");
    };
    let waits = format!("{segments} segments ({kib} KiB) wait for the store, the oldest for {}", age(clock, oldest_ms));
    let to_do = "start the node of this folder, or look in its log for why it does not move them";
    if found.bytes >= limit {
        return Finding::wrong(CHECK, format!("{waits}: it is full, and further sightings are lost"), to_do);
    }
    if clock.now_ms().since(oldest_ms).as_secs() < MOVED_WITHIN_S {
        return Finding::ok(CHECK, waits);
    }
    Finding::warning(CHECK, waits, to_do)
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn a_certificate_is_renewed_in_time() {
        let state = |ends_at_s| certificate(Path::new("a.pem"), ends_at_s, 1_000_000).state;
        assert_eq!(state(999_999), State::Wrong);
        assert_eq!(state(1_000_000), State::Warning);
        assert_eq!(state(1_000_000 + 14 * 86_400 - 1), State::Warning);
        assert_eq!(state(1_000_000 + 14 * 86_400), State::Ok);
    }
}
