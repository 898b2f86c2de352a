//! The pages in the binary: the desk, the station, the console, the auditor's page, and what they share. Their files lie in folders of these
//! names, are served as they are but for the comments of scripts, and speak to this API as any client does; nothing about a person is served here.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use actix_web::http::header::{self, ETag, EntityTag, IfNoneMatch};
use actix_web::web::{Bytes, Header, Path};
use actix_web::{HttpRequest, HttpResponse};
use sha2::{Digest, Sha256};

use crate::http::contract::problem::Problem;

/// One file of a page.
#[derive(Debug)]
pub struct File {
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

impl File {
    /// What is sent of it.
    fn body(&self) -> Bytes {
        let script = SCRIPTS.get(&self.bytes.as_ptr().addr()).cloned();
        script.unwrap_or(Bytes::from_static(self.bytes))
    }
}

macro_rules! files {
    ($(#[$doc:meta])* $folder:ident: $($path:literal as $name:literal = $content_type:ident;)+) => {
        $(#[$doc])*
        pub const $folder: &[File] =
            &[$(File { name: $name, content_type: $content_type, bytes: include_bytes!($path) }),+];
    };
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

const TEXT: &str = "text/plain; charset=utf-8";

files! {
    /// `/desk`, first the page itself.
    DESK:
    "../../web/desk/index.html" as "index.html" = HTML;
    "../../web/desk/actions.js" as "actions.js" = SCRIPT;
    "../../web/desk/app.js" as "app.js" = SCRIPT;
    "../../web/desk/card_status.js" as "card_status.js" = SCRIPT;
    "../../web/desk/certificate.js" as "certificate.js" = SCRIPT;
    "../../web/desk/checks.js" as "checks.js" = SCRIPT;
    "../../web/desk/en.js" as "en.js" = SCRIPT;
    "../../web/desk/link.js" as "link.js" = SCRIPT;
    "../../web/desk/private.js" as "private.js" = SCRIPT;
    "../../web/desk/private_switch.js" as "private_switch.js" = SCRIPT;
    "../../web/vendor/blind/blind.min.js" as "blind.min.js" = SCRIPT;
    "../../web/vendor/blind/blind.LICENSE.txt" as "blind.LICENSE.txt" = TEXT;
    "../../web/desk/receipt.js" as "receipt.js" = SCRIPT;
    "../../web/desk/report.js" as "report.js" = SCRIPT;
    "../../web/desk/screen.js" as "screen.js" = SCRIPT;
    "../../web/desk/settings.js" as "settings.js" = SCRIPT;
    "../../web/desk/state.js" as "state.js" = SCRIPT;
    "../../web/desk/view.js" as "view.js" = SCRIPT;
    "../../web/desk/zh.js" as "zh.js" = SCRIPT;
    "../../web/desk/desk.css" as "desk.css" = STYLE;
}

files! {
    /// `/console`, first the page itself.
    CONSOLE:
    "../../web/console/index.html" as "index.html" = HTML;
    "../../web/console/accesses.js" as "accesses.js" = SCRIPT;
    "../../web/console/admin.js" as "admin.js" = SCRIPT;
    "../../web/console/alerts.js" as "alerts.js" = SCRIPT;
    "../../web/console/app.js" as "app.js" = SCRIPT;
    "../../web/console/charts.js" as "charts.js" = SCRIPT;
    "../../web/console/clients.js" as "clients.js" = SCRIPT;
    "../../web/console/en.js" as "en.js" = SCRIPT;
    "../../web/console/forms.js" as "forms.js" = SCRIPT;
    "../../web/console/log.js" as "log.js" = SCRIPT;
    "../../web/console/noisy.js" as "noisy.js" = SCRIPT;
    "../../web/console/offices.js" as "offices.js" = SCRIPT;
    "../../web/console/organizations.js" as "organizations.js" = SCRIPT;
    "../../web/console/pairings.js" as "pairings.js" = SCRIPT;
    "../../web/console/panels.js" as "panels.js" = SCRIPT;
    "../../web/console/parts.js" as "parts.js" = SCRIPT;
    "../../web/console/persons.js" as "persons.js" = SCRIPT;
    "../../web/console/requests.js" as "requests.js" = SCRIPT;
    "../../web/console/orders.js" as "orders.js" = SCRIPT;
    "../../web/console/series.js" as "series.js" = SCRIPT;
    "../../web/console/sign_in.js" as "sign_in.js" = SCRIPT;
    "../../web/console/state.js" as "state.js" = SCRIPT;
    "../../web/console/zh.js" as "zh.js" = SCRIPT;
    "../../web/console/console.css" as "console.css" = STYLE;
    "../../web/vendor/uplot/uPlot.iife.min.js" as "uPlot.iife.min.js" = SCRIPT;
    "../../web/vendor/uplot/uPlot.min.css" as "uPlot.min.css" = STYLE;
    "../../web/vendor/uplot/uPlot.LICENSE.txt" as "uPlot.LICENSE.txt" = TEXT;
    "../../../docs/OPERATIONS.md" as "operations.md" = TEXT;
}

files! {
    /// `/verify`, first the page itself.
    VERIFY:
    "../../web/verify/index.html" as "index.html" = HTML;
    "../../web/verify/audit.js" as "audit.js" = SCRIPT;
    "../../web/verify/app.js" as "app.js" = SCRIPT;
    "../../web/verify/en.js" as "en.js" = SCRIPT;
    "../../web/verify/judge.js" as "judge.js" = SCRIPT;
    "../../web/verify/view.js" as "view.js" = SCRIPT;
    "../../web/verify/zh.js" as "zh.js" = SCRIPT;
    "../../web/verify/verify.css" as "verify.css" = STYLE;
}

files! {
    /// `/station`, first the page itself.
    STATION:
    "../../web/station/index.html" as "index.html" = HTML;
    "../../web/station/app.js" as "app.js" = SCRIPT;
    "../../web/station/en.js" as "en.js" = SCRIPT;
    "../../web/station/forms.js" as "forms.js" = SCRIPT;
    "../../web/station/found.js" as "found.js" = SCRIPT;
    "../../web/station/issues.js" as "issues.js" = SCRIPT;
    "../../web/station/papers.js" as "papers.js" = SCRIPT;
    "../../web/station/reports.js" as "reports.js" = SCRIPT;
    "../../web/station/state.js" as "state.js" = SCRIPT;
    "../../web/station/today.js" as "today.js" = SCRIPT;
    "../../web/station/zh.js" as "zh.js" = SCRIPT;
    "../../web/station/station.css" as "station.css" = STYLE;
}

files! {
    /// `/web`: what pages share.
    WEB:
    "../../web/shared/camera.js" as "camera.js" = SCRIPT;
    "../../web/shared/card_date.js" as "card_date.js" = SCRIPT;
    "../../web/shared/device.js" as "device.js" = SCRIPT;
    "../../web/shared/door_en.js" as "door_en.js" = SCRIPT;
    "../../web/shared/door_zh.js" as "door_zh.js" = SCRIPT;
    "../../web/shared/ed25519.js" as "ed25519.js" = SCRIPT;
    "../../web/shared/elements.js" as "elements.js" = SCRIPT;
    "../../web/shared/entry.js" as "entry.js" = SCRIPT;
    "../../web/shared/id_number.js" as "id_number.js" = SCRIPT;
    "../../web/shared/jws.js" as "jws.js" = SCRIPT;
    "../../web/shared/passkeys.js" as "passkeys.js" = SCRIPT;
    "../../web/shared/proof.js" as "proof.js" = SCRIPT;
    "../../web/shared/provider.js" as "provider.js" = SCRIPT;
    "../../web/shared/qr.js" as "qr.js" = SCRIPT;
    "../../web/vendor/ed25519/ed25519.min.js" as "ed25519.min.js" = SCRIPT;
    "../../web/vendor/ed25519/ed25519.LICENSE.txt" as "ed25519.LICENSE.txt" = TEXT;
    "../../web/vendor/qr/decode.min.js" as "qr-decode.min.js" = SCRIPT;
    "../../web/vendor/qr/encode.min.js" as "qr-encode.min.js" = SCRIPT;
    "../../web/vendor/qr/qr.LICENSE.txt" as "qr.LICENSE.txt" = TEXT;
    "../../web/shared/i18n.js" as "i18n.js" = SCRIPT;
    "../../web/shared/reading.js" as "reading.js" = SCRIPT;
    "../../web/shared/session.js" as "session.js" = SCRIPT;
    "../../web/shared/base.css" as "base.css" = STYLE;
    "../../web/shared/icon.svg" as "icon.svg" = IMAGE;
}

/// A page and this service, and nothing else: no inline script or style, no frame, no form that leaves the page by itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const ALL: [&[File]; 5] = [DESK, STATION, CONSOLE, VERIFY, WEB];

/// Our own scripts without the lines of their comments, a tenth of a page: who reads those reads the source. By where the bytes are.
static SCRIPTS: LazyLock<HashMap<usize, Bytes>> = LazyLock::new(|| {
    let own = ALL.into_iter().flatten().filter(|file| file.content_type == SCRIPT && !file.name.ends_with(".min.js"));
    let short = own.filter_map(|file| {
        let text = std::str::from_utf8(file.bytes).ok()?;
        Some((file.bytes.as_ptr().addr(), without_comments(text).into()))
    });
    short.collect()
});

/// A script without the lines that are comments. One behind code stays.
fn without_comments(text: &str) -> String {
    let (mut rest, mut is_comment) = (String::with_capacity(text.len()), false);
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        if is_comment || trimmed.starts_with("/*") {
            is_comment = !trimmed.ends_with("*/");
        } else if !trimmed.starts_with("//") {
            rest.push_str(line);
        }
    }
    rest
}

/// One tag for all files: modules of two versions must not meet.
static TAG: LazyLock<EntityTag> = LazyLock::new(|| {
    let all = ALL.into_iter().flatten().fold(Sha256::new(), |hash, file| hash.chain_update(file.bytes));
    EntityTag::new_strong(hex::encode(all.finalize().get(..12).unwrap_or_default()))
});

/// The page of a folder.
pub fn page(folder: &[File], request: &HttpRequest, known: &IfNoneMatch) -> Result<HttpResponse, Problem> {
    page_calling(folder, request, known, &[])
}

/// The same of a page that calls these origins beside its own.
pub fn page_calling(
    folder: &[File],
    request: &HttpRequest,
    known: &IfNoneMatch,
    called: &[String],
) -> Result<HttpResponse, Problem> {
    // A query could only be somebody's attempt to hand a number over.
    if request.uri().query().is_some_and(|query| !query.is_empty()) {
        return Err(Problem::not_found());
    }
    folder.first().map(|file| answer(file, known, called)).ok_or_else(Problem::not_found)
}

/// A file of a folder, other than its page.
pub fn file(folder: &[File], name: &str, known: &IfNoneMatch) -> Result<HttpResponse, Problem> {
    let found = folder.iter().find(|file| file.name == name && file.content_type != HTML);
    found.map(|file| answer(file, known, &[])).ok_or_else(Problem::not_found)
}

/// A file that the pages share.
pub async fn shared(name: Path<String>, known: Header<IfNoneMatch>) -> Result<HttpResponse, Problem> {
    file(WEB, &name, &known.0)
}

fn answer(file: &File, known: &IfNoneMatch, called: &[String]) -> HttpResponse {
    let (tag, policy) = tag_and_policy(called);
    let is_known = match known {
        IfNoneMatch::Any => true,
        IfNoneMatch::Items(tags) => tags.iter().any(|other| other.weak_eq(&tag)),
    };
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header(ETag(tag))
        // Asked for each time and sent only when it has changed: a page runs the version of its service.
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy.as_ref()))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header(("cross-origin-opener-policy", "same-origin"))
        .insert_header(("cross-origin-resource-policy", "same-origin"));
    if is_known { response.finish() } else { response.content_type(file.content_type).body(file.body()) }
}

/// A page that may call others has another tag: what a browser keeps of it keeps the policy that it came with.
fn tag_and_policy(called: &[String]) -> (EntityTag, Cow<'static, str>) {
    if called.is_empty() {
        return (TAG.clone(), Cow::Borrowed(POLICY));
    }
    let called = called.join(" ");
    let mark = hex::encode(Sha256::digest(&called).get(..6).unwrap_or_default());
    let policy = POLICY.replace("connect-src 'self'", &format!("connect-src 'self' {called}"));
    (EntityTag::new_strong(format!("{}-{mark}", TAG.tag())), Cow::Owned(policy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_sent_without_the_lines_of_their_comments() {
        let text = "// what it is\nimport { a } from \"./a.js\";\n\n/** Does.\n * More.\n */\nconst b = \"//c\"; // stays\n  /* one */\nb();\n";
        assert_eq!(without_comments(text), "import { a } from \"./a.js\";\n\nconst b = \"//c\"; // stays\nb();\n");
    }

    /// A comment that ends before code would take the code with it.
    #[test]
    fn no_script_has_code_behind_a_comment_on_its_line() {
        for file in
            ALL.into_iter().flatten().filter(|file| file.content_type == SCRIPT && !file.name.ends_with(".min.js"))
        {
            let text = std::str::from_utf8(file.bytes).unwrap();
            let wrong = text.lines().map(str::trim).find(|line| {
                let begins = line.starts_with("/*") || line.starts_with('*');
                begins && line.contains("*/") && !line.ends_with("*/")
            });
            assert_eq!(wrong, None, "{}", file.name);
            assert!(file.body().len() <= file.bytes.len() && !file.body().is_empty(), "{}", file.name);
        }
    }
}
