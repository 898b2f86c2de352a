//! Pages for people: what a problem means, the start page, and `security.txt`. Static HTML without script, from the tables in
//! `problem` and `explanations`.
//! The API reference is the vendored Swagger UI, registered in `mod.rs`.

use actix_web::http::header::{self, ContentType, HeaderValue};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::instant::UnixMs;
use crate::http::contract::explanations;
use crate::http::contract::problem::{self, Kind, Problem};
use crate::http::pipeline::exchange::Exchange;
use crate::http::pipeline::media::preferred;
use crate::http::pipeline::state::AppState;

use crate::clock::Rfc3339;

const DAY_S: i64 = 24 * 60 * 60;
/// How long a copy of `security.txt` may be believed. Short: a served one renews itself as long as its operator runs the service.
const SECURITY_TXT_VALID_S: i64 = 31 * DAY_S;

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem;color:#1a1a1a}\
code{background:#f2f2f2;padding:.1em .3em}@media(prefers-color-scheme:dark){body{background:#111;color:#eee}code{background:#222}a{color:#8bf}}";
/// Nothing but the style in the page itself.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

/// A problem's page for programs, which may show it to their users.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemPage {
    #[schema(value_type = problem::ProblemCode)]
    code: &'static str,
    /// The HTTP status that it comes with.
    #[schema(value_type = i32, example = 422)]
    status: u16,
    en: ProblemWords,
    zh: ProblemWords,
}

/// What a problem means, in one language.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemWords {
    title: &'static str,
    happened: &'static str,
    why: &'static str,
    /// What the people who run the calling program do about it.
    remedy: &'static str,
    /// What a clerk does meanwhile, where the problem keeps a verdict from the desk.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    at_the_desk: Option<&'static str>,
}

impl ProblemPage {
    fn of(kind: &'static Kind) -> Option<Self> {
        let words = explanations::of(kind)?;
        let status = kind.status;
        // Those that repeating or another program cures within the hour: the clerk at the desk has to bridge it.
        let lacks_verdict = status.is_server_error() || matches!(status.as_u16(), 408 | 429);
        let [en, zh] = explanations::AT_THE_DESK.map(|text| lacks_verdict.then_some(text));
        Some(Self {
            code: kind.code,
            status: status.as_u16(),
            en: ProblemWords {
                title: kind.title,
                happened: words.happened,
                why: words.why,
                remedy: kind.remedy,
                at_the_desk: en,
            },
            zh: ProblemWords {
                title: words.zh.title,
                happened: words.zh.happened,
                why: words.zh.why,
                remedy: words.zh.remedy,
                at_the_desk: zh,
            },
        })
    }

    fn to_html(&self) -> String {
        let sections = |words: &ProblemWords, headings: [&str; 4]| {
            let texts = [Some(words.happened), Some(words.why), Some(words.remedy), words.at_the_desk];
            let section = |(heading, text)| format!("<h2>{heading}</h2><p>{}</p>", escape(text));
            let given = headings.into_iter().zip(texts).filter_map(|(heading, text)| Some((heading, text?)));
            given.map(section).collect::<String>()
        };
        format!(
            "<h1>{}</h1><p><code>{}</code>, status {}</p>{}<hr><section lang=\"zh-Hans\"><h1>{}</h1>{}</section>",
            escape(self.en.title),
            self.code,
            self.status,
            sections(&self.en, ["What happened", "Why", "What to do", "At the desk"]),
            escape(self.zh.title),
            sections(&self.zh, ["发生了什么", "为什么", "怎么办", "在柜台"]),
        )
    }
}

/// What a problem means
///
/// The page that a problem's `type` points to: what happened, why, and what to do, in English and Chinese. JSON where
/// `Accept` would rather have it.
/// No token, no limit.
#[utoipa::path(
    get, path = "/problems/{code}", operation_id = "getProblemPage", tag = "operations",
    params(("code" = String, Path, pattern = "^[a-z_]{1,64}$", example = "invalid_value", description = "A problem's `code`.")),
    responses(
        (status = 200, description = "A page.", content((String = "text/html"), (ProblemPage = "application/json"))),
        (status = 404, response = crate::http::contract::openapi::Refused),
    )
)]
pub async fn problem_page(request: HttpRequest, code: Path<String>) -> Result<HttpResponse, Problem> {
    let kind = problem::ALL.iter().find(|kind| kind.code == code.as_str()).ok_or_else(Problem::not_found)?;
    let words = ProblemPage::of(kind).ok_or_else(Problem::not_found)?;
    let mut answer = if preferred(&request, ["text/html", "application/json"]) == "application/json" {
        HttpResponse::Ok().json(words)
    } else {
        page(kind.title, &words.to_html())
    };
    answer.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    Ok(answer)
}

/// Where to report a vulnerability (RFC 9116). Only the operator can name that, so it is absent until they do.
pub async fn security_txt(state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let contact = state.security.contact.as_ref().ok_or_else(Problem::not_found)?;
    let expires_s = state.clock.now_s() + SECURITY_TXT_VALID_S;
    // Midnight, so that all nodes tell the same for a day.
    let expires = Rfc3339::of(UnixMs::from_seconds(expires_s - expires_s.rem_euclid(DAY_S)));
    let mut lines = vec![
        format!("Contact: {contact}"),
        format!("Expires: {}", expires.as_str()),
        "Preferred-Languages: zh, en".to_owned(),
    ];
    // The fields take https alone (RFC 9116, 2.5).
    let issuer = state.access.issuer();
    lines.extend(issuer.starts_with("https://").then(|| format!("Canonical: {issuer}/.well-known/security.txt")));
    lines.extend(state.security.policy.as_ref().map(|policy| format!("Policy: {policy}")));
    let kept = (header::CACHE_CONTROL, "public, max-age=3600");
    Ok(HttpResponse::Ok().content_type(ContentType::plaintext()).insert_header(kept).body(lines.join("\n") + "\n"))
}

/// The start page: where to go from here.
pub async fn start(request: HttpRequest) -> HttpResponse {
    let prefix = Exchange::prefix(&request);
    let item = |kind: &&problem::Kind| {
        format!(r#"<li><a href="{prefix}/problems/{0}"><code>{0}</code></a> {1}</li>"#, kind.code, kind.title)
    };
    let kinds = problem::ALL.iter().map(item).collect::<Vec<_>>().concat();
    let main = format!(
        r#"<h1>lostcard</h1><p>Has the card in front of me been reported lost, stolen or replaced?</p>
<ul><li><a href="{prefix}/desk">Desk: check a card</a></li><li><a href="{prefix}/station">Station: report a loss, take in a found card</a></li><li><a href="{prefix}/console">Console: how the service is</a></li><li><a href="{prefix}/verify">Verify: is a receipt authentic?</a></li><li><a href="{prefix}/docs/">API reference</a></li><li><a href="{prefix}/openapi.json">OpenAPI document</a></li></ul>
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
