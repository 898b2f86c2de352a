//! Whether a node is well, and what to do where it is not: settings, files, machine, store, and those that it speaks with. Invariants:
//! nothing is changed, made or started; what is found names no secret and no person. What a fresh node lacks (TLS on loopback, a
//! witness, a back-up) is a note: a well node has no warning.

mod files;
mod finding;
mod machine;
mod others;
mod stores;

use crate::clock::Clock;
use crate::config::{Config, ConfigError};

pub use finding::{Finding, State};

/// Settings that cannot be taken: nothing else can be looked at.
pub fn refused(error: &ConfigError) -> Vec<Finding> {
    let to_do = "correct it; `lostcard config print` shows each setting and where it is set";
    vec![Finding::wrong("configuration", error.to_string(), to_do)]
}

/// Everything, in the order in which a start would meet it.
pub async fn examine(config: &Config, clock: &Clock) -> Vec<Finding> {
    let set = config.count_set();
    let mut findings =
        vec![Finding::ok("configuration", format!("{set} settings are set, the others have their defaults"))];
    findings.push(files::data(config));
    findings.push(machine::disk(config));
    findings.push(machine::descriptors(config));
    findings.extend(machine::clock(clock));
    findings.extend(machine::listeners(config));
    findings.extend(files::tls(config, clock));
    findings.push(files::public_url(config));
    let keys = files::keys(config, &mut findings);
    stores::store(config, clock, keys, &mut findings).await;
    findings.push(others::redis(config).await);
    findings.extend(others::issuers(config).await);
    findings.push(files::journal(config, clock));
    findings.extend(others::witnesses(config).await);
    findings.push(others::audit_heads(config));
    findings.push(others::back_up());
    findings
}
