//! What the operations on applications share: offices in bodies.

use jiff::civil::Date;

use super::acceptance::PLACE_DETAIL;
use crate::domain::acceptance::Place;
use crate::domain::report::OfficeCode;
use crate::http::contract::fields::Fields;
use crate::http::contract::problem::Problem;
use crate::http::pipeline::caller::Caller;
use crate::service::applications::OfficeAt;

/// An office whose place decides.
pub fn read_office_at(fields: &mut Fields, pointer: &'static str, text: &str, today: Date) -> Option<OfficeAt> {
    let office = fields.office_at(pointer, text, today)?;
    let detail = format!("the office's code begins with its place: {PLACE_DETAIL}");
    let place = fields.take(pointer, Place::of_office(&office), "unknown_region", detail)?;
    Some(OfficeAt { office, place })
}

/// The office of a body that names no more: one of the caller's.
pub fn read_office(caller: &Caller, text: &str, today: Date) -> Result<OfficeCode, Problem> {
    let mut fields = Fields::default();
    let office = fields.office(text, today);
    let office = fields.finish(office)?;
    caller.act_for(&office)?;
    Ok(office)
}
