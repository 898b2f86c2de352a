//! Pages for people: what a problem means, and the start page. Static HTML without script, from the table in `problem`.
//! The API reference is the vendored Swagger UI, registered in `mod.rs`.

use actix_web::HttpResponse;
use actix_web::http::header::{self, ContentType};
use actix_web::web::Path;

use super::problem::{self, Problem};

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem;color:#1a1a1a}\
code{background:#f2f2f2;padding:.1em .3em}@media(prefers-color-scheme:dark){body{background:#111;color:#eee}code{background:#222}a{color:#8bf}}";
/// Nothing but the style that stands in the page itself.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

/// What a problem means
///
/// The page that a problem's `type` points to: what happened and what to do.
#[utoipa::path(
    get, path = "/problems/{code}", operation_id = "getProblemPage", tag = "operations",
    params(("code" = String, Path, description = "A problem's `code`.")),
    responses(
        (status = 200, description = "A page.", body = String, content_type = "text/html"),
        (status = 404, response = super::openapi::Refused),
    )
)]
pub async fn problem_page(code: Path<String>) -> Result<HttpResponse, Problem> {
    let kind = problem::ALL.iter().find(|kind| kind.code == code.as_str()).ok_or_else(Problem::not_found)?;
    let main = format!(
        "<h1>{}</h1><p><code>{}</code>, status {}</p><h2>What to do</h2><p>{}</p>",
        kind.title,
        kind.code,
        kind.status.as_u16(),
        escape(kind.remedy)
    );
    Ok(page(kind.title, &main))
}

/// The start page: where to go from here.
pub async fn start() -> HttpResponse {
    let item = |kind: &&problem::Kind| {
        format!(r#"<li><a href="/problems/{0}"><code>{0}</code></a> {1}</li>"#, kind.code, kind.title)
    };
    let kinds = problem::ALL.iter().map(item).collect::<Vec<_>>().concat();
    let main = format!(
        r#"<h1>lostcard</h1><p>Has the card in front of me been reported lost, stolen or replaced?</p>
<ul><li><a href="/desk">Desk: check a card</a></li><li><a href="/console">Console: how the service is</a></li><li><a href="/docs/">API reference</a></li><li><a href="/openapi.json">OpenAPI document</a></li></ul>
<h2>Problems</h2><ul>{kinds}</ul>"#
    );
    page("lostcard", &main)
}

fn page(title: &str, main: &str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(ContentType::html())
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .body(format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head><body><main>{main}</main></body></html>"
        ))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
