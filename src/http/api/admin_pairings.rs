//! `/v1/admin/pairings`: devices of desks and stations, as operators let them in, see, change, release and end them.

use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::admin_forms::{NUMBERS, NoMembers, read_name, read_scopes};
use crate::domain::client::Scope;
use crate::domain::ids::{ClientId, OrganizationId, PairingId};
use crate::domain::instant::UnixMs;
use crate::domain::numbers::Guests;
use crate::domain::pairing::device_scopes;
use crate::domain::redacted::SecretText;
use crate::http::contract::answers::{created, instant, json, path_id, respond};
use crate::http::contract::fields::{Fields, present};
use crate::http::contract::page::List;
use crate::http::contract::problem::{self, Problem};
use crate::http::contract::schema::{PairingStateCode, ScopeCode, ScopeName};
use crate::http::pipeline::body::{JsonBody, SINGLE_BYTES_MAX};
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::repetition::repeatable;
use crate::http::pipeline::state::AppState;
use crate::service::pairings::{Made, NewPairing, Opened, PairingChange};
use crate::store::pairings::ListedPairing;
use jiff::civil::Date;

/// A new device.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PairingRequest)]
pub struct NewPairingRequest {
    /// The organization whose device it is.
    #[schema(format = Uuid)]
    organization_id: String,
    /// What it may do: `checks` and `blind` at a desk, `registry` and `checks` at a station.
    #[schema(value_type = Vec<ScopeName>, min_items = 1, max_items = 3)]
    scopes: Vec<String>,
    /// Its place: the `site` of its checks.
    #[schema(example = "harbour-1", pattern = "^[A-Za-z0-9._:-]+$", min_length = 1, max_length = 64)]
    site: String,
    /// What it is called.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, example = "front desk", min_length = 1, max_length = 100)]
    name: Option<String>,
    /// How many guests it has on a day, or `none`: nobody counts. `250/1d` if absent.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, example = "250/1d", pattern = "^(none|[1-9][0-9]*/1d)$", max_length = 12)]
    numbers: Option<String>,
}

/// What is to change of a device; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PairingPatch {
    /// What it is called.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, example = "front desk", min_length = 1, max_length = 100)]
    name: Option<String>,
    /// Its place.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, example = "harbour-1", pattern = "^[A-Za-z0-9._:-]+$", min_length = 1, max_length = 64)]
    site: Option<String>,
    /// `ended`: its code, its key and its tokens are good for nothing any more, permanently.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false, value_type = Option<String>, pattern = "^ended$", example = "ended")]
    state: Option<String>,
}

/// The code by which a page becomes the device.
#[derive(Debug, Serialize, ToSchema)]
pub struct PairingCodeAnswer {
    #[schema(value_type = Uuid)]
    pairing_id: PairingId,
    /// In this answer alone, and kept nowhere. It is good once. A repetition is answered without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, example = "7K3M-Q9TX")]
    code: Option<SecretText>,
    /// Until when the code is good.
    #[schema(format = DateTime)]
    expires_at: String,
}

/// A pairing, and the device that came of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct PairingAnswer {
    /// Names the pairing.
    #[schema(value_type = Uuid)]
    pairing_id: PairingId,
    #[schema(value_type = Uuid)]
    organization_id: OrganizationId,
    /// What its organization is called.
    #[schema(example = "Harbour Hotels")]
    organization_name: String,
    /// What the device may do.
    #[schema(value_type = Vec<ScopeCode>)]
    scopes: Vec<&'static str>,
    #[schema(example = "harbour-1")]
    site: String,
    /// What it is called itself; absent where nobody has said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "front desk")]
    name: Option<String>,
    /// How many guests it has on a day; `none`: nobody counts; absent: the service's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "250/1d")]
    numbers: Option<String>,
    #[schema(value_type = PairingStateCode)]
    state: &'static str,
    /// When the code was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// Until when the code is, or was, good.
    #[schema(format = DateTime)]
    expires_at: String,
    /// The client that the device is; absent where no page has used the code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Uuid>)]
    client_id: Option<ClientId>,
    /// When a page registered its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    paired_at: Option<String>,
    /// When a node has last met a token of it for the first time; absent where none has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    last_used_at: Option<String>,
    /// Since when it is locked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    locked_at: Option<String>,
    /// When it was ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    ended_at: Option<String>,
}

/// A page of pairings, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct PairingList {
    /// Pairings, oldest first.
    pairings: Vec<PairingAnswer>,
    /// Where the next page begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

const LIST: List<PairingId> = List::collection("listPairings");

/// Which page of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PairingQuery {
    /// Only the devices of this organization.
    #[serde(default, deserialize_with = "present")]
    #[param(nullable = false, required = false, value_type = String, format = Uuid)]
    organization_id: Option<String>,
    /// The `next_cursor` of the page before.
    #[serde(default, deserialize_with = "present")]
    #[param(nullable = false, required = false, value_type = String)]
    cursor: Option<String>,
    /// How many pairings at most; 100 if absent.
    #[serde(default, deserialize_with = "present")]
    #[param(nullable = false, required = false, value_type = i32, minimum = 1, maximum = 500)]
    limit: Option<String>,
}

/// List pairings
///
/// Oldest first, in pages, each with its place, its state and when its device was used last. Scope `admin`; costs one unit.
#[utoipa::path(
    get, path = "/v1/admin/pairings", operation_id = "listPairings", tag = "administration", security(("bearer" = [])),
    params(PairingQuery),
    responses(
        (status = 200, description = "A page of the list.", body = PairingList),
        crate::http::contract::openapi::CallRefusals,
        (status = 422, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn list(_: Caller, request: HttpRequest, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let malformed = |_| {
        Problem::new(problem::MALFORMED_REQUEST, "the query takes organization_id, cursor and limit, each at most once")
    };
    let asked = Query::<PairingQuery>::from_query(request.query_string()).map_err(malformed)?;
    let mut fields = Fields::default();
    let of = fields.id("/organization_id", asked.organization_id.as_deref());
    let page = LIST.read(&mut fields, asked.cursor.as_deref(), asked.limit.as_deref());
    let page = fields.finish(page)?;
    let mut all = state.read_in_time(state.pairings.list(of, page.after, page.limit + 1)).await??;
    let next_cursor = LIST.end(&page, &mut all, |one| one.pairing.pairing_id);
    let now_ms = state.clock.now_ms();
    Ok(json(&PairingList { pairings: all.iter().map(|one| PairingAnswer::of(one, now_ms)).collect(), next_cursor }))
}

/// Make a code for a device
///
/// The page of the desk or of the station becomes the device by it: `/desk#pair=CODE`. The code is in this answer and nowhere else; it
/// is good for ten minutes, once, and for five tries. Scope `admin`; costs one unit. 409 where there is no such organization, or it is
/// ended. With an `Idempotency-Key` a repetition gets the first answer without its code: end that pairing, and make another one.
#[utoipa::path(
    post, path = "/v1/admin/pairings", operation_id = "createPairing", tag = "administration", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "1 to 255 visible ASCII characters, new for every new code.")),
    request_body = NewPairingRequest,
    responses(
        (status = 201, description = "The code.", body = PairingCodeAnswer,
            headers(("Location" = String, description = "The pairing's path."))),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 409, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn create(
    caller: Caller,
    body: JsonBody<NewPairingRequest>,
    request: HttpRequest,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let (told, bytes) = body.read_up_to(SINGLE_BYTES_MAX).await?;
    let new = told.read(state.clock.today())?;
    let repeatable = repeatable(&caller, &state, &request, &bytes)?;
    let route = caller.route();
    let answer = |opened: &Opened, code| {
        let (pairing_id, expires_at) = (opened.pairing_id, instant(opened.expires_at_ms));
        created(route.location(pairing_id), &PairingCodeAnswer { pairing_id, code, expires_at })
    };
    let made = state.pairings.open(caller.actor(), new, repeatable, |opened| answer(opened, None));
    Ok(respond(match state.write_in_time(made).await?? {
        Made::Fresh(opened) => answer(&opened, Some(opened.code.to_text())),
        Made::Repeated(answer) => answer,
    }))
}

/// Read a pairing
///
/// Its state, and the device that came of it. Scope `admin`; costs one unit.
#[utoipa::path(
    get, path = "/v1/admin/pairings/{pairing_id}", operation_id = "readPairing", tag = "administration",
    security(("bearer" = [])),
    params(("pairing_id" = Uuid, Path, description = "The pairing's id.")),
    responses(
        (status = 200, description = "The pairing.", body = PairingAnswer),
        crate::http::contract::openapi::CallRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn read(_: Caller, path: Path<String>, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    answer(state.read_in_time(state.pairings.find(path_id(&path)?)).await??, &state)
}

/// Change or end a pairing
///
/// A JSON merge patch (RFC 7396). Ended, the device is not let in any more, at every node within its lease. Scope `admin`; costs one
/// unit. 409 for one that is ended.
#[utoipa::path(
    patch, path = "/v1/admin/pairings/{pairing_id}", operation_id = "updatePairing", tag = "administration",
    security(("bearer" = [])),
    params(("pairing_id" = Uuid, Path, description = "The pairing's id.")),
    request_body(content = PairingPatch, content_type = "application/merge-patch+json"),
    responses(
        (status = 200, description = "The pairing.", body = PairingAnswer),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 409, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn update(
    caller: Caller,
    path: Path<String>,
    body: JsonBody<PairingPatch>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let (told, _) = body.read_patch().await?;
    let change = told.read(state.clock.today())?;
    answer(state.write_in_time(state.pairings.change(caller.actor(), id, change)).await??, &state)
}

/// Release a device
///
/// One that is locked, for its PIN was missed five times: its PIN has all its tries again. Scope `admin`; costs one unit. 409 for a
/// device that is not locked.
#[utoipa::path(
    post, path = "/v1/admin/pairings/{pairing_id}/release", operation_id = "releasePairing", tag = "administration",
    security(("bearer" = [])),
    params(("pairing_id" = Uuid, Path, description = "The pairing's id.")),
    request_body = NoMembers,
    responses(
        (status = 200, description = "The pairing.", body = PairingAnswer),
        crate::http::contract::openapi::CallRefusals,
        crate::http::contract::openapi::BodyRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 409, response = crate::http::contract::openapi::Refused),
        (status = 507, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn release(
    caller: Caller,
    path: Path<String>,
    body: JsonBody<NoMembers>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let NoMembers {} = body.read().await?;
    answer(state.write_in_time(state.pairings.release(caller.actor(), id)).await??, &state)
}

fn answer(found: Option<ListedPairing>, state: &AppState) -> Result<HttpResponse, Problem> {
    let now_ms = state.clock.now_ms();
    found.map(|one| json(&PairingAnswer::of(&one, now_ms))).ok_or_else(Problem::not_found)
}

impl NewPairingRequest {
    fn read(&self, today: Date) -> Result<NewPairing, Problem> {
        let mut fields = Fields::default();
        let organization = fields.id("/organization_id", Some(&self.organization_id));
        let scopes = read_scopes(&mut fields, &self.scopes);
        let scopes = scopes.and_then(|scopes| {
            let of_device = Some(scopes).filter(|scopes| scopes.is_subset(device_scopes()));
            fields.take("/scopes", of_device, "scope_of_other_kind", "a device may have: checks, registry, blind")
        });
        let site = fields.label("/site", Some(&self.site), today);
        let name = read_name(&mut fields, self.name.as_deref(), today);
        let numbers = self.numbers.as_deref();
        let numbers =
            numbers.and_then(|text| fields.take("/numbers", Guests::parse(text), "malformed_numbers", NUMBERS));
        let new = organization.zip(scopes).zip(site).map(|((organization, scopes), site)| NewPairing {
            organization,
            scopes,
            site,
            name,
            numbers,
        });
        fields.finish(new)
    }
}

impl PairingPatch {
    fn read(&self, today: Date) -> Result<PairingChange, Problem> {
        let mut fields = Fields::default();
        let name = read_name(&mut fields, self.name.as_deref(), today);
        let site = fields.label("/site", self.site.as_deref(), today);
        let ends = self.state.as_deref().map(|word| {
            let is_end = (word == "ended").then_some(());
            fields.take("/state", is_end, "unknown_value", "expected one of: ended")
        });
        fields.finish(Some(PairingChange { name, site, ends: ends.is_some() }))
    }
}

impl PairingAnswer {
    fn of(one: &ListedPairing, now_ms: UnixMs) -> Self {
        let pairing = &one.pairing;
        let device = pairing.device.as_ref();
        Self {
            pairing_id: pairing.pairing_id,
            organization_id: pairing.organization_id,
            organization_name: one.organization_name.as_str().to_owned(),
            scopes: pairing.scopes.iter().map(Scope::as_str).collect(),
            site: pairing.site.as_str().to_owned(),
            name: pairing.name.as_ref().map(|name| name.as_str().to_owned()),
            numbers: pairing.numbers.map(|numbers| numbers.to_string()),
            state: pairing.state(now_ms).as_str(),
            created_at: instant(pairing.created_at_ms),
            expires_at: instant(pairing.expires_at_ms),
            client_id: device.map(|device| device.client),
            paired_at: device.map(|device| instant(device.paired_at_ms)),
            last_used_at: one.last_used_at_ms.map(instant),
            locked_at: pairing.locked_at_ms.map(instant),
            ended_at: pairing.ended_at_ms.map(instant),
        }
    }
}
