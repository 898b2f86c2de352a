//! A node refuses to start with keys that are wrong, missing or open to others: every look-up would be wrong, or no secret.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use lostcard::clock::Clock;
use lostcard::config::Config;
use lostcard::node::{self, Application};

use crate::child;
use crate::helpers::config_in;

async fn made(folder: &tempfile::TempDir) -> Config {
    let config = config_in(folder);
    node::open(&config).await.unwrap().0.close().await;
    config
}

async fn refusal(config: &Config) -> String {
    format!("{:#}", Application::build(config, Clock::System).await.unwrap_err())
}

/// The binary refuses as well, with exit code 1, and says so on standard error.
fn binary_refuses(data: &Path) -> String {
    let output = child::run(data, &["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), b"".as_slice()));
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn an_empty_key_folder_of_a_store_with_keys_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = made(&folder).await;
    std::fs::rename(config.key_folder(), folder.path().join("elsewhere")).unwrap();
    assert!(refusal(&config).await.contains("the key folder is empty"));
    assert!(binary_refuses(&config.data).contains("restore them"));
    assert!(!config.key_folder().exists(), "no new keys were made in its place");
    // With the keys back it starts again.
    std::fs::rename(folder.path().join("elsewhere"), config.key_folder()).unwrap();
    assert!(Application::build(&config, Clock::System).await.is_ok());
}

#[tokio::test]
async fn the_keys_of_another_store_are_refused() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut config, others) = (made(&folder).await, made(&other).await);
    config.keys = Some(others.key_folder());
    assert!(refusal(&config).await.contains("not the keys that the store was made with"));
}

/// A node that signed with a key of its own would be refused by the others.
#[tokio::test]
async fn a_signing_key_that_other_nodes_do_not_have_is_refused() {
    for (purpose, end) in
        [("token", "pem"), ("receipt", "pem"), ("certificate", "pem"), ("log", "pem"), ("audit", "key")]
    {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (config, others) = (made(&folder).await, made(&other).await);
        let name = format!("{purpose}-1.{end}");
        let (own, foreign) = (config.key_folder().join(&name), others.key_folder().join(&name));
        let kept = std::fs::read(&own).unwrap();
        std::fs::copy(foreign, &own).unwrap();
        assert!(refusal(&config).await.contains(&format!("{purpose} key 1 differs from this service")));
        std::fs::write(&own, kept).unwrap();
        child::run_json(
            &config.data,
            &["keys", "rotate", "--tokens", "--receipts", "--certificates", "--log", "--json"],
        );
        assert!(Application::build(&config, Clock::System).await.is_ok(), "a rotated one is taken");
    }
}

#[tokio::test]
async fn one_wrong_key_among_right_ones_is_refused() {
    for key in ["pepper-1.key", "seal-1.key"] {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (config, others) = (made(&folder).await, made(&other).await);
        std::fs::copy(others.key_folder().join(key), config.key_folder().join(key)).unwrap();
        assert!(refusal(&config).await.contains("not the keys that the store was made with"), "{key}");
    }
}

#[tokio::test]
async fn each_missing_key_is_named() {
    for (file, purpose) in [
        ("pepper-1.key", "pepper"),
        ("seal-1.key", "seal"),
        ("audit-1.key", "audit"),
        ("token-1.pem", "token"),
        ("receipt-1.pem", "receipt"),
        ("certificate-1.pem", "certificate"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let config = made(&folder).await;
        std::fs::remove_file(config.key_folder().join(file)).unwrap();
        assert!(refusal(&config).await.contains(&format!("holds no {purpose} key")), "{file}");
    }
}

#[tokio::test]
async fn a_key_that_others_can_read_is_refused() {
    for file in
        ["pepper-1.key", "seal-1.key", "audit-1.key", "token-1.pem", "receipt-1.pem", "certificate-1.pem", "log-1.pem"]
    {
        let folder = tempfile::tempdir().unwrap();
        let config = made(&folder).await;
        let path = config.key_folder().join(file);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let message = refusal(&config).await;
        assert!(message.contains("can be read or changed by others (mode 644)") && message.contains(file), "{message}");
        assert!(binary_refuses(&config.data).contains("chmod 600"));
    }
}

#[tokio::test]
async fn a_damaged_key_is_refused_without_being_shown() {
    let folder = tempfile::tempdir().unwrap();
    let config = made(&folder).await;
    let path = config.key_folder().join("pepper-1.key");
    let secret = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &secret[..20]).unwrap();
    let message = refusal(&config).await;
    assert!(message.contains("does not hold a key of its kind") && !message.contains(&secret[..20]), "{message}");
}

#[tokio::test]
async fn two_first_starts_at_once_make_one_set_of_keys() {
    let folder = tempfile::tempdir().unwrap();
    let data = config_in(&folder).data;
    let create = || {
        let args =
            ["organization", "create", "--name", "Harbour", "--kind", "certifying", "--region", "110105", "--json"];
        child::command(&data).args(args).stdout(std::process::Stdio::null()).spawn().unwrap()
    };
    for mut child in [create(), create(), create()] {
        assert!(child.wait().unwrap().success());
    }
    assert!(node::open(&config_in(&folder)).await.is_ok());
}
