//! Passkeys of persons beside the way itself: the settings, the command line, and what waits in the store.

use std::time::Duration;

use lostcard::config::Config;
use lostcard::crypto::random;
use lostcard::domain::person::Role;
use lostcard::node::options;
use lostcard::store::passkeys::Ceremony;
use serde_json::{Value, json};

use crate::child;
use crate::helpers::eventually;
use crate::passkey::{ASK_NEW, ASK_WHO, Authenticator, Operators, Person, REGISTER, SIGN_IN, Way, asked};

const ORGANIZATIONS: &str = "/v1/admin/organizations";

#[tokio::test]
async fn without_the_setting_nobody_signs_in_and_no_token_is_taken() {
    let operators = Operators::spawn().await;
    let app = &operators.app;
    let mut wang = Person::register(app, "wang", Role::Operator).await;
    let token = wang.token(app).await;
    let without = app.sibling_with(|config| config.admin_passkeys.client = None).await;
    without.get(&token, ORGANIZATIONS).await.problem(401, "invalid_token");
    without.post("", ASK_WHO, &json!({})).await.problem(404, "not_found");
    let (ceremony, code) = ("01a20ae3-5b10-7a44-8c02-3f1d2e9b7a61", "AAAAAAAAAAAAAAAAAAAAAA");
    without.post("", ASK_NEW, &json!({ "code": code })).await.problem(404, "not_found");
    for path in [REGISTER, SIGN_IN] {
        without.post("", path, &json!({"ceremony_id": ceremony, "credential": {}})).await.problem(404, "not_found");
    }
    assert_eq!(app.get("", "/console/provider.json").await.json(), json!({"state": "passkeys"}));
    assert_eq!(without.get("", "/console/provider.json").await.json(), json!({"state": "none"}));
}

#[tokio::test]
async fn questions_that_nobody_answers_are_bounded() {
    let operators = Operators::spawn().await;
    let app = &operators.app;
    let now_ms = app.clock.now_ms();
    let ceremony =
        |invitation| Ceremony { invitation, state: vec![0], expires_at_ms: now_ms.plus(Duration::from_mins(5)) };
    // A registration needs a link, and gives way to nobody.
    let registration = random::id(now_ms);
    app.store.begin_ceremony(registration, &ceremony(Some([7; 32])), 3, now_ms).await.unwrap();
    let first = random::id(now_ms);
    app.store.begin_ceremony(first, &ceremony(None), 3, now_ms).await.unwrap();
    let later_ms = now_ms.plus(Duration::from_secs(1));
    let rest = Ceremony { expires_at_ms: later_ms.plus(Duration::from_mins(5)), ..ceremony(None) };
    for _ in 0..3 {
        app.store.begin_ceremony(random::id(later_ms), &rest, 3, later_ms).await.unwrap();
    }
    assert!(app.store.take_ceremony(first, later_ms).await.unwrap().is_none(), "the oldest gave way");
    assert!(app.store.take_ceremony(registration, later_ms).await.unwrap().is_some());
}

#[tokio::test]
async fn the_command_line_invites_lists_and_ends() {
    let operators = Operators::spawn().await;
    let app = &operators.app;
    let client = operators.client.client_id.to_string();
    let run = |args: &[&str]| {
        let mut command = child::command(&app.config.data);
        command.env("LOSTCARD_ADMIN__PASSKEYS__CLIENT", &client).env("LOSTCARD_PUBLIC_URL", "http://lostcard.test");
        command.args(args).output().unwrap()
    };
    let told = |args: &[&str]| -> Value {
        let output = run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let by = ["--as", "Li Lei", "--reason", "a new colleague", "--json"];
    let invited = told(&[&["person", "invite", "Wang Fang", "--role", "security"], by.as_slice()].concat());
    let link = invited["link"].as_str().unwrap();
    let code = link.strip_prefix("http://lostcard.test/console#invite=").unwrap();
    let (ceremony, options) = asked(app, ASK_NEW, &json!({ "code": code })).await;
    assert_eq!(options["user"]["displayName"], "Wang Fang");
    let mut key = Authenticator::new();
    let body = json!({"ceremony_id": ceremony, "credential": key.make(&options, &Way::default())});
    let made = app.post("", REGISTER, &body).await;
    assert_eq!((made.status, &made.json()["role"]), (201, &json!("security")), "{}", made.text);
    let id = invited["person_id"].as_str().unwrap();
    let mut wang = Person { key, id: id.parse().unwrap() };
    let token = wang.token(app).await;
    // Another one for the same person, with what is theirs.
    let again = told(&["person", "invite", "--person", id, "--json"]);
    assert_eq!(
        (&again["person_id"], &again["role"], &again["name"]),
        (&json!(id), &json!("security"), &json!("Wang Fang"))
    );
    let listed = told(&["person", "list", "--json"]);
    let one = &listed["persons"][0];
    assert_eq!((&one["person_id"], &one["passkeys"], &one["role"]), (&json!(id), &json!(1), &json!("security")));
    assert!(one["last_used_at"].is_string() && one["invited_until"].is_string(), "{listed}");
    assert!(!listed.to_string().contains(code));
    assert_eq!(told(&[&["person", "end", id], by.as_slice()].concat())["state"], "ended");
    eventually("the token is good for nothing", async || app.get(&token, ORGANIZATIONS).await.status == 401).await;
    assert_eq!(told(&["person", "list", "--json"])["persons"], json!([]));
    let noted: Vec<_> = operators.entries().await;
    let of_li = |action: &str| (action.to_owned(), Some("Li Lei".to_owned()));
    assert!(noted.contains(&of_li("person_invited")) && noted.contains(&of_li("person_ended")), "{noted:?}");
    for wrong in [
        ["person", "end", id].as_slice(),
        &["person", "invite", "--person", id],
        &["person", "invite", "Wang Fang"],
        &["person", "invite", "Wang Fang", "--role", "king"],
        &["person", "invite", "--role", "viewer"],
        &["person", "invite", "11010519491231002X", "--role", "viewer"],
        &["person", "invite", "Wang Fang", "--role", "viewer", "--person", id],
    ] {
        assert!(!run(wrong).status.success(), "{wrong:?}");
    }
}

#[tokio::test]
async fn what_does_not_fit_stops_the_start() {
    let operators = Operators::spawn().await;
    let whole = operators.app.config.clone();
    let wrong = |change: &dyn Fn(&mut Config)| {
        let mut config = whole.clone();
        change(&mut config);
        options::check(&config).unwrap_err().to_string()
    };
    assert!(options::check(&whole).is_ok());
    for (word, error) in [
        ("operator's client", wrong(&|config| config.admin_passkeys.client = Some("desk".to_owned()))),
        ("`admin.oidc.issuer`", wrong(&|config| config.admin_oidc.issuer = Some("https://login.example".to_owned()))),
        ("`access.require_bound`", wrong(&|config| config.access.require_bound = true)),
        ("name", wrong(&|config| config.public_url = Some("https://192.0.2.1".to_owned()))),
        ("name", wrong(&|config| config.public_url = Some("https://[2001:db8::1]".to_owned()))),
        ("name", wrong(&|config| config.public_url = None)),
    ] {
        assert!(error.contains("admin.passkeys.client") && error.contains(word), "{word}: {error}");
    }
}
