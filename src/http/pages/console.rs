//! `/console`: the page on which an operator sees how the node is and administers; and at which provider persons sign in for it.

use std::sync::Arc;

use actix_web::http::header::{self, IfNoneMatch};
use actix_web::web::{Data, Header, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::files::{self, CONSOLE};
use crate::access::provider::{Endpoints, SignIn};
use crate::http::contract::problem::Problem;
use crate::http::pipeline::state::AppState;

/// What the page must know to let persons sign in. No secret is in it.
#[derive(Serialize)]
struct Provider<'a> {
    /// `none`: there is no provider; `away`: it cannot be found now; `ready`; `passkeys`: persons sign in here, by passkeys.
    state: &'static str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    ready: Option<Ready<'a>>,
}

#[derive(Serialize)]
struct Ready<'a> {
    issuer: &'a str,
    client_id: &'a str,
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'a str>,
    /// Which of its tokens the service takes.
    token: &'static str,
    name_claim: &'a str,
    authorization_endpoint: &'a str,
    token_endpoint: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    revocation_endpoint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_session_endpoint: Option<&'a str>,
}

/// The page. It may call the provider, where there is one.
pub async fn page(
    request: HttpRequest,
    known: Header<IfNoneMatch>,
    state: Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let called = endpoints(&state).await.map(|found| found.called()).unwrap_or_default();
    files::page_calling(CONSOLE, &request, &known.0, &called)
}

/// A file of the page.
pub async fn file(name: Path<String>, known: Header<IfNoneMatch>) -> Result<HttpResponse, Problem> {
    files::file(CONSOLE, &name, &known.0)
}

/// Where persons sign in.
pub async fn provider(state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let found = endpoints(&state).await;
    let ready = state.access.sign_in().zip(found.as_deref()).map(|(sign_in, found)| Ready::of(sign_in, found));
    let word = if ready.is_some() { "ready" } else { "away" };
    let without = if state.access.passkeys().is_some() { "passkeys" } else { "none" };
    let told = Provider { state: state.access.sign_in().map_or(without, |_| word), ready };
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(&told))
}

async fn endpoints(state: &AppState) -> Option<Arc<Endpoints>> {
    state.access.sign_in()?.seek(state.clock.now_s()).await
}

impl<'a> Ready<'a> {
    fn of(sign_in: &'a SignIn, found: &'a Endpoints) -> Self {
        let of = &sign_in.options;
        Self {
            issuer: &of.issuer,
            client_id: &of.client_id,
            scope: &of.scope,
            resource: of.resource.as_deref(),
            token: if of.is_id_token { "id_token" } else { "access_token" },
            name_claim: &of.name_claim,
            authorization_endpoint: &found.authorization_endpoint,
            token_endpoint: &found.token_endpoint,
            revocation_endpoint: found.revocation_endpoint.as_deref(),
            end_session_endpoint: found.end_session_endpoint.as_deref(),
        }
    }
}
