//! A witness as logs meet it: a process of its own, asked over HTTP by a log that this test plays.

use std::path::Path;
use std::process::{Command, Stdio};

use lostcard::crypto::signing::SigningKey;
use lostcard::crypto::tlog::checkpoint::AddCheckpoint;
use lostcard::crypto::tlog::note::{Note, SignatureType, sign};
use lostcard::crypto::tlog::proof::{Subtree, consistency, hashes};
use lostcard::crypto::tlog::tree::{Hash, leaf_hash, root};
use lostcard::crypto::tlog::{Checkpoint, VerifierKey};
use rustix::process::Signal;

use crate::run::{Folder, stderr};
use crate::servers::http_client;
use crate::servers::process::Process;

const ORIGIN: &str = "log.example/registry-log/1";

/// A log of a test: it signs what it is told to.
struct Log {
    key: SigningKey,
    leaves: Vec<Hash>,
}

impl Log {
    fn new() -> Self {
        let leaves = (0..64_u64).map(|leaf| leaf_hash(&leaf.to_be_bytes())).collect();
        Self { key: SigningKey::generate().unwrap(), leaves }
    }

    /// The same log, with another history from the tenth leaf on.
    fn lying(&self) -> Self {
        let mut leaves = self.leaves.clone();
        leaves[9] = leaf_hash(b"another");
        Self { key: SigningKey::from_pkcs8(self.key.pkcs8()).unwrap(), leaves }
    }

    fn verifier(&self) -> String {
        VerifierKey::new(ORIGIN, SignatureType::Ed25519, self.key.public().clone()).unwrap().to_string()
    }

    fn body(&self, old: u64, size: u64) -> String {
        let subtree = |of: Subtree| {
            let start = usize::try_from(of.index << of.height).unwrap();
            self.leaves.get(start..start + (1 << of.height)).map(root)
        };
        let proof = hashes(&consistency(old, size), subtree).unwrap();
        let root = root(&self.leaves[..usize::try_from(size).unwrap()]);
        let text = Checkpoint { origin: ORIGIN.to_owned(), size, root }.text();
        AddCheckpoint::body(old, &proof, &format!("{text}\n{}", sign(&self.key, ORIGIN, &text)))
    }
}

/// A running witness.
struct Witness {
    process: Process,
    verifier: VerifierKey,
    url: String,
}

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    kind: String,
    text: String,
}

impl Witness {
    fn start(data: &Path, log: &Log) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lostcard"));
        command.env_clear().args(["witness", "--listen", "127.0.0.1:0", "--name", "w.example/1", "--data"]).arg(data);
        command.args(["--log-key", &log.verifier(), "--log-key", &Log::new().verifier()]);
        let mut process = Process::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()));
        let lines = process.lines();
        let line = || lines.recv_timeout(std::time::Duration::from_secs(30)).unwrap();
        let verifier = VerifierKey::parse(&line()).unwrap();
        let url = line().rsplit(' ').next().unwrap().to_owned();
        Self { process, verifier, url }
    }

    fn ask(&self, body: &str) -> Answer {
        ask(&self.url, body)
    }

    /// Asks for what must be cosigned, and verifies the answer.
    #[track_caller]
    fn cosigns(&self, body: &str) {
        let answer = self.ask(body);
        assert_eq!(answer.status, 200, "{answer:?}");
        let note = format!("{}{}", body.split_once("\n\n").unwrap().1, answer.text);
        assert!(Note::parse(&note).unwrap().signed_by(&self.verifier).unwrap().time_s.is_some());
    }
}

fn ask(url: &str, body: &str) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = http_client().build().unwrap();
        let answer = client.post(format!("{url}/add-checkpoint")).body(body.to_owned()).send().await.unwrap();
        let kind = answer.headers().get("content-type").map_or("", |kind| kind.to_str().unwrap()).to_owned();
        Answer { status: answer.status().as_u16(), kind, text: answer.text().await.unwrap() }
    })
}

fn conflict(size: u64) -> Answer {
    Answer { status: 409, kind: "text/x.tlog.size".to_owned(), text: format!("{size}\n") }
}

#[test]
fn a_witness_answers_as_the_specification_says_and_remembers_it_after_a_kill() {
    let (folder, log) = (Folder::new(), Log::new());
    let data = folder.path().join("witness");
    let mut witness = Witness::start(&data, &log);
    assert_eq!(witness.verifier.name(), "w.example/1");
    witness.cosigns(&log.body(0, 5));
    assert_eq!(witness.ask(&log.body(0, 8)), conflict(5));
    witness.cosigns(&log.body(5, 12));
    for (status, body) in [
        (400, "old 12\n".to_owned()),
        (400, log.body(12, 20).replace("old 12", "old 21")),
        (404, log.body(12, 20).replace(ORIGIN, "other.example/registry-log/1")),
        // Another week's log of the same key, which has not signed this.
        (403, log.body(12, 20).replace(ORIGIN, "log.example/registry-log/2")),
        (403, log.body(12, 20).replace("\n20\n", "\n21\n")),
        (422, log.lying().body(12, 20)),
        (422, log.body(12, 20).replacen("old 12\n", &format!("old 12\n{}=\n", "A".repeat(43)), 1)),
        (413, "x".repeat(1 << 20)),
    ] {
        assert_eq!(witness.ask(&body).status, status, "{body:.300}");
    }
    let verifier = witness.verifier.clone();
    witness.process.kill();
    let witness = Witness::start(&data, &log);
    assert_eq!(witness.verifier, verifier, "its key is kept");
    assert_eq!(witness.ask(&log.body(0, 12)), conflict(12), "and so is what it cosigned");
    assert_eq!(witness.ask(&log.lying().body(12, 12)), conflict(12), "another root of the same size");
    witness.cosigns(&log.body(12, 12));
    witness.cosigns(&log.body(12, 20));
    let modes = std::fs::read_dir(&data).unwrap().map(|entry| {
        std::os::unix::fs::PermissionsExt::mode(&entry.unwrap().metadata().unwrap().permissions()) & 0o777
    });
    assert!(modes.inspect(|mode| assert_eq!(*mode, 0o600)).count() >= 3);
}

#[test]
fn of_histories_that_race_one_is_cosigned() {
    let (folder, log) = (Folder::new(), Log::new());
    let witness = Witness::start(&folder.path().join("witness"), &log);
    witness.cosigns(&log.body(0, 4));
    let bodies: Vec<_> =
        (0..16).map(|at| if at % 2 == 0 { log.body(4, 10 + at) } else { log.lying().body(4, 10 + at) }).collect();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let asked: Vec<_> = bodies.iter().map(|body| scope.spawn(|| witness.ask(body))).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    let cosigned: Vec<_> = (0..16).filter(|at| answers[*at].status == 200).collect();
    assert_eq!(cosigned.len(), 1, "{answers:?}");
    let known = 10 + cosigned[0] as u64;
    assert!(
        answers.iter().filter(|answer| answer.status != 200).all(|answer| *answer == conflict(known)),
        "{answers:?}"
    );
}

#[test]
fn a_witness_stops_when_it_is_told_to_and_refuses_what_is_no_key() {
    let (folder, log) = (Folder::new(), Log::new());
    let mut witness = Witness::start(&folder.path().join("witness"), &log);
    witness.process.signal(Signal::TERM);
    assert_eq!(witness.process.wait().code(), Some(0));
    let start = |name: &str, key: &str| {
        let args = ["witness", "--data", "other", "--listen", "127.0.0.1:0", "--name", name, "--log-key", key];
        stderr(&folder.run(&args).failure())
    };
    assert!(start("w", "log.example+00000000+AAAA").contains("not a verifier key"));
    assert!(start("w", &witness.verifier.to_string()).contains("the key of a witness"));
    assert!(start("a name", &log.verifier()).contains("neither spaces nor a plus sign"));
}
