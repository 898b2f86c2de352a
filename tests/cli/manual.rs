//! Completions and manual pages: every command has its page, and shells and `man`, where they are there, take them without a word.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::run::{Folder, stdout};

/// What a program says on both of its outputs; none where it is not installed.
fn said(program: &str, args: &[&str], file: &Path) -> Option<String> {
    let output = Command::new(program).args(args).arg(file).stdin(Stdio::null()).output().ok()?;
    assert!(output.status.success(), "{program} {}: {output:?}", file.display());
    Some(String::from_utf8(output.stderr).unwrap())
}

#[test]
fn shells_take_their_completions() {
    let folder = Folder::new();
    for (shell, args) in [("bash", ["-n"].as_slice()), ("zsh", &["-n"]), ("fish", &["--no-execute"])] {
        let script = stdout(&folder.run(&["completions", shell]).success());
        for word in ["serve", "rotate-secret", "database-url", "completions"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
        let file = folder.path().join(shell);
        std::fs::write(&file, script).unwrap();
        let complaint = said(shell, args, &file).unwrap_or_default();
        assert_eq!(complaint, "", "{shell}");
    }
    folder.run(&["completions", "no-such-shell"]).code(2);
}

#[test]
fn every_command_has_its_page() {
    let folder = Folder::new();
    folder.run(&["man", "pages"]).success().stdout_eq("").stderr_eq("");
    let pages = std::fs::read_dir(folder.path().join("pages")).unwrap().map(|entry| entry.unwrap().path());
    let pages: BTreeSet<_> = pages.collect();
    let stem = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let names: BTreeSet<_> = pages.iter().map(|path| stem(path)).collect();
    // The snapshots of help, which `help.rs` keeps complete.
    let snapshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/snapshots");
    let commands: BTreeSet<_> =
        std::fs::read_dir(snapshots).unwrap().map(|entry| stem(&entry.unwrap().path())).collect();
    assert_eq!(names, commands);
    for page in &pages {
        let text = std::fs::read_to_string(page).unwrap();
        assert!(text.contains(".SH NAME") && !text.contains("EXTRA"), "{}", page.display());
        assert!(text.contains(concat!("lostcard ", env!("CARGO_PKG_VERSION"))), "{}", page.display());
        let complaint = said("man", &["--warnings", "-l"], page).unwrap_or_default();
        assert_eq!(complaint, "", "{}", page.display());
    }
    let serve = std::fs::read_to_string(folder.path().join("pages/lostcard-serve.1")).unwrap();
    assert!(serve.contains(".SH EXAMPLES\n.nf\n") || !serve.contains("Examples:"), "{serve}");
    // Nothing else is made, no data folder above all.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
