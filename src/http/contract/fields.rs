//! Members of a body that are wrong, as the API refuses them. The rules themselves are in `service::fields`, for import files
//! come by the same.

pub use crate::service::fields::{Fields, parse_id};
pub use crate::service::json::{Foreign, ObjectMember, Whole, present, read_object};

use super::problem::Problem;

impl Fields {
    /// The value built from the members, or the problem with them.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Problem> {
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(Problem::invalid(self.errors.into_iter().map(Into::into).collect())),
        }
    }
}
