//! The real binary on the store that the suite runs on, with everything it logs at the finest level in a file.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::backend;
use crate::servers::node;
pub(crate) use crate::servers::node::Node as Server;

/// Serves a data folder on ports of the system's choice.
pub(crate) fn serve(data: &Path, issuer: &str) -> Server {
    Server::start_with(data, |command| {
        command.args(["--public-url", issuer]).env("LOSTCARD_LOG", "trace").envs(variables(data));
    })
}

/// The binary on a data folder, without what the environment of the test run may say.
pub(crate) fn command(data: &Path) -> Command {
    let mut command = node::command(data);
    command.envs(variables(data));
    command
}

/// Runs a command to its end.
pub(crate) fn run(data: &Path, args: &[&str]) -> Output {
    command(data).args(args).output().unwrap()
}

/// Runs a command that must succeed and print JSON.
#[track_caller]
pub(crate) fn run_json(data: &Path, args: &[&str]) -> Value {
    let output = run(data, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

pub(crate) fn variables(data: &Path) -> impl Iterator<Item = (&'static str, String)> {
    let database = backend::database_url(data).map(|url| ("LOSTCARD_DATABASE_URL", url));
    // Listings come into Redis from nodes with a filter: who holds every listing asks nobody.
    let redis = backend::redis_url().map(|url| {
        [
            ("LOSTCARD_REDIS_URL", url),
            ("LOSTCARD_REDIS__TIMEOUT_MS", "1000".into()),
            ("LOSTCARD_REGISTRY__EXACT_MIB", "0".into()),
        ]
    });
    database.into_iter().chain(redis.into_iter().flatten())
}
