//! An auditor's machine: `receipt audit` against a node, and a second program that verifies what it writes down. And what an operator's hand
//! does to a store.

use std::path::{Path, PathBuf};
use std::process::Command;

use lostcard::wiping::spawn_wiped;
use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe, Connection};

use crate::helpers::{TestApp, TestClient};

/// A change of the store that no node makes.
pub(crate) async fn rewrite(app: &TestApp, statements: &[String]) {
    sqlx::any::install_default_drivers();
    let embedded = || format!("sqlite:{}", app.config.data.join("lostcard.db").display());
    let url = app.config.database_url.clone().unwrap_or_else(embedded);
    let mut connection = AnyConnection::connect(&url).await.unwrap();
    for statement in statements {
        sqlx::query(AssertSqlSafe(statement.clone())).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

/// `receipt audit`: its exit code, what it said, and what the second program says of its evidence.
pub(crate) struct Judged {
    pub(crate) code: Option<i32>,
    pub(crate) said: Value,
    pub(crate) evidence: Option<String>,
}

/// An auditor's machine: what the command is given.
pub(crate) struct Auditor {
    folder: tempfile::TempDir,
    pub(crate) by: TestClient,
}

impl Auditor {
    pub(crate) async fn of(app: &TestApp) -> Self {
        let auditor = Self { folder: tempfile::tempdir().unwrap(), by: app.add_client("audit", None).await };
        auditor.write("jwks.json", &app.get("", "/.well-known/jwks.json").await.text);
        let credentials = json!({"client_id": auditor.by.client_id, "client_secret": auditor.by.secret});
        auditor.write("client.json", &credentials.to_string());
        auditor
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) async fn judge(&self, app: &TestApp, asked: &Value) -> Judged {
        self.judge_at(&format!("http://{}", app.address), asked).await
    }

    /// The same with further arguments.
    pub(crate) async fn judge_with(&self, app: &TestApp, asked: &Value, more: &[&str]) -> Judged {
        self.judge_by(&format!("http://{}", app.address), asked, more).await
    }

    /// The same, asking another address.
    pub(crate) async fn judge_at(&self, url: &str, asked: &Value) -> Judged {
        self.judge_by(url, asked, &[]).await
    }

    async fn judge_by(&self, url: &str, asked: &Value, more: &[&str]) -> Judged {
        let _ = std::fs::remove_file(self.path("evidence.json"));
        self.write("receipt.json", &asked.to_string());
        self.write("number", asked["id_number"].as_str().unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_lostcard"));
        command.env_clear().current_dir(self.folder.path());
        command.args(["receipt", "audit", "receipt.json", "--url", url, "--json"]);
        command.args(["--jwks", "jwks.json", "--id-number-file", "number", "--credentials", "client.json"]);
        command.args(["--evidence", "evidence.json", "--log", "log"]).args(more);
        let evidence = self.path("evidence.json");
        let jwks = self.path("jwks.json");
        let policy = more.iter().position(|word| *word == "--policy").and_then(|at| more.get(at + 1));
        let policy = policy.map(|name| self.path(name));
        // The node lives in this runtime, which must not wait.
        spawn_wiped(move || {
            let done = command.output().unwrap();
            let text = String::from_utf8_lossy(&done.stdout).into_owned();
            let errors = String::from_utf8_lossy(&done.stderr);
            let said = serde_json::from_str(&text).unwrap_or_else(|_| json!({"text": format!("{text}{errors}")}));
            let verified = evidence.exists().then(|| second_program(&evidence, &jwks, policy.as_deref()));
            Judged { code: done.status.code(), said, evidence: verified }
        })
        .await
        .unwrap()
    }

    #[track_caller]
    pub(crate) fn expect(judged: &Judged, code: i32, outcome: &str) {
        assert_eq!((judged.code, judged.said["outcome"].as_str()), (Some(code), Some(outcome)), "{}", judged.said);
        assert_eq!(
            judged.evidence.as_ref().is_some_and(|said| said.starts_with("CONTRADICTED")),
            code == 10,
            "{:?}",
            judged.evidence
        );
    }
}

/// What `tests/log/evidence.py` says of a file; the witnesses are those that its reader names.
pub(crate) fn second_program(evidence: &Path, jwks: &Path, policy: Option<&Path>) -> String {
    let mut python = Command::new("python3");
    python.arg("-B").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/log/evidence.py"));
    let done = python.arg(evidence).arg(jwks).args(policy).output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!(done.status.success(), text.starts_with("CONTRADICTED: "), "{text}{done:?}");
    text
}
