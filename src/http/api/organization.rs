//! `GET /v1/organization`: what the service knows of the caller: its organization, its client, its limits, its sites. No secret, no
//! credential, no other client.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::client::{Rate, Scope};
use crate::domain::ids::{ClientId, OrganizationId};
use crate::http::contract::answers::{instant, json};
use crate::http::contract::problem::Problem;
use crate::http::contract::schema::{OrganizationKindCode, ScopeCode};
use crate::http::pipeline::caller::Caller;
use crate::http::pipeline::state::AppState;
use crate::limits::LimitName;

/// The organization of the token.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrganizationAnswer {
    #[schema(value_type = Uuid)]
    organization_id: OrganizationId,
    #[schema(example = "Harbour Hotels")]
    name: String,
    #[schema(value_type = OrganizationKindCode)]
    kind: &'static str,
    /// The administrative division (GB/T 2260) it works in.
    #[schema(example = "110105")]
    region: String,
    #[schema(format = DateTime)]
    created_at: String,
    client: ClientAnswer,
    /// The client's own limit, the one it shares with its organization's other clients, and that of numbers that are new to it.
    limits: Vec<LimitAnswer>,
    /// The sites that its checks named in the last thirty days, at most 1,000.
    sites: Vec<String>,
}

/// The client of the token.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClientAnswer {
    #[schema(value_type = Uuid)]
    client_id: ClientId,
    /// What the client may do.
    #[schema(value_type = Vec<ScopeCode>)]
    scopes: Vec<&'static str>,
    /// What this token may do: those of them that it was asked for.
    #[schema(value_type = Vec<ScopeCode>)]
    token_scopes: Vec<&'static str>,
    /// Whether it is held: numbers that are new to it are refused (`client_held`) until the operator releases it.
    held: bool,
    /// The place of a device, as operators have it now; absent where the client is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "harbour-1")]
    site: Option<String>,
    /// What a device is called; absent where the client is none, or nobody has said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "front desk")]
    name: Option<String>,
}

/// So many units in so many seconds.
#[derive(Debug, Serialize, ToSchema)]
pub struct LimitAnswer {
    /// `client`, `organization` or `numbers` (cards that the client has not checked lately; not where nobody counts them), as in the
    /// `RateLimit` headers.
    #[schema(example = "client")]
    name: &'static str,
    #[schema(value_type = i64, minimum = 1, example = 600)]
    requests: u32,
    #[schema(value_type = i64, minimum = 1, example = 60)]
    per_seconds: u32,
    /// Units that could be spent at once; for the client's own limit and for `numbers`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = i64, minimum = 0, example = 599)]
    remaining: Option<u32>,
}

/// Read your organization
///
/// Name, kind and region, the client of the token with its scopes, the limits with what is left of them, whether the client is held, and the
/// sites its checks named. Any scope; costs one
/// unit. No secret and nothing about other organizations.
#[utoipa::path(
    get, path = "/v1/organization", operation_id = "getOrganization", tag = "usage", security(("bearer" = [])),
    responses(
        (status = 200, description = "The organization.", body = OrganizationAnswer),
        crate::http::contract::openapi::CallRefusals,
    )
)]
pub async fn read(caller: Caller, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let id = caller.organization_id();
    let read = async { (state.access.organization(id).await, state.usage.sites(id).await) };
    let (organization, sites) = state.read_in_time(read).await?;
    let organization = organization?.ok_or_else(Problem::not_found)?;
    let client = &caller.principal.client;
    let remaining =
        |name| caller.standing().filter(|standing| standing.limit == name).map(|standing| standing.remaining);
    let limit = |(name, rate): (LimitName, Rate)| LimitAnswer {
        name: name.as_str(),
        requests: rate.requests.get(),
        per_seconds: rate.per_seconds.get(),
        remaining: remaining(name),
    };
    // Who checks no cards has no numbers.
    let checks = client.scopes.contains(Scope::Checks) || client.scopes.contains(Scope::Blind);
    let numbers = client.numbers.standing(state.clock.boot_ns()).filter(|_| checks).map(|standing| LimitAnswer {
        name: standing.limit.as_str(),
        requests: standing.rate.requests.get(),
        per_seconds: standing.rate.per_seconds.get(),
        remaining: Some(standing.remaining),
    });
    Ok(json(&OrganizationAnswer {
        organization_id: id,
        name: organization.name.as_str().to_owned(),
        kind: organization.kind.as_str(),
        region: organization.region.as_str().to_owned(),
        created_at: instant(organization.created_at_ms),
        client: ClientAnswer {
            client_id: client.client_id,
            scopes: client.scopes.iter().map(Scope::as_str).collect(),
            token_scopes: caller.principal.scopes.iter().map(Scope::as_str).collect(),
            held: client.numbers.is_held(),
            site: client.device.as_ref().map(|device| device.site.as_str().to_owned()),
            name: client.device.as_ref().and_then(|device| Some(device.name.as_ref()?.as_str().to_owned())),
        },
        limits: client.limits.rates().into_iter().map(limit).chain(numbers).collect(),
        sites: sites?,
    }))
}
