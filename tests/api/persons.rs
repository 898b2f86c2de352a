//! Persons of the operator: tokens of an identity provider, what each role may do, and two persons for what one may not do alone.

use lostcard::config::Config;
use lostcard::crypto::signing::SigningKey;
use lostcard::domain::client::Scope;
use lostcard::domain::person::Role;
use lostcard::http::routes::ROUTES;
use lostcard::node::options;
use serde_json::{Value, json};

use crate::deeds::send;
use crate::helpers::{TestApp, TestClient, eventually};
use crate::http::target;

const PROVIDER: &str = "https://login.operator.example";
const AUDIENCE: &str = "https://lostcard.example";
const ORGANIZATIONS: &str = "/v1/admin/organizations";

pub(crate) struct Provider {
    pub(crate) app: TestApp,
    key: SigningKey,
    /// By whose limits persons act.
    client: TestClient,
}

/// The settings of a provider whose keys are in a file.
fn configure(config: &mut Config, client: String, file: std::path::PathBuf) {
    let groups = |name: &str| vec![name.to_owned()];
    let of = &mut config.admin_oidc;
    (of.issuer, of.audience) = (Some(PROVIDER.to_owned()), Some(AUDIENCE.to_owned()));
    (of.client, of.jwks_file) = (Some(client), Some(file));
    (of.viewers, of.operators, of.security) = (groups("watch"), groups("ops"), groups("sec"));
}

impl Provider {
    pub(crate) async fn spawn() -> Self {
        let app = TestApp::spawn().await;
        let client = app.add_client("admin", None).await;
        let key = SigningKey::generate().unwrap();
        let file = app.folder.path().join("provider.json");
        std::fs::write(&file, json!({"keys": [key.public().to_jwk()]}).to_string()).unwrap();
        let id = client.client_id.to_string();
        let app = app.sibling_with(|config| configure(config, id, file)).await;
        Self { app, key, client }
    }

    fn claims(&self, name: &str, groups: &Value) -> Value {
        let now_s = self.app.clock.now_s();
        json!({"iss": PROVIDER, "aud": AUDIENCE, "sub": format!("id-of-{name}"), "preferred_username": name,
            "groups": groups, "iat": now_s, "exp": now_s + 300})
    }

    pub(crate) fn token(&self, name: &str, group: &str) -> String {
        self.sign(&self.claims(name, &json!([group, "everybody"])))
    }

    fn sign(&self, claims: &Value) -> String {
        self.key.sign_jws("at+jwt", claims.to_string().as_bytes())
    }

    pub(crate) async fn ask_for_registrar(&self, token: &str) -> String {
        let body = json!({"name": "Chaoyang Station", "kind": "registrar", "region": "110105"});
        let asked = self.app.post(token, ORGANIZATIONS, &body).await;
        assert_eq!(asked.status, 202, "{}", asked.text);
        asked.header("location").to_owned()
    }

    /// Action and person of the newest entries of the log.
    pub(crate) async fn newest(&self, count: usize) -> Vec<(String, Option<String>)> {
        let mut all = Vec::new();
        loop {
            let page = self.app.store.list_audit(all.len() as u64).await.unwrap();
            if page.is_empty() {
                break;
            }
            all.extend(page.into_iter().map(|entry| (entry.action, entry.person)));
        }
        all.split_off(all.len() - count)
    }
}

#[tokio::test]
async fn a_person_administers_and_the_log_names_them() {
    let provider = Provider::spawn().await;
    let app = &provider.app;
    let body = json!({"name": "Harbour Hotels", "kind": "certifying", "region": "110105"});
    let made = app.post(&provider.token("王芳", "ops"), ORGANIZATIONS, &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(provider.newest(1).await, [("organization_created".to_owned(), Some("王芳".to_owned()))]);
    let path = made.header("location");
    assert_eq!(app.get(&provider.token("li.lei", "watch"), path).await.status, 200);
    let change = json!({"name": "Harbour Group"});
    app.patch(&provider.token("li.lei", "watch"), path, &change).await.problem(403, "insufficient_role");
    assert_eq!(
        app.patch(&provider.token("li.lei", "sec"), path, &change).await.status,
        200,
        "each has the roles before"
    );
    // They are nobody elsewhere.
    app.get(&provider.token("li.lei", "sec"), "/v1/loss-reports").await.problem(403, "insufficient_scope");
}

#[tokio::test]
async fn each_role_reaches_its_operations_and_no_other() {
    let provider = Provider::spawn().await;
    let mut tried = 0;
    for row in ROUTES.iter().filter(|row| row.scopes == [Scope::Admin]) {
        for (role, group) in [(Role::Viewer, "watch"), (Role::Operator, "ops"), (Role::Security, "sec")] {
            let token = provider.token(role.as_str(), group);
            let answer = send(&provider.app, &token, row.verb(), &target(row.path), &json!({})).await;
            let is_refused = answer.status == 403 && answer.json()["code"] == "insufficient_role";
            let least = match (row.verb(), row.path.rsplit('/').next()) {
                ("get", _) => Role::Viewer,
                (_, Some("approval" | "refusal")) => Role::Security,
                _ => Role::Operator,
            };
            assert_eq!(is_refused, role < least, "{role:?} {} {}: {}", row.verb(), row.path, answer.text);
            tried += 1;
        }
    }
    assert!(tried > 60, "{tried}");
}

#[tokio::test]
async fn what_needs_two_is_approved_by_another_person() {
    let provider = Provider::spawn().await;
    let app = &provider.app;
    let location = provider.ask_for_registrar(&provider.token("wang", "sec")).await;
    let approval = format!("{location}/approval");
    let approve = async |token: &str| app.post(token, &approval, &json!({})).await;
    approve(&provider.token("wang", "sec")).await.problem(403, "another_must_confirm");
    approve(&provider.token("wang", "ops")).await.problem(403, "insufficient_role");
    approve(&provider.token("li", "ops")).await.problem(403, "insufficient_role");
    // Where persons approve, no client does, nor the one by whose limits they act.
    let other = app.add_client("admin", None).await;
    approve(&other.token).await.problem(403, "insufficient_role");
    approve(&provider.client.token).await.problem(403, "insufficient_role");
    let approved = approve(&provider.token("li", "sec")).await;
    assert_eq!(approved.status, 200, "{}", approved.text);
    let told = approved.json();
    assert_eq!((&told["state"], &told["requested_by_person"]), (&json!("approved"), &json!("wang")));
    assert_eq!(told["approved_by_person"], "li");
    let who = |action: &str, person: &str| (action.to_owned(), Some(person.to_owned()));
    assert_eq!(
        provider.newest(2).await,
        [who("administration_approved", "li"), who("organization_created", "wang")],
        "done as done by who asked"
    );
    approve(&provider.token("zhao", "sec")).await.problem(409, "wrong_state");
    // What a client asks for, a person approves.
    let location = provider.ask_for_registrar(&other.token).await;
    let approved = app.post(&provider.token("li", "sec"), &format!("{location}/approval"), &json!({})).await;
    assert_eq!(approved.status, 200, "{}", approved.text);
}

#[tokio::test]
async fn what_waits_is_listed_and_may_be_refused_or_expire() {
    let provider = Provider::spawn().await;
    let app = &provider.app;
    let asker = provider.token("wang", "ops");
    let (_, old) = (provider.ask_for_registrar(&asker).await, provider.ask_for_registrar(&asker).await);
    app.clock.advance(std::time::Duration::from_hours(7 * 24));
    app.clock.advance(std::time::Duration::from_secs(1));
    let waiting = provider.ask_for_registrar(&provider.token("wang", "ops")).await;
    let security = provider.token("li", "sec");
    let refusal = async |of: &str, token: &str| app.post(token, &format!("{of}/refusal"), &json!({})).await;
    refusal(&waiting, &provider.token("zhao", "ops")).await.problem(403, "insufficient_role");
    refusal(&old, &security).await.problem(409, "wrong_state");
    let told = refusal(&waiting, &security).await;
    assert_eq!((told.status, &told.json()["state"]), (200, &json!("refused")), "{}", told.text);
    app.post(&provider.token("zhao", "sec"), &format!("{waiting}/approval"), &json!({}))
        .await
        .problem(409, "wrong_state");
    let listed = app.get(&provider.token("zhao", "watch"), "/v1/admin/requests?limit=2").await.json();
    let states: Vec<_> = listed["requests"].as_array().unwrap().iter().map(|one| one["state"].clone()).collect();
    assert_eq!(states, [json!("expired"), json!("expired")]);
    let next = format!("/v1/admin/requests?cursor={}", listed["next_cursor"].as_str().unwrap());
    let listed = app.get(&provider.token("zhao", "watch"), &next).await.json();
    let last = &listed["requests"][0];
    assert_eq!((&last["state"], &last["refused_by_person"]), (&json!("refused"), &json!("li")));
    assert_eq!(provider.newest(1).await, [("administration_refused".to_owned(), Some("li".to_owned()))]);
}

#[tokio::test]
async fn persons_are_listed_with_role_group_and_last_act() {
    let provider = Provider::spawn().await;
    let app = &provider.app;
    let viewer = provider.token("zhao", "watch");
    let body = json!({"name": "Harbour Hotels", "kind": "certifying", "region": "110105"});
    assert_eq!(app.post(&provider.token("wang", "ops"), ORGANIZATIONS, &body).await.status, 201);
    let persons = async || app.get(&viewer, "/v1/admin/persons").await.json()["persons"].as_array().unwrap().clone();
    let named = async |name: &str| persons().await.into_iter().find(|one| one["name"] == name).unwrap_or_default();
    eventually("both are noted, with their roles", async || {
        named("wang").await["role"] == "operator" && named("zhao").await["role"] == "viewer"
    })
    .await;
    let (wang, zhao) = (named("wang").await, named("zhao").await);
    assert_eq!((&wang["group"], &wang["last_act"]), (&json!("ops"), &json!("organization_created")));
    assert!(wang["last_act_at"].is_string() && wang["first_seen_at"].is_string(), "{wang}");
    assert_eq!((&zhao["group"], &zhao["last_act"]), (&json!("watch"), &Value::Null), "who looks has done nothing");
    // A page, and the one behind it.
    let first = app.get(&viewer, "/v1/admin/persons?limit=1").await.json();
    let next = format!("/v1/admin/persons?limit=1&cursor={}", first["next_cursor"].as_str().unwrap());
    let second = app.get(&viewer, &next).await.json();
    assert_ne!(first["persons"][0]["person_id"], second["persons"][0]["person_id"]);
    assert_eq!((second["persons"].as_array().unwrap().len(), &second["next_cursor"]), (1, &Value::Null));
    // Nothing of a client, and no subject of the provider's.
    assert_eq!(persons().await.len(), 2);
    assert!(!app.get(&viewer, "/v1/admin/persons").await.text.contains("id-of-"));
    app.get(&viewer, "/v1/admin/persons?cursor=x").await.problem(422, "invalid_value");
}

#[tokio::test]
async fn a_role_that_changes_is_the_one_that_was_met_last() {
    let provider = Provider::spawn().await;
    let app = &provider.app;
    let role = async || {
        let all = app.get(&provider.token("li", "watch"), "/v1/admin/persons").await.json();
        let wang = all["persons"].as_array().unwrap().iter().find(|one| one["name"] == "wang").cloned();
        wang.unwrap_or_default()["role"].as_str().unwrap_or_default().to_owned()
    };
    app.get(&provider.token("wang", "ops"), ORGANIZATIONS).await;
    eventually("the first role is noted", async || role().await == "operator").await;
    app.clock.advance(std::time::Duration::from_secs(2));
    app.get(&provider.token("wang", "sec"), ORGANIZATIONS).await;
    // Somebody new has everybody noted at once.
    app.get(&provider.token("chen", "watch"), ORGANIZATIONS).await;
    eventually("the second role is noted", async || role().await == "security").await;
}

#[tokio::test]
async fn what_waits_is_listed_alone() {
    let provider = Provider::spawn().await;
    let app = &provider.app;
    let asker = provider.token("wang", "ops");
    let old = provider.ask_for_registrar(&asker).await;
    app.clock.advance(std::time::Duration::from_hours(7 * 24));
    app.clock.advance(std::time::Duration::from_secs(1));
    let (asker, security) = (provider.token("wang", "ops"), provider.token("li", "sec"));
    let mut sent = Vec::new();
    for _ in 0..4 {
        // Ids of one millisecond have no order.
        app.clock.advance(std::time::Duration::from_millis(1));
        sent.push(provider.ask_for_registrar(&asker).await);
    }
    assert_eq!(app.post(&security, &format!("{}/refusal", sent[0]), &json!({})).await.status, 200);
    assert_eq!(app.post(&security, &format!("{}/approval", sent[1]), &json!({})).await.status, 200);
    let page = app.get(&security, "/v1/admin/requests?state=awaiting_approval&limit=1").await.json();
    let next = format!("/v1/admin/requests?state=awaiting_approval&cursor={}", page["next_cursor"].as_str().unwrap());
    let rest = app.get(&security, &next).await.json();
    let ids = |page: &Value| -> Vec<String> {
        let all = page["requests"].as_array().unwrap();
        all.iter().map(|one| one["request_id"].as_str().unwrap().to_owned()).collect()
    };
    let waiting: Vec<_> = ids(&page).into_iter().chain(ids(&rest)).collect();
    let expected: Vec<_> = sent[2..].iter().map(|path| path.rsplit('/').next().unwrap().to_owned()).collect();
    assert_eq!((waiting, &rest["next_cursor"]), (expected, &Value::Null), "{old} has expired");
    let all = app.get(&security, "/v1/admin/requests").await.json();
    assert_eq!(ids(&all).len(), 5);
    app.get(&security, "/v1/admin/requests?state=approved").await.problem(422, "invalid_value");
}

#[tokio::test]
async fn who_has_no_role_or_another_issuer_is_nobody() {
    let provider = Provider::spawn().await;
    let app = &provider.app;
    let refused = async |token: String| app.get(&token, ORGANIZATIONS).await.problem(401, "invalid_token");
    refused(provider.token("wang", "cooks")).await;
    for (member, value) in [
        ("groups", Value::Null),
        ("groups", json!({"ops": true})),
        ("sub", json!("")),
        ("aud", json!("https://other.example")),
        ("iss", json!("https://other.example")),
        ("exp", json!(1)),
    ] {
        let mut claims = provider.claims("wang", &json!(["ops"]));
        claims[member] = value;
        refused(provider.sign(&claims)).await;
    }
    refused(provider.key.sign_jws("JWT", provider.claims("wang", &json!(["ops"])).to_string().as_bytes())).await;
    let stranger = SigningKey::generate().unwrap();
    refused(stranger.sign_jws("at+jwt", provider.claims("wang", &json!(["ops"])).to_string().as_bytes())).await;
    // Groups as a text; a person without a name is called by the provider's own.
    let mut claims = provider.claims("wang", &json!("cooks ops"));
    claims["preferred_username"] = Value::Null;
    let body = json!({"name": "Harbour Hotels", "kind": "certifying", "region": "110105"});
    assert_eq!(app.post(&provider.sign(&claims), ORGANIZATIONS, &body).await.status, 201);
    assert_eq!(provider.newest(1).await[0].1.as_deref(), Some("id-of-wang"));
}

#[tokio::test]
async fn a_person_gets_no_way_in_without_name_and_role() {
    let provider = Provider::spawn().await;
    let app = &provider.app;
    let client = format!("/v1/admin/clients/{}", provider.client.client_id);
    let keys = json!({"keys": [SigningKey::generate().unwrap().public().to_jwk()]});
    for (way, body) in [("secrets", json!({})), ("keys", keys)] {
        for group in ["ops", "sec"] {
            let token = provider.token("wang", group);
            app.post(&token, &format!("{client}/{way}"), &body).await.problem(403, "command_line_only");
        }
    }
    // The client itself renews what it proves itself by.
    assert_eq!(app.post(&provider.client.token, &format!("{client}/secrets"), &json!({})).await.status, 201);
}

#[tokio::test]
async fn no_client_refuses_what_persons_decide() {
    let provider = Provider::spawn().await;
    let location = provider.ask_for_registrar(&provider.token("wang", "ops")).await;
    let refusal = format!("{location}/refusal");
    let app = &provider.app;
    for client in [&provider.client, &app.add_client("admin", None).await] {
        app.post(&client.token, &refusal, &json!({})).await.problem(403, "insufficient_role");
    }
    assert_eq!(app.post(&provider.token("li", "sec"), &refusal, &json!({})).await.status, 200);
}

#[tokio::test]
async fn an_identity_number_is_nobodys_name() {
    let provider = Provider::spawn().await;
    let app = &provider.app;
    let number = crate::bodies::random_number();
    for subject in ["wang", &number] {
        let mut claims = provider.claims(&number, &json!(["ops"]));
        claims["sub"] = json!(subject);
        let body = json!({"name": "Harbour Hotels", "kind": "certifying", "region": "110105"});
        assert_eq!(app.post(&provider.sign(&claims), ORGANIZATIONS, &body).await.status, 201);
        let name = provider.newest(1).await[0].1.clone().unwrap();
        assert!(!name.contains(&number) && (name == subject || name.len() == 32), "{name}");
    }
}

#[tokio::test]
async fn a_key_of_one_person_is_no_other_persons() {
    let provider = Provider::spawn().await;
    let app = &provider.app;
    let ask = async |name: &str| {
        let body = json!({"name": name, "kind": "certifying", "region": "110105"});
        let request = app.request("POST", ORGANIZATIONS).header("idempotency-key", "one").json(&body);
        app.send(request.bearer_auth(provider.token(name, "ops"))).await
    };
    let (wang, li) = (ask("wang").await, ask("li").await);
    assert_eq!((wang.status, li.status, ask("wang").await.text), (201, 201, wang.text.clone()), "{}", li.text);
}

/// Takes something out of the settings.
type Break = fn(&mut Config);

#[tokio::test]
async fn half_a_provider_stops_the_start() {
    let provider = Provider::spawn().await;
    let whole = provider.app.config.clone();
    assert!(options::outside_issuers(&whole).is_ok());
    let breaks: [(&str, Break); 5] = [
        ("admin.oidc.audience", |config| config.admin_oidc.audience = None),
        ("admin.oidc.client", |config| config.admin_oidc.client = Some("desk".to_owned())),
        ("admin.oidc.jwks_url", |config| config.admin_oidc.jwks_file = None),
        ("admin.oidc.jwks_url", |config| {
            config.admin_oidc.jwks_file = None;
            config.admin_oidc.jwks_url = Some("http://login.operator.example/jwks".to_owned());
        }),
        ("admin.oidc.operators", |config| {
            (config.admin_oidc.viewers, config.admin_oidc.operators, config.admin_oidc.security) = Default::default();
        }),
    ];
    for (key, change) in breaks {
        let mut config = whole.clone();
        change(&mut config);
        let error = options::outside_issuers(&config).unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
}
