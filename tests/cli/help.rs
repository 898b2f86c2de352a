//! `--help` of every command, found by walking the commands that help itself lists. `SNAPSHOTS=overwrite` writes them again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use snapbox::Data;
use snapbox::data::DataFormat;

use crate::run::{Folder, stdout};

fn snapshots() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/snapshots")
}

/// The commands that a help text lists.
fn commands(help: &str) -> Vec<String> {
    let list = help.split("\nCommands:\n").nth(1).unwrap_or_default().split("\n\n").next().unwrap_or_default();
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_command_explains_itself() {
    let folder = Folder::new();
    let mut waiting = vec![Vec::new()];
    let mut written = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        let mut args: Vec<&str> = path.iter().map(String::as_str).collect();
        let name = format!("{}.txt", [&["lostcard"], args.as_slice()].concat().join("-"));
        args.push("--help");
        let expected = Data::read_from(&snapshots().join(&name), Some(DataFormat::Text));
        let output = folder.run(&args).success().stdout_eq(expected).stderr_eq("");
        for command in commands(&stdout(&output)) {
            waiting.push([path.as_slice(), &[command]].concat());
        }
        written.insert(name);
    }
    assert!(written.len() > 12, "{written:?}");
    let files = std::fs::read_dir(snapshots()).unwrap();
    let files: BTreeSet<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files, written, "a snapshot for each command and none beside");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "help makes no data folder");
}

#[test]
fn the_version_is_the_crates() {
    let version = format!("lostcard {}\n", env!("CARGO_PKG_VERSION"));
    Folder::new().run(&["--version"]).success().stdout_eq(version);
}
