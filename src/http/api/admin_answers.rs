//! What operators are shown: organizations, clients, requests that wait; and the answers to what may have to wait.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, http::header::LOCATION};
use serde::Serialize;
use utoipa::ToSchema;

use super::admin_orders::UndoneAnswer;
use crate::domain::authority::{OfficePrefix, WaitingAct};
use crate::domain::client::Scope;
use crate::domain::ids::{AdminRequestId, ClientId, OrganizationId, RecordId};
use crate::domain::instant::UnixMs;
use crate::domain::person::ShortName;
use crate::domain::redacted::SecretText;
use crate::http::contract::answers::{created, instant, json, respond};
use crate::http::contract::problem::Problem;
use crate::http::contract::route::Route;
use crate::http::contract::schema::{
    BoundCode, DigestsCode, HeldForCode, LifeStateCode, OrganizationKindCode, ScopeCode, WaitingActCode,
};
use crate::service::administration::asked::{Answered, Outcome};
use crate::service::administration::requests::has_expired;
use crate::service::administration::undo::{export_of, tally_of};
use crate::store::administration::{AdminRequest, ListedClient};
use crate::store::clients::Organization;
use crate::store::idempotency::StoredAnswer;

/// An organization, as operators see it.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdminOrganizationAnswer {
    #[schema(value_type = Uuid)]
    organization_id: OrganizationId,
    #[schema(example = "Harbour Hotels")]
    name: String,
    #[schema(value_type = OrganizationKindCode)]
    kind: &'static str,
    /// The administrative division (GB/T 2260) it works in.
    #[schema(example = "110105")]
    region: String,
    #[schema(value_type = LifeStateCode)]
    state: &'static str,
    /// The limit that its clients share; absent: the service's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "6000/60s")]
    rate: Option<String>,
    /// How the codes of its offices begin; empty: those of its region.
    offices: Vec<String>,
    /// Whether it also ends reports that other organizations have filed.
    any_office: bool,
    #[schema(format = DateTime)]
    created_at: String,
}

/// A client, as operators see it.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdminClientAnswer {
    #[schema(value_type = Uuid)]
    client_id: ClientId,
    #[schema(value_type = Uuid)]
    organization_id: OrganizationId,
    /// What its organization is called.
    #[schema(example = "Harbour Hotels")]
    organization_name: String,
    /// What it is called itself; absent where nobody has said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "front desk")]
    name: Option<String>,
    /// What the client may do.
    #[schema(value_type = Vec<ScopeCode>)]
    scopes: Vec<&'static str>,
    #[schema(value_type = LifeStateCode)]
    state: &'static str,
    /// Its limit; absent: the service's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "600/60s")]
    rate: Option<String>,
    /// How many guests it has on a day; `none`: nobody counts; absent: the service's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "250/1d")]
    numbers: Option<String>,
    #[schema(value_type = DigestsCode)]
    digests: &'static str,
    #[schema(value_type = BoundCode)]
    bound: &'static str,
    /// Since when and why it is held; absent where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    hold: Option<HoldAnswer>,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When a node has last met a token of it for the first time; absent where none has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    last_used_at: Option<String>,
    /// How many of its requests limits have refused.
    #[schema(value_type = i64, minimum = 0, example = 0)]
    refused: u64,
    /// A secret that was made for it: shown in this answer alone, and kept nowhere. A repetition is answered without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>)]
    client_secret: Option<SecretText>,
}

/// That a client is held: numbers that are new to it are not answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct HoldAnswer {
    /// Since when.
    #[schema(format = DateTime)]
    held_at: String,
    #[schema(value_type = HeldForCode)]
    held_for: &'static str,
}

/// What an operator has asked for that another one must approve.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdminRequestAnswer {
    /// Names the request.
    #[schema(value_type = Uuid)]
    request_id: AdminRequestId,
    #[schema(value_type = WaitingActCode)]
    act: &'static str,
    /// `awaiting_approval`; `approved`: it is done; `refused` or `expired`: it is not.
    #[schema(value_type = String, example = "awaiting_approval")]
    state: &'static str,
    /// The client that asked for it.
    #[schema(value_type = Uuid)]
    requested_by: ClientId,
    /// The person behind it, where one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "wang.fang")]
    requested_by_person: Option<String>,
    /// When it was asked for.
    #[schema(format = DateTime)]
    requested_at: String,
    /// The client that it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Uuid>)]
    client_id: Option<ClientId>,
    /// The organization that it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Uuid>)]
    organization_id: Option<RecordId>,
    /// What was asked for, as it was sent.
    #[schema(value_type = Object)]
    requested: serde_json::Value,
    /// The client that approved it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Uuid>)]
    approved_by: Option<ClientId>,
    /// The person behind it, where one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "li.lei")]
    approved_by_person: Option<String>,
    /// When it was approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    approved_at: Option<String>,
    /// The client that refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Uuid>)]
    refused_by: Option<ClientId>,
    /// The person behind it, where one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "li.lei")]
    refused_by_person: Option<String>,
    /// When it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    refused_at: Option<String>,
    /// The organization or the client that came of it, or whose acts are undone; of an export the request itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Uuid>)]
    subject_id: Option<RecordId>,
    /// When an undoing was done that was approved; when an export began to be there; or when the secret was made that was agreed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    done_at: Option<String>,
    /// What came of an undoing, once it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    undone: Option<UndoneAnswer>,
    /// The last entry of an export that was approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<i64>, minimum = 1, example = 120_417)]
    exported_to: Option<u64>,
}

/// The answer to an act, as it is kept for repetitions: without a secret.
pub(super) fn stored(route: &Route, outcome: &Outcome) -> StoredAnswer {
    let answer = match outcome {
        Outcome::Organization(one) => created(route.location(one.organization_id), &AdminOrganizationAnswer::of(one)),
        Outcome::Client(one, _) => created(route.location(one.client.client_id), &AdminClientAnswer::of(one)),
        Outcome::Waits(request) => {
            created(route.waiting_location(request.id), &AdminRequestAnswer::of(request, request.requested_at_ms))
        }
    };
    let status = match outcome {
        Outcome::Waits(_) if answer.status == StatusCode::CREATED => StatusCode::ACCEPTED.as_u16(),
        // What changes something has made nothing.
        _ if answer.status == StatusCode::CREATED && route.creates.is_none() => StatusCode::OK.as_u16(),
        _ => answer.status,
    };
    StoredAnswer { status, ..answer }
}

/// The answer to an act: the first with its secret, a repetition without.
pub(super) fn respond_to(route: &Route, answered: Option<Answered>) -> Result<HttpResponse, Problem> {
    match answered {
        None => Err(Problem::not_found()),
        Some(Answered::Repeated(answer)) => Ok(respond(answer)),
        Some(Answered::Fresh(Outcome::Client(one, Some(secret)))) => {
            let mut response = json(&AdminClientAnswer::with_secret(&one, secret));
            if response.status().is_success() {
                *response.status_mut() = StatusCode::CREATED;
            }
            if let Ok(location) = route.location(one.client.client_id).parse::<actix_web::http::header::HeaderValue>()
                && !location.is_empty()
            {
                response.headers_mut().insert(LOCATION, location);
            }
            Ok(response)
        }
        Some(Answered::Fresh(outcome)) => Ok(respond(stored(route, &outcome))),
    }
}

impl AdminOrganizationAnswer {
    pub(super) fn of(one: &Organization) -> Self {
        Self {
            organization_id: one.organization_id,
            name: one.name.as_str().to_owned(),
            kind: one.kind.as_str(),
            region: one.region.as_str().to_owned(),
            state: one.state().as_str(),
            rate: one.rate.map(|rate| rate.to_string()),
            offices: one.offices.prefixes().iter().map(OfficePrefix::as_str).map(str::to_owned).collect(),
            any_office: one.offices.ends_others,
            created_at: instant(one.created_at_ms),
        }
    }
}

impl AdminClientAnswer {
    pub(super) fn of(one: &ListedClient) -> Self {
        let client = &one.client;
        let hold = client.numbers.held;
        Self {
            client_id: client.client_id,
            organization_id: client.organization_id,
            organization_name: one.organization_name.as_str().to_owned(),
            name: client.name.as_ref().map(|name| name.as_str().to_owned()),
            scopes: client.scopes.iter().map(Scope::as_str).collect(),
            state: client.state().as_str(),
            rate: client.rate.map(|rate| rate.to_string()),
            numbers: client.numbers.guests.map(|guests| guests.to_string()),
            digests: client.numbers.digests.as_str(),
            bound: client.bound.as_str(),
            hold: hold.map(|held| HoldAnswer { held_at: instant(held.at_ms), held_for: held.why.as_str() }),
            created_at: instant(client.created_at_ms),
            last_used_at: one.last_used_at_ms.map(instant),
            refused: one.refused,
            client_secret: None,
        }
    }

    fn with_secret(one: &ListedClient, secret: SecretText) -> Self {
        Self { client_secret: Some(secret), ..Self::of(one) }
    }
}

impl AdminRequestAnswer {
    pub(super) fn of(request: &AdminRequest, now_ms: UnixMs) -> Self {
        let (approved, refused) = (request.approved, request.refused);
        let is_of_organization = request.act == WaitingAct::UpdateOrganization;
        let named = |person: Option<ShortName>| person.map(|person| person.as_str().to_owned());
        let state = match (approved, refused) {
            (Some(_), _) => "approved",
            (None, Some(_)) => "refused",
            (None, None) if has_expired(request, now_ms) => "expired",
            (None, None) => "awaiting_approval",
        };
        Self {
            request_id: request.id,
            act: request.act.as_str(),
            state,
            requested_by: request.actor.client,
            requested_by_person: named(request.actor.person),
            requested_at: instant(request.requested_at_ms),
            client_id: request.target.filter(|_| !is_of_organization).map(RecordId::as_its_kind::<ClientId>),
            organization_id: request.target.filter(|_| is_of_organization),
            requested: serde_json::from_str(&request.body).unwrap_or_default(),
            approved_by: approved.map(|approved| approved.by),
            approved_by_person: named(approved.and_then(|approved| approved.person)),
            approved_at: approved.map(|approved| instant(approved.at_ms)),
            refused_by: refused.map(|refused| refused.by),
            refused_by_person: named(refused.and_then(|refused| refused.person)),
            refused_at: refused.map(|refused| instant(refused.at_ms)),
            subject_id: approved.map(|approved| approved.subject),
            done_at: request.done_at_ms.map(instant),
            undone: tally_of(request).map(UndoneAnswer::of),
            exported_to: export_of(request).map(|span| span.last),
        }
    }
}
