//! `/station`: the page of a police station or a registration hall.

use actix_web::http::header::IfNoneMatch;
use actix_web::web::{Header, Path};
use actix_web::{HttpRequest, HttpResponse};

use super::files::{self, STATION};
use crate::http::contract::problem::Problem;

/// The page.
pub async fn page(request: HttpRequest, known: Header<IfNoneMatch>) -> Result<HttpResponse, Problem> {
    files::page(STATION, &request, &known.0)
}

/// A file of the page.
pub async fn file(name: Path<String>, known: Header<IfNoneMatch>) -> Result<HttpResponse, Problem> {
    files::file(STATION, &name, &known.0)
}
