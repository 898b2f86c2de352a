//! The registry log as C2SP tlog-tiles serves it: checkpoints, tiles and bundles of entries below the path of their epoch, and the keys
//! that verify them.

use actix_web::HttpResponse;
use actix_web::http::header::{self, ContentType, HeaderName, HeaderValue};
use actix_web::web::{Data, Path};

use crate::crypto::tlog::tile::{Level, TileName};
use crate::domain::registry_log::LogEpoch;
use crate::http::contract::problem::Problem;
use crate::http::pipeline::caller::{Anyone, Caller};
use crate::http::pipeline::state::AppState;
use crate::service::registry_log::RegistryLog;

/// What caches may keep a checkpoint for.
const MOVING: &str = "public, max-age=1";
/// Tiles never change.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// Neither do entries, which are for those alone who may read them.
const IMMUTABLE_OWN: &str = "private, max-age=31536000, immutable";
/// Where the log began.
const BEGIN: HeaderName = HeaderName::from_static("registry-log-begin");
const KEPT_KEYS: &str = "public, max-age=300";

/// Read a checkpoint
///
/// A signed note (C2SP tlog-checkpoint): how many changes of the registry the log of this epoch has, and the root of their tree, signed by
/// the log and cosigned by its witnesses. No token; spends one unit of the source address's limit for public questions
/// (`limits.public`). You may cache it for one second.
#[utoipa::path(
    get, path = "/registry-log/{epoch}/checkpoint", operation_id = "getLogCheckpoint", tag = "operations",
    params(("epoch" = String, Path, pattern = "^[1-9][0-9]{0,9}$", example = "1", description = "The epoch of the blind key, from 1.")),
    responses(
        (status = 200, description = "A signed note.", content_type = "text/plain", body = String,
            headers(("Registry-Log-Begin" = u64, description = "The sequence `s0` at which the log began: its leaf `i` belongs to the sequence `s0` + `i` + 1."))),
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 429, response = crate::http::contract::openapi::Refused),
        (status = 503, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn checkpoint(_anyone: Anyone, state: Data<AppState>, epoch: Path<String>) -> Result<HttpResponse, Problem> {
    let (log, epoch) = (log(&state)?, LogEpoch::parse(&epoch).ok_or_else(Problem::not_found)?);
    let found = state.read_in_time(log.checkpoint_and_begin(epoch)).await??;
    let (note, begin) = found.ok_or_else(Problem::not_found)?;
    let mut answer = plain(MOVING, note);
    answer.headers_mut().insert(BEGIN, HeaderValue::from(begin.get()));
    Ok(answer)
}

/// Read hashes of the tree
///
/// A tile of C2SP tlog-tiles: up to 256 hashes of 32 bytes. No token; spends one unit of the source address's limit for public
/// questions (`limits.public`). A tile never changes.
#[utoipa::path(
    get, path = "/registry-log/{epoch}/tile/{tile}", operation_id = "getLogTile", tag = "operations",
    params(
        ("epoch" = String, Path, pattern = "^[1-9][0-9]{0,9}$", example = "1", description = "The epoch of the blind key, from 1."),
        ("tile" = String, Path, max_length = 64, pattern = "^[0-9]{1,2}/(x[0-9]{3}/)*[0-9]{3}([.]p/[0-9]{1,3})?$", example = "0/x001/234.p/17", description = "Level, index and width of the tile as C2SP tlog-tiles writes them, with their slashes."),
    ),
    responses(
        (status = 200, description = "The hashes.", content_type = "application/octet-stream", body = Vec<u8>),
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 429, response = crate::http::contract::openapi::Refused),
        (status = 503, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn tile(
    _anyone: Anyone,
    state: Data<AppState>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (epoch, tile) = path.into_inner();
    let name = TileName::parse(&tile).filter(|name| name.level != Level::Entries).ok_or_else(Problem::not_found)?;
    bytes(&state, &epoch, name, IMMUTABLE).await
}

/// Read entries of the log
///
/// A bundle of C2SP tlog-tiles: up to 256 entries, each behind its length as two bytes. An entry says nothing without the blind key of
/// its epoch. Scope `blind` or `audit`. Costs one unit of the client's limit. A bundle never changes.
#[utoipa::path(
    get, path = "/registry-log/{epoch}/tile/entries/{bundle}", operation_id = "getLogEntries", tag = "operations",
    security(("bearer" = [])),
    params(
        ("epoch" = String, Path, pattern = "^[1-9][0-9]{0,9}$", example = "1", description = "The epoch of the blind key, from 1."),
        ("bundle" = String, Path, max_length = 64, pattern = "^(x[0-9]{3}/)*[0-9]{3}([.]p/[0-9]{1,3})?$", example = "x001/234.p/17", description = "Index and width of the bundle as C2SP tlog-tiles writes them, with their slashes."),
    ),
    responses(
        (status = 200, description = "The entries.", content_type = "application/octet-stream", body = Vec<u8>),
        crate::http::contract::openapi::CallRefusals,
        (status = 404, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn entries(
    _caller: Caller,
    state: Data<AppState>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (epoch, bundle) = path.into_inner();
    let name = TileName::parse(&format!("entries/{bundle}")).ok_or_else(Problem::not_found)?;
    bytes(&state, &epoch, name, IMMUTABLE_OWN).await
}

/// Read the keys of the log
///
/// Verifier keys (C2SP signed-note), one a line: of each epoch, newest first, the key that signs and behind it retired ones. No token;
/// spends one unit of the source address's limit for public questions (`limits.public`). You may cache it for five minutes; compare
/// what you pin by another way.
#[utoipa::path(
    get, path = "/registry-log/keys", operation_id = "getLogKeys", tag = "operations",
    responses(
        (status = 200, description = "Verifier keys.", content_type = "text/plain", body = String),
        (status = 404, response = crate::http::contract::openapi::Refused),
        (status = 429, response = crate::http::contract::openapi::Refused),
        (status = 503, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn keys(_anyone: Anyone, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let keys = state.read_in_time(log(&state)?.verifier_keys()).await??;
    if keys.is_empty() {
        return Err(Problem::not_found());
    }
    let lines: Vec<_> = keys.iter().map(ToString::to_string).collect();
    Ok(plain(KEPT_KEYS, lines.join("\n") + "\n"))
}

/// To the checkpoint of the newest epoch.
pub async fn newest_checkpoint(_anyone: Anyone, state: Data<AppState>) -> Result<HttpResponse, Problem> {
    to_newest(&state, "checkpoint").await
}

/// To a tile or bundle of the newest epoch.
pub async fn newest_tile(_anyone: Anyone, state: Data<AppState>, tile: Path<String>) -> Result<HttpResponse, Problem> {
    let name = TileName::parse(&tile).ok_or_else(Problem::not_found)?;
    to_newest(&state, &format!("tile/{name}")).await
}

async fn to_newest(state: &AppState, what: &str) -> Result<HttpResponse, Problem> {
    let newest = state.read_in_time(log(state)?.newest()).await??;
    let epoch = newest.ok_or_else(Problem::not_found)?;
    let place = (header::LOCATION, format!("/registry-log/{epoch}/{what}"));
    Ok(HttpResponse::Found().insert_header(place).insert_header((header::CACHE_CONTROL, MOVING)).finish())
}

async fn bytes(state: &AppState, epoch: &str, name: TileName, kept: &'static str) -> Result<HttpResponse, Problem> {
    let (log, epoch) = (log(state)?, LogEpoch::parse(epoch).ok_or_else(Problem::not_found)?);
    let tile = state.read_in_time(log.tile(epoch, name)).await??.ok_or_else(Problem::not_found)?;
    let kept = (header::CACHE_CONTROL, kept);
    Ok(HttpResponse::Ok().content_type(ContentType::octet_stream()).insert_header(kept).body(tile))
}

fn plain(kept: &'static str, text: String) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::plaintext()).insert_header((header::CACHE_CONTROL, kept)).body(text)
}

/// The log, of a service that has one.
fn log(state: &AppState) -> Result<&RegistryLog, Problem> {
    state.registry_log.as_deref().ok_or_else(Problem::not_found)
}
