//! The demo as a newcomer meets it: every line that `serve --demo` prints is pasted into a shell and gives what it says.

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
