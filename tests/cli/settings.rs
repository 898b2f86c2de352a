//! `config check|print`: what is wrong with a setting, by key and place, and what is in effect, without a secret.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::run::{Folder, stderr, stdout};

#[test]
fn a_wrong_key_is_named_with_its_line_and_what_would_be_right() {
    let folder = Folder::new();
    for (toml, told) in [
        ("workers = 1\n[default]\nlistn = \"x\"\n", "line 3: unknown key `default.listn`; did you mean `listen`?"),
        ("listn = \"localhost:80\"\n", "line 1: unknown key `listn`; did you mean `listen`?"),
        ("\nworkers = \"many\"\n", "line 2: `workers` is \"many\"; it must be a whole number: 0 to 1024"),
        ("redis_url = \"http://a:s3same@b\"\n", "line 1: `redis_url` has a value that is not shown here; it must be"),
        ("public_url = \"https://a:s3same@b.example\"\n", "line 1: `public_url` has a value that is not shown here"),
    ] {
        let file = folder.write("lostcard.toml", toml);
        // With a password in it, it must be for its owner alone.
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let output = folder.run(&["config", "check", "--config", &file]).code(1);
        let said = stderr(&output);
        assert!(said.starts_with("error: ") && said.contains(told), "{said}");
        assert_eq!((said.lines().count(), stdout(&output).as_str()), (1, ""));
        let output = folder.run(&["config", "check", "--json", "--config", &file]).code(1);
        let value: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(value["state"], "wrong");
        assert!(value["found"].as_str().unwrap().contains(told), "{value}");
        folder.run(&["config", "print", "--config", &file]).code(1).stdout_eq("");
        assert!(!said.contains("s3same") && !value.to_string().contains("s3same"));
    }
}

#[test]
fn what_is_in_effect_is_a_file_again_and_shows_no_secret() {
    let folder = Folder::new();
    let file = folder.write("lostcard.toml", "listen = \"localhost:8080\"\nregistry.lease_ms = 2000\n");
    let environment =
        [("LOSTCARD_REDIS_URL", "redis://a:s3same@b"), ("LOSTCARD_DATABASE_URL", "postgres://a:s3same@b/c")];
    folder
        .run_with(&["config", "check", "--config", &file], &environment)
        .success()
        .stdout_eq("ok: 4 settings are set, the others have their defaults\n");
    let printed = stdout(&folder.run_with(&["config", "print", "--config", &file], &environment).success());
    let has = |line: &str| assert!(printed.lines().any(|printed| printed == line), "{line}: {printed}");
    has(&format!("listen = \"localhost:8080\"  # {file}, line 1"));
    has(&format!("registry.lease_ms = 2000  # {file}, line 2"));
    has("registry.poll_ms = 250");
    has("# redis_url is set by environment variable LOSTCARD_REDIS_URL, and not shown");
    has("# keys is not set");
    assert!(!printed.contains("s3same"));
    let again = folder.write("again.toml", &printed);
    let printed_again = stdout(&folder.run(&["config", "print", "--config", &again]).success());
    let values = |printed: &str| -> Vec<String> {
        let lines = printed.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.split("  # ").next().unwrap().to_owned()).collect()
    };
    assert_eq!(values(&printed_again), values(&printed));

    let told = folder.run_with(&["config", "print", "--json", "--config", &file], &environment).success();
    let told: Value = serde_json::from_str(&stdout(&told)).unwrap();
    let of = |key: &str| told["settings"].as_array().unwrap().iter().find(|setting| setting["key"] == key).unwrap();
    assert_eq!(of("listen")["value"], "localhost:8080");
    assert_eq!(
        of("registry.lease_ms"),
        &json!({"key": "registry.lease_ms", "set_by": format!("{file}, line 2"), "secret": false, "value": 2000})
    );
    assert_eq!((of("redis_url")["secret"].clone(), of("redis_url").get("value")), (json!(true), None));
    assert!(!told.to_string().contains("s3same"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no data folder is made");
}
