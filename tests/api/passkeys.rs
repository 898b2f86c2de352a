//! Persons of the operator who sign in by passkeys: the whole way, each forgery, two nodes, roles, and what two persons do.

use std::time::Duration;

use lostcard::domain::person::Role;
use serde_json::{Value, json};

use crate::helpers::eventually;
use crate::passkey::{
    ASK_NEW, ASK_WHO, Authenticator, Operators, Person, REGISTER, SIGN_IN, Way, asked, holder, invite_again,
};

const ORGANIZATIONS: &str = "/v1/admin/organizations";

#[tokio::test]
async fn a_person_makes_a_passkey_signs_in_and_administers() {
    let operators = Operators::spawn().await;
    let app = &operators.app;
    let mut wang = Person::register(app, "王芳", Role::Operator).await;
    let signed_in = wang.try_to(app, &Way::default()).await;
    assert_eq!(signed_in.status, 200, "{}", signed_in.text);
    let told = signed_in.json();
    assert_eq!(
        (&told["name"], &told["role"], &told["token_type"]),
        (&json!("王芳"), &json!("operator"), &json!("Bearer"))
    );
    assert_eq!(told["expires_in"], 600);
    let token = told["access_token"].as_str().unwrap();
    let body = json!({"name": "Harbour Hotels", "kind": "certifying", "region": "110105"});
    assert_eq!(app.post(token, ORGANIZATIONS, &body).await.status, 201);
    let of_wang = |action: &str| (action.to_owned(), Some("王芳".to_owned()));
    assert!(operators.entries().await.ends_with(&[of_wang("passkey_registered"), of_wang("organization_created")]));
    // Nothing but what administers.
    app.get(token, "/v1/loss-reports").await.problem(403, "insufficient_scope");
    eventually("the person is listed", async || {
        let listed = app.get(token, "/v1/admin/persons").await.json();
        let one = &listed["persons"][0];
        one["person_id"] == json!(wang.id) && one["role"] == "operator" && one["group"].is_null()
    })
    .await;
    app.clock.advance(Duration::from_secs(606));
    app.get(token, ORGANIZATIONS).await.problem(401, "invalid_token");
}

#[tokio::test]
async fn no_token_of_a_person_lives_longer_than_a_quarter_of_an_hour() {
    let operators = Operators::spawn().await;
    let app = operators.app.sibling_with(|config| config.tokens.lifetime_seconds = 3600).await;
    let mut wang = Person::register(&app, "wang", Role::Viewer).await;
    assert_eq!(wang.try_to(&app, &Way::default()).await.json()["expires_in"], 900);
}

#[tokio::test]
async fn each_forged_answer_is_refused() {
    let operators = Operators::spawn().await;
    let app = &operators.app;
    let mut wang = Person::register(app, "wang", Role::Security).await;
    let way = Way::default;
    for (what, forged) in [
        ("another origin", Way { origin: "https://lostcard.test".to_owned(), ..way() }),
        ("a port more", Way { origin: "http://lostcard.test:8080".to_owned(), ..way() }),
        ("another name", Way { name: "evil.test".to_owned(), ..way() }),
        ("nobody verified", Way::unverified()),
        ("nobody there", Way { flags: 0x04, ..way() }),
        ("another challenge", Way { challenge: Some("AAAAAAAAAAAAAAAAAAAAAA".to_owned()), ..way() }),
        ("of a registration", Way { kind: Some("webauthn.create"), ..way() }),
        ("in a frame of another site", Way { is_cross_origin: true, ..way() }),
    ] {
        let refused = wang.try_to(app, &forged).await;
        assert_eq!(refused.problem(401, "passkey_refused")["detail"], "refused", "{what}");
    }
    let present = async |ceremony: &Value, credential: &Value| {
        app.post("", SIGN_IN, &json!({"ceremony_id": ceremony, "credential": credential})).await
    };
    // One bit of each part.
    for part in ["signature", "authenticatorData", "clientDataJSON", "userHandle"] {
        let (ceremony, options) = asked(app, ASK_WHO, &json!({})).await;
        let mut credential = wang.key.sign(&options, &way());
        let text = credential["response"][part].as_str().unwrap().to_owned();
        let changed = if text.as_bytes()[20] == b'A' { "B" } else { "A" };
        credential["response"][part] = json!(format!("{}{changed}{}", &text[..20], &text[21..]));
        present(&ceremony, &credential).await.problem(401, "passkey_refused");
    }
    // An answer again, and by another question.
    let (ceremony, options) = asked(app, ASK_WHO, &json!({})).await;
    let credential = wang.key.sign(&options, &way());
    assert_eq!(present(&ceremony, &credential).await.status, 200);
    present(&ceremony, &credential).await.problem(401, "passkey_refused");
    let (other, _) = asked(app, ASK_WHO, &json!({})).await;
    present(&other, &credential).await.problem(401, "passkey_refused");
    // Too late.
    let (ceremony, options) = asked(app, ASK_WHO, &json!({})).await;
    let credential = wang.key.sign(&options, &way());
    app.clock.advance(Duration::from_mins(5));
    present(&ceremony, &credential).await.problem(401, "passkey_refused");
    // A stranger's key, under the name of one that is known, and for another person.
    let mut li = Person::register(app, "li", Role::Security).await;
    let mut stranger = Authenticator::new();
    (stranger.id, stranger.user) = (wang.key.id.clone(), wang.key.user.clone());
    let (ceremony, options) = asked(app, ASK_WHO, &json!({})).await;
    present(&ceremony, &stranger.sign(&options, &way())).await.problem(401, "passkey_refused");
    let own = std::mem::replace(&mut li.key.user, wang.key.user.clone());
    li.try_to(app, &way()).await.problem(401, "passkey_refused");
    li.key.user = own;
    assert_eq!(li.try_to(app, &way()).await.status, 200);
    assert_eq!(wang.try_to(app, &way()).await.status, 200);
    app.post("", SIGN_IN, &json!({"ceremony_id": "x", "credential": {}})).await.problem(422, "invalid_value");
    let (ceremony, _) = asked(app, ASK_WHO, &json!({})).await;
    present(&ceremony, &json!({})).await.problem(401, "passkey_refused");
}

#[tokio::test]
async fn a_copy_is_found_by_its_counter() {
    let operators = Operators::spawn().await;
    let app = &operators.app;
    let mut wang = Person::register(app, "wang", Role::Viewer).await;
    for _ in 0..3 {
        wang.token(app).await;
    }
    let Person { key, id } = wang;
    let mut copied = Person { key: key.with_counter(1), id };
    copied.try_to(app, &Way::default()).await.problem(401, "passkey_refused");
    copied.try_to(app, &Way::default()).await.problem(401, "passkey_refused");
    assert_eq!(copied.try_to(app, &Way::default()).await.status, 200, "what grows is taken");
}

#[tokio::test]
async fn a_link_is_good_once_for_an_hour() {
    let operators = Operators::spawn().await;
    let app = &operators.app;
    let ask = async |code: &str| app.post("", ASK_NEW, &json!({ "code": code })).await;
    for wrong in ["", "AAAAAAAAAAAAAAAAAAAAAA", "no code"] {
        ask(wrong).await.problem(401, "passkey_refused");
    }
    let code = invite_again(app, holder(app, "wang", Role::Viewer)).await;
    let register = async |ceremony: &Value, credential: &Value| {
        app.post("", REGISTER, &json!({"ceremony_id": ceremony, "credential": credential})).await
    };
    let way = Way::default;
    // What does not hold leaves it as it is.
    for forged in [
        Way { origin: "https://evil.test".to_owned(), ..way() },
        Way { name: "evil.test".to_owned(), ..way() },
        Way::unverified(),
        Way { challenge: Some("AAAAAAAAAAAAAAAAAAAAAA".to_owned()), ..way() },
        Way { kind: Some("webauthn.get"), ..way() },
    ] {
        let (ceremony, options) = asked(app, ASK_NEW, &json!({ "code": code })).await;
        register(&ceremony, &Authenticator::new().make(&options, &forged)).await.problem(401, "passkey_refused");
    }
    // A question of a sign-in is none of a registration, and the other way round.
    let (of_sign_in, _) = asked(app, ASK_WHO, &json!({})).await;
    let (first, options) = asked(app, ASK_NEW, &json!({ "code": code })).await;
    let (second, others) = asked(app, ASK_NEW, &json!({ "code": code })).await;
    let mut key = Authenticator::new();
    let credential = key.make(&options, &way());
    register(&of_sign_in, &credential).await.problem(401, "passkey_refused");
    assert_eq!(register(&first, &credential).await.status, 201);
    let (third, ceremony) = (key.sign(&others, &way()), second.clone());
    app.post("", SIGN_IN, &json!({"ceremony_id": ceremony, "credential": third})).await.problem(401, "passkey_refused");
    register(&second, &Authenticator::new().make(&others, &way())).await.problem(401, "passkey_refused");
    ask(&code).await.problem(401, "passkey_refused");
    // Two who ask by one link: the first has it.
    let code = invite_again(app, holder(app, "li", Role::Viewer)).await;
    let (first, options) = asked(app, ASK_NEW, &json!({ "code": code })).await;
    let (second, others) = asked(app, ASK_NEW, &json!({ "code": code })).await;
    assert_eq!(register(&first, &Authenticator::new().make(&options, &way())).await.status, 201);
    register(&second, &Authenticator::new().make(&others, &way())).await.problem(401, "passkey_refused");
    let code = invite_again(app, holder(app, "zhao", Role::Viewer)).await;
    let (ceremony, options) = asked(app, ASK_NEW, &json!({ "code": code })).await;
    app.clock.advance(Duration::from_hours(1));
    register(&ceremony, &Authenticator::new().make(&options, &way())).await.problem(401, "passkey_refused");
    ask(&code).await.problem(401, "passkey_refused");
}

#[tokio::test]
async fn a_key_that_is_somebodys_is_nobody_elses() {
    let operators = Operators::spawn().await;
    let app = &operators.app;
    let wang = Person::register(app, "wang", Role::Security).await;
    let code = invite_again(app, holder(app, "li", Role::Viewer)).await;
    let (ceremony, options) = asked(app, ASK_NEW, &json!({ "code": code })).await;
    let mut key = Authenticator::new();
    key.id.clone_from(&wang.key.id);
    let credential = key.make(&options, &Way::default());
    let answer = app.post("", REGISTER, &json!({"ceremony_id": ceremony, "credential": credential})).await;
    answer.problem(401, "passkey_refused");
    // What is refused uses up nothing.
    assert_eq!(app.post("", ASK_NEW, &json!({ "code": code })).await.status, 200);
}

#[tokio::test]
async fn what_one_node_asks_another_one_judges() {
    let operators = Operators::spawn().await;
    let (app, other) = (&operators.app, operators.app.sibling().await);
    let code = invite_again(app, holder(app, "wang", Role::Operator)).await;
    let (ceremony, options) = asked(app, ASK_NEW, &json!({ "code": code })).await;
    let mut key = Authenticator::new();
    let body = json!({"ceremony_id": ceremony, "credential": key.make(&options, &Way::default())});
    assert_eq!(other.post("", REGISTER, &body).await.status, 201);
    let (ceremony, options) = asked(&other, ASK_WHO, &json!({})).await;
    let body = json!({"ceremony_id": ceremony, "credential": key.sign(&options, &Way::default())});
    let signed_in = app.post("", SIGN_IN, &body).await;
    assert_eq!(signed_in.status, 200, "{}", signed_in.text);
    other.post("", SIGN_IN, &body).await.problem(401, "passkey_refused");
    let token = signed_in.json()["access_token"].as_str().unwrap().to_owned();
    for node in [app, &other] {
        assert_eq!(node.get(&token, ORGANIZATIONS).await.status, 200);
    }
}

#[tokio::test]
async fn who_is_ended_is_out_at_once_and_on_every_node() {
    let operators = Operators::spawn().await;
    let (app, other) = (&operators.app, operators.app.sibling().await);
    let (mut wang, mut li) =
        (Person::register(app, "wang", Role::Security).await, Person::register(app, "li", Role::Viewer).await);
    let (token, kept) = (wang.token(app).await, li.token(app).await);
    let code = invite_again(app, holder_of(&wang)).await;
    for node in [app, &other] {
        assert_eq!(node.get(&token, ORGANIZATIONS).await.status, 200);
    }
    let client = operators.client.client_id;
    app.change_store(async |tx| assert!(tx.end_key_holder(wang.id, client).await.unwrap())).await;
    for node in [app, &other] {
        eventually("the token is good for nothing", async || node.get(&token, ORGANIZATIONS).await.status == 401).await;
        assert_eq!(node.get(&kept, ORGANIZATIONS).await.status, 200, "others stay");
    }
    wang.try_to(app, &Way::default()).await.problem(401, "passkey_refused");
    app.post("", ASK_NEW, &json!({ "code": code })).await.problem(401, "passkey_refused");
    app.change_store(async |tx| assert!(!tx.end_key_holder(wang.id, client).await.unwrap())).await;
}

fn holder_of(person: &Person) -> lostcard::store::passkeys::KeyHolder {
    let name = lostcard::domain::person::ShortName::stored("wang").unwrap();
    lostcard::store::passkeys::KeyHolder { id: person.id, name, role: Role::Security }
}

#[tokio::test]
async fn a_person_may_have_two_passkeys_and_an_authenticator_one() {
    let operators = Operators::spawn().await;
    let app = &operators.app;
    let mut first = Person::register(app, "wang", Role::Security).await;
    let code = invite_again(app, holder_of(&first)).await;
    let (_, options) = asked(app, ASK_NEW, &json!({ "code": code })).await;
    let known = options["excludeCredentials"].as_array().unwrap();
    assert_eq!(known.len(), 1, "an authenticator that has one makes none: {options}");
    let mut second = Person::register_as(app, holder_of(&first)).await;
    for person in [&mut first, &mut second] {
        let told = app.get(&person.token(app).await, ORGANIZATIONS).await;
        assert_eq!(told.status, 200, "{}", told.text);
    }
}

#[tokio::test]
async fn what_needs_two_is_approved_by_another_person() {
    let operators = Operators::spawn().await;
    let app = &operators.app;
    let mut wang = Person::register(app, "wang", Role::Security).await;
    let mut second = Person::register_as(app, holder_of(&wang)).await;
    let (mut li, mut zhao) =
        (Person::register(app, "li", Role::Security).await, Person::register(app, "zhao", Role::Viewer).await);
    let body = json!({"name": "Chaoyang Station", "kind": "registrar", "region": "110105"});
    app.post(&zhao.token(app).await, ORGANIZATIONS, &body).await.problem(403, "insufficient_role");
    let asked = app.post(&wang.token(app).await, ORGANIZATIONS, &body).await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    let approval = format!("{}/approval", asked.header("location"));
    let approve = async |token: &str| app.post(token, &approval, &json!({})).await;
    approve(&wang.token(app).await).await.problem(403, "another_must_confirm");
    // By their other passkey they are the same person.
    approve(&second.token(app).await).await.problem(403, "another_must_confirm");
    approve(&zhao.token(app).await).await.problem(403, "insufficient_role");
    // No client approves where persons do.
    let other = operators.app.add_client("admin", None).await;
    approve(&other.token).await.problem(403, "insufficient_role");
    approve(&operators.client.token).await.problem(403, "insufficient_role");
    let approved = approve(&li.token(app).await).await;
    assert_eq!(approved.status, 200, "{}", approved.text);
    let told = approved.json();
    assert_eq!((&told["requested_by_person"], &told["approved_by_person"]), (&json!("wang"), &json!("li")));
}

#[tokio::test]
async fn nothing_is_approved_of_a_person_who_has_no_passkey_any_more() {
    let operators = Operators::spawn().await;
    let app = &operators.app;
    let (mut wang, mut li) =
        (Person::register(app, "wang", Role::Operator).await, Person::register(app, "li", Role::Security).await);
    let body = json!({"name": "Chaoyang Station", "kind": "registrar", "region": "110105"});
    let asked = app.post(&wang.token(app).await, ORGANIZATIONS, &body).await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    app.change_store(async |tx| assert!(tx.end_key_holder(wang.id, operators.client.client_id).await.unwrap())).await;
    let approval = format!("{}/approval", asked.header("location"));
    let refused = app.post(&li.token(app).await, &approval, &json!({})).await.problem(409, "wrong_state");
    assert!(refused["detail"].as_str().unwrap().contains("not let in"), "{refused}");
}
