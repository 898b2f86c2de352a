//! `/desk`: the page on which a clerk checks a card by hand. Its files lie in `desk/`, are part of the binary as they are, and
//! speak to this API as any client does; nothing about a person is served here.

use std::sync::LazyLock;

use actix_web::http::header::{self, ETag, EntityTag, IfNoneMatch};
use actix_web::web::{Header, Path};
use actix_web::{HttpRequest, HttpResponse};
use sha2::{Digest, Sha256};

use super::problem::Problem;

/// One file of the page.
struct File {
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! files {
    ($($name:literal = $content_type:ident;)+) => {
        /// What `/desk/{file}` serves; the first is `/desk` itself.
        const FILES: &[File] = &[$(File {
            name: $name,
            content_type: $content_type,
            bytes: include_bytes!(concat!("desk/", $name)),
        }),+];
    };
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

files! {
    "index.html" = HTML;
    "app.js" = SCRIPT;
    "card_date.js" = SCRIPT;
    "en.js" = SCRIPT;
    "i18n.js" = SCRIPT;
    "id_number.js" = SCRIPT;
    "receipt.js" = SCRIPT;
    "report.js" = SCRIPT;
    "session.js" = SCRIPT;
    "view.js" = SCRIPT;
    "zh.js" = SCRIPT;
    "desk.css" = STYLE;
    "icon.svg" = IMAGE;
}

/// The page and this service, and nothing else: no inline script or style, no frame, no form that leaves the page by itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// One tag for all files: modules of two versions must not meet.
static TAG: LazyLock<EntityTag> = LazyLock::new(|| {
    let all = FILES.iter().fold(Sha256::new(), |hash, file| hash.chain_update(file.bytes));
    EntityTag::new_strong(hex::encode(all.finalize().get(..12).unwrap_or_default()))
});

/// The page.
pub async fn page(request: HttpRequest, known: Header<IfNoneMatch>) -> Result<HttpResponse, Problem> {
    // A query could only be somebody's attempt to hand a number over.
    if request.uri().query().is_some_and(|query| !query.is_empty()) {
        return Err(Problem::not_found());
    }
    FILES.first().map(|file| answer(file, &known.0)).ok_or_else(Problem::not_found)
}

/// A file of the page.
pub async fn file(name: Path<String>, known: Header<IfNoneMatch>) -> Result<HttpResponse, Problem> {
    let file = FILES.iter().skip(1).find(|file| file.name == name.as_str()).ok_or_else(Problem::not_found)?;
    Ok(answer(file, &known.0))
}

fn answer(file: &File, known: &IfNoneMatch) -> HttpResponse {
    let is_known = match known {
        IfNoneMatch::Any => true,
        IfNoneMatch::Items(tags) => tags.iter().any(|tag| tag.weak_eq(&TAG)),
    };
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header(ETag(TAG.clone()))
        // Asked for each time and sent only when it has changed: a desk runs the version of its service.
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header(("cross-origin-opener-policy", "same-origin"))
        .insert_header(("cross-origin-resource-policy", "same-origin"));
    if is_known { response.finish() } else { response.content_type(file.content_type).body(file.bytes) }
}
