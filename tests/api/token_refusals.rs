//! What a token request that is refused is told: which rule it broke. Rules of assertions are in `assertions`, of proofs in `dpop`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lostcard::domain::ids::ClientId;

use crate::helpers::TestApp;
use crate::tokens::assert_refused;

/// Each refusal says which rule was broken, in words of its own. Only of a secret nobody is told what is wrong with it.
#[tokio::test]
async fn a_refused_form_is_told_its_rule() {
    let app = TestApp::spawn().await;
    let (id, other) = (app.hotel.client_id.to_string(), app.police.client_id.to_string());
    let secret = app.hotel.secret.as_str();
    let grant = "grant_type=client_credentials";
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    let other_scheme = |text: &str| text.to_owned();
    let right = basic(&format!("{id}:{secret}"));
    let post = |id: &str| format!("{grant}&client_id={id}&client_secret={secret}");
    let jwt_type = "client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let vague = "the client is unknown, disabled, or its proof does not hold";
    let not_basic = "the Authorization field is not of the scheme Basic";
    let malformed = "the Authorization field is not Basic with base64 of the client's id, a colon and its secret";
    let no_id = "client_id is not written as an id: 36 characters with hyphens";
    let nobody = "the client does not say who it is: no Authorization, client_secret, client_assertion or certificate";
    for (headers, form, status, told) in [
        (vec![], grant.to_owned(), 401, nobody),
        (vec![], format!("{grant}&client_id={id}"), 401, nobody),
        (vec![other_scheme("Bearer x")], grant.to_owned(), 401, not_basic),
        (vec![other_scheme("DPoP x")], grant.to_owned(), 401, not_basic),
        (vec![other_scheme("")], grant.to_owned(), 401, not_basic),
        (vec![other_scheme("Basic")], grant.to_owned(), 401, malformed),
        (vec![other_scheme("Basic !")], grant.to_owned(), 401, malformed),
        (vec![basic(&id)], grant.to_owned(), 401, malformed),
        (vec![basic(&format!("{id}:%zz"))], grant.to_owned(), 401, malformed),
        (
            vec![basic("hotel:x")],
            grant.to_owned(),
            401,
            "the client's id in the Authorization field is not written as an id: 36 characters with hyphens",
        ),
        (vec![], post("hotel"), 401, no_id),
        (vec![], format!("{grant}&client_secret={secret}"), 401, "client_id is missing"),
        (
            vec![right.clone()],
            format!("{grant}&client_id={other}"),
            401,
            "client_id names another client than its proof",
        ),
        (vec![basic(&format!("{id}:wrong"))], grant.to_owned(), 401, vague),
        (vec![basic(&format!("{id}:"))], grant.to_owned(), 401, vague),
        (vec![], post(&other), 401, vague),
        (vec![], post(&ClientId::nil().to_string()), 401, vague),
        (
            vec![right.clone(), right.clone()],
            grant.to_owned(),
            400,
            "the request has more than one Authorization field",
        ),
        (
            vec![right.clone(), other_scheme("Bearer x")],
            grant.to_owned(),
            400,
            "the request has more than one Authorization field",
        ),
        (vec![right.clone()], post(&id), 400, "use one way of client authentication, not several"),
        (vec![right.clone()], String::new(), 400, "grant_type is missing"),
        (vec![right.clone()], format!("{grant}&{grant}"), 400, "grant_type is repeated"),
        (vec![right.clone()], format!("{grant}&scope=checks&scope=checks"), 400, "scope is repeated"),
        (vec![], format!("{}&client_id={id}", post(&id)), 400, "client_id is repeated"),
        (vec![], format!("{}&client_secret=x", post(&id)), 400, "client_secret is repeated"),
        (vec![], format!("{grant}&{jwt_type}&{jwt_type}"), 400, "client_assertion_type is repeated"),
        (vec![], format!("{grant}&client_assertion=a&client_assertion=b"), 400, "client_assertion is repeated"),
        (vec![], format!("{grant}&client_assertion=a"), 400, "client_assertion_type is not jwt-bearer"),
        (vec![], format!("{grant}&{jwt_type}"), 400, "client_assertion_type stands without client_assertion"),
    ] {
        let mut request = app.request("POST", "/oauth2/token").body(form.clone());
        request = request.header("Content-Type", "application/x-www-form-urlencoded");
        for value in &headers {
            request = request.header("Authorization", value);
        }
        let answer = app.send(request).await;
        assert_refused(&answer, status, if status == 401 { "invalid_client" } else { "invalid_request" });
        assert_eq!(answer.json()["error_description"], told, "{form}");
    }
    let request = app.request("POST", "/oauth2/token").header("Content-Type", "application/x-www-form-urlencoded");
    let answer = app.send(request.body([grant.as_bytes(), b"&scope=\xff"].concat())).await;
    assert_refused(&answer, 400, "invalid_request");
    assert_eq!(answer.json()["error_description"], "the form is not UTF-8");
}
