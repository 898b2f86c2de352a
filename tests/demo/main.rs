//! The demo as a newcomer meets it: every line that `serve --demo` prints is pasted into a shell and gives what it says.
//! Also the sandbox, as far as it is what a start makes and prints.
#![expect(
    clippy::unwrap_used,
    reason = "a failed assumption of a test is a failed test; helpers outside #[test] are linted"
)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // A signal that it can answer: its temporary folder goes with it.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

#[test]
fn every_printed_line_gives_what_it_says() {
    let child = Command::new(env!("CARGO_BIN_EXE_lostcard"))
        .args(["serve", "--demo", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut running = Running(child);
    let out = BufReader::new(running.0.stdout.take().unwrap());
    let lines: Vec<String> =
        out.lines().map(Result::unwrap).take_while(|line| !line.starts_with("API reference")).collect();
    assert!(lines.iter().any(|line| line.contains("DEMO")), "it says that it is a demo");
    let first = lines.iter().position(|line| line.starts_with('#')).unwrap();
    let script = &lines[first..];
    let expected: Vec<&str> = script.iter().filter_map(|line| line.split_once("-> ")).map(|(_, word)| word).collect();
    let story = "active card_listed open card_listed valid another_purpose held held returned not_listed \
        listed_place accepted issued card_listed not_listed active card_listed";
    let story: Vec<_> = story.split_whitespace().collect();
    assert_eq!(expected, [["not_listed", "card_listed", "other_card_listed"].as_slice(), &story].concat());
    let pasted = Command::new("bash").arg("-c").arg(script.join("\n")).output().unwrap();
    let answers = String::from_utf8(pasted.stdout).unwrap();
    let answers: Vec<&str> = answers.lines().collect();
    assert_eq!(answers.len(), expected.len(), "{answers:?} {}", String::from_utf8_lossy(&pasted.stderr));
    for (answer, word) in answers.iter().zip(expected) {
        assert!(answer.contains(&format!(r#":"{word}""#)), "expected {word}: {answer}");
    }
}

#[test]
fn a_demo_stays_on_loopback() {
    let refused = Command::new(env!("CARGO_BIN_EXE_lostcard"))
        .args(["serve", "--demo", "--listen", "0.0.0.0:0"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("loopback"));
}

/// What a sandbox on a folder prints, up to its last line; it is stopped then.
fn sandbox_start(folder: &std::path::Path, then: impl FnOnce(&[String])) {
    let child = Command::new(env!("CARGO_BIN_EXE_lostcard"))
        .current_dir(folder)
        .args(["serve", "--sandbox", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
        .env("LOSTCARD_DRAIN_SECONDS", "0")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut running = Running(child);
    let out = BufReader::new(running.0.stdout.take().unwrap());
    let lines: Vec<String> =
        out.lines().map(Result::unwrap).take_while(|line| !line.starts_with("More clients")).collect();
    assert!(lines.iter().any(|line| line.contains("SANDBOX")), "it says that it is a sandbox");
    then(&lines);
}

#[test]
fn a_sandbox_tells_its_secrets_once() {
    let folder = tempfile::tempdir().unwrap();
    let scopes = ["checks", "registry", "citizen", "audit"];
    let credentials = |lines: &[String]| {
        let told = lines.iter().filter_map(|line| line.trim().split_once(char::is_whitespace));
        let told = told.filter(|(scope, _)| scopes.contains(scope));
        told.map(|(scope, credentials)| (scope.to_owned(), credentials.trim().to_owned())).collect::<Vec<_>>()
    };
    sandbox_start(folder.path(), |lines| {
        let told = credentials(lines);
        assert_eq!(told.iter().map(|(scope, _)| scope.as_str()).collect::<Vec<_>>(), scopes);
        let url = lines[0].split_once(" on ").unwrap().1;
        let script = format!(
            r#"token=$(curl -s -u '{}' -d grant_type=client_credentials {url}/oauth2/token | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
            curl -s -X POST -H "Authorization: Bearer $token" {url}/v1/sandbox/reset
            curl -s -H "Authorization: Bearer $token" -H 'Content-Type: application/json' -d '{{"id_number":"119999199001011023","purpose":"lodging"}}' {url}/v1/checks"#,
            told[0].1
        );
        let pasted = Command::new("bash").arg("-c").arg(script).output().unwrap();
        let answers = String::from_utf8(pasted.stdout).unwrap();
        assert!(answers.contains("registry_sequence") && answers.contains(r#""number_listed""#), "{answers}");
    });
    assert!(folder.path().join("lostcard-sandbox").is_dir() && !folder.path().join("lostcard-data").exists());
    sandbox_start(folder.path(), |lines| assert_eq!(credentials(lines), []));
    for (args, told) in [
        (&["serve", "--data", "lostcard-sandbox"] as &[&str], "is a sandbox's"),
        (&["client", "list", "--data", "lostcard-sandbox"], "is a sandbox's"),
        (&["serve", "--demo", "--sandbox"], "--demo or --sandbox"),
    ] {
        let refused =
            Command::new(env!("CARGO_BIN_EXE_lostcard")).current_dir(folder.path()).args(args).output().unwrap();
        let error = String::from_utf8_lossy(&refused.stderr);
        assert!(refused.status.code() == Some(1) && error.contains(told), "{args:?}: {error}");
    }
}
