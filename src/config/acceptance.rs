//! `[acceptance]`: places that take applications away from home beside those of the binary's own rules.

use super::setting::section;
use super::value::{Entry, Parts, Wrong, quoted};

/// Every county of the country, with room.
const PLACES_MAX: usize = 4000;

section! {
    /// Off-site acceptance of applications.
    Acceptance in "acceptance." {
        /// Further places that accept applications away from home.
        places: Vec<Place> = Vec::new(), unit("list"),
            must(|places| places.len() <= PLACES_MAX, "at most 4000 entries"), note("see below");
    }
}

/// A province, prefecture or county, and the first day.
#[derive(Debug, Clone)]
pub struct Place {
    /// Two, four or six digits of GB/T 2260.
    pub region: String,
    /// `YYYY-MM-DD`
    pub since: String,
}

impl Entry for Place {
    const WHAT: &'static str = "a list of places: [{ region = \"4419\", since = \"2016-09-01\" }]";
    const NAMES: &'static [&'static str] = &["region", "since"];

    fn of(parts: Parts) -> Result<Self, Wrong> {
        let [region, since] = [parts.text("region")?, parts.text("since")?].map(Option::unwrap_or_default);
        if since.is_empty() {
            return Err(("since", "a date written YYYY-MM-DD"));
        }
        if crate::domain::acceptance::Division::parse(&region).is_none() {
            return Err(("region", "two, four or six digits of GB/T 2260, of a province of the mainland"));
        }
        Ok(Self { region, since })
    }

    fn as_toml(&self) -> Option<String> {
        Some(format!("{{ region = {}, since = {} }}", quoted(&self.region), quoted(&self.since)))
    }
}
