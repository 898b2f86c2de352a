//! The scenario of tests/clients with the Rust client of openapi-generator: every call is a generated operation on generated types.
//! Prints `ok STEP` for each step; an error ends it with what went wrong.

mod receipt;

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use lostcard_client::apis::Error as Refusal;
use lostcard_client::apis::access_api::{create_token, get_jwks, get_server_metadata};
use lostcard_client::apis::checks_api::{create_check, create_check_batch};
use lostcard_client::apis::configuration::Configuration;
use lostcard_client::apis::registry_api::create_loss_report;
use lostcard_client::models::{
    BatchRequest, CheckRequest, LossReportRequest, Problem, PurposeName, ReasonName, VerdictName,
};
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Request, Response};
use reqwest_middleware::{ClientBuilder, Middleware, Next};
use serde::Deserialize;

pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[derive(Deserialize)]
struct Scenario {
    base_url: String,
    hotel: Credentials,
    station: Credentials,
    limited: Credentials,
    checks: Vec<Check>,
    wrong_check_character: String,
    batch: Batch,
    report: LossReportRequest,
}

#[derive(Deserialize)]
struct Credentials {
    client_id: String,
    client_secret: String,
}

#[derive(Deserialize)]
struct Check {
    #[serde(flatten)]
    request: CheckRequest,
    verdict: VerdictName,
    advice: String,
}

#[derive(Deserialize)]
struct Batch {
    items: Vec<CheckRequest>,
    bad_index: usize,
    expected: Vec<Option<VerdictName>>,
}

/// How long the service last asked to wait. A generated error has the status and the body of an answer, not its headers.
#[derive(Clone, Default)]
struct Wait(Arc<Mutex<Option<Duration>>>);

impl Wait {
    fn take(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[async_trait]
impl Middleware for Wait {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let response = next.run(request, extensions).await?;
        let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = seconds.map(Duration::from_secs);
        Ok(response)
    }
}

fn configuration(base_url: &str, token: Option<String>, wait: &Wait) -> Outcome<Configuration> {
    let client = Client::builder().timeout(Duration::from_secs(10)).build()?;
    Ok(Configuration {
        base_path: base_url.to_owned(),
        client: ClientBuilder::new(client).with(wait.clone()).build(),
        bearer_access_token: token,
        ..Configuration::default()
    })
}

async fn sign_in(base_url: &str, client: &Credentials, wait: &Wait) -> Outcome<Configuration> {
    let access = configuration(base_url, None, wait)?;
    let (id, secret) = (Some(client.client_id.as_str()), Some(client.client_secret.as_str()));
    let token = create_token(&access, "client_credentials", None, None, id, secret, None).await?;
    configuration(base_url, Some(token.access_token), wait)
}

/// The problem with which the call was refused; an error if it was not.
fn problem<T, E>(called: Result<T, Refusal<E>>) -> Outcome<Problem> {
    match called {
        Err(Refusal::ResponseError(response)) => Ok(serde_json::from_str(&response.content)?),
        Err(other) => Err(other.to_string().into()),
        Ok(_) => Err("the call was not refused".into()),
    }
}

fn expect(holds: bool, what: &str) -> Outcome {
    if holds { Ok(()) } else { Err(what.into()) }
}

fn lodging(id_number: &str) -> CheckRequest {
    CheckRequest { id_number: Some(id_number.to_owned()), ..CheckRequest::new(PurposeName::Lodging) }
}

/// An item of a batch has a lenient schema: a good one is a check.
fn item(check: &CheckRequest) -> Outcome<HashMap<String, serde_json::Value>> {
    Ok(serde_json::from_value(serde_json::to_value(check)?)?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let file = std::env::args().nth(1).ok_or("usage: scenario FILE")?;
    let scenario: Scenario = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    let wait = Wait::default();

    let hotel = sign_in(&scenario.base_url, &scenario.hotel, &wait).await?;
    let station = sign_in(&scenario.base_url, &scenario.station, &wait).await?;
    let limited = sign_in(&scenario.base_url, &scenario.limited, &wait).await?;
    println!("ok token");

    verdicts(&hotel, &scenario.checks).await?;
    println!("ok verdicts");

    batch(&hotel, &scenario.batch).await?;
    println!("ok batch");

    let stranger = configuration(&scenario.base_url, Some("made.up.token".to_owned()), &wait)?;
    let refused = problem(create_check(&stranger, lodging(&scenario.wrong_check_character)).await)?;
    expect((refused.status, refused.code.as_str()) == (401, "invalid_token"), "a made-up token is no token")?;
    println!("ok unauthorized");

    let refused = problem(create_loss_report(&hotel, scenario.report.clone(), None).await)?;
    expect((refused.status, refused.code.as_str()) == (403, "insufficient_scope"), "a hotel files no loss reports")?;
    println!("ok forbidden");

    let refused = problem(create_check(&hotel, lodging(&scenario.wrong_check_character)).await)?;
    let pointers: Vec<_> = refused.errors.iter().flatten().map(|error| error.pointer.as_str()).collect();
    expect(refused.status == 422 && pointers == ["/id_number"], "the wrong member is named")?;
    println!("ok unprocessable");

    limit(&limited, &scenario.checks[0].request, &wait).await?;
    println!("ok limited");

    idempotent(&station, &scenario.report).await?;
    println!("ok idempotent");

    let listed =
        scenario.checks.iter().find(|check| check.verdict == VerdictName::CardListed).ok_or("no listed card")?;
    receipts(&hotel, &listed.request).await?;
    println!("ok receipt");
    Ok(())
}

async fn verdicts(hotel: &Configuration, checks: &[Check]) -> Outcome {
    for check in checks {
        let answer = create_check(hotel, check.request.clone()).await?;
        expect(answer.verdict == check.verdict, "the verdict is the expected one")?;
        expect(answer.advice == check.advice, "the advice is the expected one")?;
        expect(
            answer.listing.is_some() == (answer.verdict != VerdictName::NotListed),
            "a listing where one is listed",
        )?;
    }
    Ok(())
}

async fn batch(hotel: &Configuration, batch: &Batch) -> Outcome {
    let items = batch.items.iter().map(item).collect::<Outcome<_>>()?;
    let answer = create_check_batch(hotel, BatchRequest::new(items)).await?;
    let verdicts: Vec<_> =
        answer.results.iter().map(|result| result.check.as_ref().map(|check| check.verdict)).collect();
    expect(verdicts == batch.expected, "the verdicts are the expected ones")?;
    let spoilt = answer.results.get(batch.bad_index).and_then(|result| result.problem.as_ref());
    expect(spoilt.is_some_and(|problem| problem.code == "invalid_value"), "the bad item has its problem")
}

/// Spends the limit, waits as long as the service says, and is answered again.
async fn limit(limited: &Configuration, check: &CheckRequest, wait: &Wait) -> Outcome {
    for _ in 0..20 {
        let Err(refusal) = create_check(limited, check.clone()).await else { continue };
        let refused = problem::<(), _>(Err(refusal))?;
        expect((refused.status, refused.code.as_str()) == (429, "limit_spent"), "the limit is what refuses")?;
        tokio::time::sleep(wait.take().ok_or("a 429 says how long to wait")?).await;
        create_check(limited, check.clone()).await?;
        return Ok(());
    }
    Err("the limit is never spent".into())
}

async fn idempotent(station: &Configuration, report: &LossReportRequest) -> Outcome {
    let key = Some("rust-client-1");
    let first = create_loss_report(station, report.clone(), key).await?;
    let repeated = create_loss_report(station, report.clone(), key).await?;
    expect(first == repeated, "a repetition gets the first answer")?;
    let other = LossReportRequest { reason: ReasonName::Stolen, ..report.clone() };
    let refused = problem(create_loss_report(station, other, key).await)?;
    expect((refused.status, refused.code.as_str()) == (422, "idempotency_key_reused"), "a key is for one body")
}

/// Receipts of a check alone and of a batch: a path without hashes and paths with some.
async fn receipts(hotel: &Configuration, check: &CheckRequest) -> Outcome {
    let keys = get_jwks(hotel).await?;
    let issuer = get_server_metadata(hotel).await?.issuer;
    let several = BatchRequest::new(vec![item(check)?; 5]);
    let mut answers = vec![create_check(hotel, check.clone()).await?];
    answers.extend(create_check_batch(hotel, several).await?.results.into_iter().filter_map(|result| result.check));
    expect(answers.len() == 6, "every check is answered")?;
    let id_number = check.id_number.as_deref().ok_or("a check with a number")?;
    let card_valid_from = check.card_valid_from.map(|date| date.to_string());
    for answer in &answers {
        let text = answer.receipt.as_deref().ok_or("a receipt")?;
        let salt = answer.receipt_salt.as_deref().ok_or("a salt")?;
        let says = receipt::verify(text, &keys, &issuer)?;
        expect(
            says.jti == answer.check_id.to_string() && says.verdict == answer.verdict,
            "the receipt is of this check",
        )?;
        expect(receipt::opens(&says, salt, id_number, card_valid_from.as_deref())?, "number and salt open it")?;
        expect(!receipt::opens(&says, salt, id_number, None)?, "another card does not open it")?;
        expect(receipt::verify(&receipt::tampered(text)?, &keys, &issuer).is_err(), "a tampered receipt is refused")?;
    }
    Ok(())
}
