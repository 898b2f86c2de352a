//! Running the binary, in a folder of its own and without the environment of the test run.

use std::path::Path;
use std::process::Command as Process;

use serde_json::Value;
use snapbox::cmd::{Command, OutputAssert};
use tempfile::TempDir;

/// A working folder in which a command's defaults and files lie.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Runs a command line; its data folder is the default one, in this folder.
    pub(crate) fn run(&self, args: &[&str]) -> OutputAssert {
        self.run_with(args, &[])
    }

    pub(crate) fn run_with(&self, args: &[&str], environment: &[(&str, &str)]) -> OutputAssert {
        let mut process = Process::new(env!("CARGO_BIN_EXE_lostcard"));
        process.env_clear().envs(environment.iter().copied()).current_dir(self.path()).args(args);
        Command::from_std(process).timeout(std::time::Duration::from_secs(30)).assert()
    }

    /// Runs a command that reads its standard input.
    pub(crate) fn run_reading(&self, args: &[&str], input: &str) -> OutputAssert {
        let mut process = Process::new(env!("CARGO_BIN_EXE_lostcard"));
        process.env_clear().current_dir(self.path()).args(args);
        Command::from_std(process).stdin(input).timeout(std::time::Duration::from_secs(30)).assert()
    }

    /// Runs a command that must succeed and print one JSON value.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let output = self.run(args).success();
        serde_json::from_slice(&output.get_output().stdout).unwrap()
    }

    /// Registers an organization; its id.
    pub(crate) fn organization(&self) -> String {
        let args =
            ["organization", "create", "--name", "Harbour", "--kind", "certifying", "--region", "110105", "--json"];
        self.json(&args)["organization_id"].as_str().unwrap().to_owned()
    }
}

/// What a command wrote to standard error.
pub(crate) fn stderr(output: &OutputAssert) -> String {
    String::from_utf8(output.get_output().stderr.clone()).unwrap()
}

/// What a command wrote to standard output.
pub(crate) fn stdout(output: &OutputAssert) -> String {
    String::from_utf8(output.get_output().stdout.clone()).unwrap()
}
