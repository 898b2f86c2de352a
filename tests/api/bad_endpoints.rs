//! tests/bad-inputs.json, target `webhook_or_jwks_url`: addresses that the service must not be made to connect to. Both are the
//! operator's to name, on the command line and in the configuration; refused there, the operator's own words may be repeated.

use std::path::Path;
use std::process::Output;

use crate::bad_inputs::{Row, Suite};
use crate::child;

/// Rows whose text is a good URL: what they mean shows when something is sent. The tests of that, in `webhooks.rs`.
const SHOWN_WHEN_SENT: &[(&str, &str)] =
    &[("WEB-010", "nothing_is_sent_to_addresses_that_are_not_public"), ("WEB-012", "redirects_are_not_followed")];

fn is_refused(output: &Output) -> bool {
    // A status of its own, not a panic, and one line that says why.
    output.status.code() == Some(1) && String::from_utf8_lossy(&output.stderr).trim_end().lines().count() == 1
}

#[tokio::test]
async fn webhooks_are_not_added_for_addresses_that_are_not_public() {
    let suite = Suite::start().await;
    let data = suite.folder.path().join("data");
    let organization = suite.one.organization.to_string();
    for row in Row::of("webhook_or_jwks_url") {
        let output = child::run(&data, &["webhook", "add", "--organization", &organization, "--url", &row.input]);
        let is_good = SHOWN_WHEN_SENT.iter().any(|(id, _)| *id == row.id);
        assert_eq!(output.status.success(), is_good, "{}: {output:?}", row.id);
        assert!(is_good || is_refused(&output), "{}: {output:?}", row.id);
        assert!(!String::from_utf8_lossy(&output.stderr).contains("user:pw"), "{}: a password is repeated", row.id);
    }
    let added = child::run_json(&data, &["webhook", "list", "--json"]);
    assert_eq!(added["webhooks"].as_array().map(Vec::len), Some(SHOWN_WHEN_SENT.len()), "{added}");
    let tests = include_str!("webhooks.rs");
    assert!(SHOWN_WHEN_SENT.iter().all(|(_, test)| tests.contains(&format!("fn {test}()"))));
}

#[test]
fn keys_of_issuers_are_not_fetched_from_bad_addresses() {
    let folder = tempfile::tempdir().unwrap();
    for row in Row::of("webhook_or_jwks_url") {
        let file = folder.path().join("lostcard.toml");
        let text = format!(
            "[[issuers]]\nissuer = \"https://login.example\"\naudience = \"a\"\norganizations = [\"01993c5e-0000-7000-8000-000000000000\"]\nscopes = [\"checks\"]\njwks_url = {:?}\n",
            row.input
        );
        std::fs::write(&file, text).unwrap();
        let output = init(&folder.path().join("data"), &file);
        let is_good = SHOWN_WHEN_SENT.iter().any(|(id, _)| *id == row.id);
        assert_eq!(output.status.success(), is_good, "{}: {output:?}", row.id);
        assert!(!String::from_utf8_lossy(&output.stderr).contains("user:pw"), "{}: a password is repeated", row.id);
    }
}

/// A command that reads the whole configuration.
fn init(data: &Path, config: &Path) -> Output {
    child::command(data).arg("--config").arg(config).args(["keys", "init", "--store"]).output().unwrap()
}
