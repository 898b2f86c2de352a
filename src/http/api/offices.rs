//! What the operations on applications share: offices in bodies.

use super::acceptance::PLACE_DETAIL;
use crate::domain::acceptance::Place;
use crate::domain::report::OfficeCode;
use crate::http::contract::fields::Fields;
use crate::http::contract::problem::Problem;
use crate::service::applications::OfficeAt;

/// An office whose place decides.
pub fn read_office_at(fields: &mut Fields, pointer: &'static str, text: &str) -> Option<OfficeAt> {
    let detail = "1 to 32 letters, digits and hyphens without a run of 15 digits or more";
    let office = fields.take(pointer, OfficeCode::parse(text), "malformed_office", detail)?;
    let detail = format!("the office's code begins with its place: {PLACE_DETAIL}");
    let place = fields.take(pointer, Place::of_office(&office), "unknown_region", detail)?;
    Some(OfficeAt { office, place })
}

/// The office of a body that names no more.
pub fn read_office(text: &str) -> Result<OfficeCode, Problem> {
    let mut fields = Fields::default();
    let office = fields.office(text);
    fields.finish(office)
}
