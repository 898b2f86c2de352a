//! `/verify`: the page on which an auditor verifies a receipt. All of it happens in the browser.

use actix_web::http::header::IfNoneMatch;
use actix_web::web::{Header, Path};
use actix_web::{HttpRequest, HttpResponse};

use super::files::{self, VERIFY};
use crate::http::contract::problem::Problem;

/// The page.
pub async fn page(request: HttpRequest, known: Header<IfNoneMatch>) -> Result<HttpResponse, Problem> {
    files::page(VERIFY, &request, &known.0)
}

/// A file of the page.
pub async fn file(name: Path<String>, known: Header<IfNoneMatch>) -> Result<HttpResponse, Problem> {
    files::file(VERIFY, &name, &known.0)
}
