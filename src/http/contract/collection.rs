//! What every list of a collection takes: a page, the state and the office of its rows, and since when they are.

use actix_web::web::Query;
use jiff::civil::Date;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::fields::{Fields, present};
use super::page::{List, Page};
use super::problem::{self, Problem};
use crate::domain::ids::OrganizationId;
use crate::store::lists::Wanted;

/// The query of a list, as text: what it holds is judged after its shape.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CollectionQuery {
    /// The `next_cursor` of the page before.
    #[serde(default, deserialize_with = "present")]
    #[param(nullable = false, required = false, value_type = String, max_length = 256)]
    cursor: Option<String>,
    /// How many at most; 100 if absent.
    #[serde(default, deserialize_with = "present")]
    #[param(nullable = false, required = false, value_type = i32, minimum = 1, maximum = 500)]
    limit: Option<String>,
    // Each list says its own words.
    #[serde(default, deserialize_with = "present")]
    #[param(ignore)]
    state: Option<String>,
    /// Only those of this office; of all offices if absent.
    #[serde(default, deserialize_with = "present")]
    #[param(nullable = false, required = false, value_type = String, max_length = 32, example = "110105-03")]
    office: Option<String>,
    // For lists that have those of several.
    #[serde(default, deserialize_with = "present")]
    #[param(ignore)]
    organization: Option<String>,
    /// Only those made at this instant or later.
    #[serde(default, deserialize_with = "present")]
    #[param(nullable = false, required = false, value_type = String, format = DateTime, example = "2026-11-23T00:00:00+08:00")]
    since: Option<String>,
}

/// The states that a list tells apart.
#[derive(Debug)]
pub struct States<S> {
    pub parse: fn(&str) -> Option<S>,
    /// For people: what is expected.
    pub words: &'static str,
}

/// What a query asks for.
#[derive(Debug)]
pub struct Asked<S, I> {
    pub wanted: Wanted<S, I>,
    pub page: Page<I>,
}

impl CollectionQuery {
    /// The query itself; anything else in it is refused, and not repeated.
    pub fn read(query: &str) -> Result<Self, Problem> {
        let malformed = |_| {
            Problem::new(
                problem::MALFORMED_REQUEST,
                "the query takes cursor, limit, office, since and, where the list has them, state and organization, each at most once",
            )
        };
        Ok(Query::<Self>::from_query(query).map_err(malformed)?.into_inner())
    }

    /// Whose rows it asks for, of a list of several organizations' rows.
    pub fn take_organization(&mut self) -> Result<Option<OrganizationId>, Problem> {
        let mut fields = Fields::default();
        let text = self.organization.take();
        let id = text.as_deref().and_then(|text| fields.id("/organization", Some(text)));
        fields.finish(Some(id))
    }

    /// What it asks of a list, or the problems with that. A list without states takes none.
    pub fn judge<S, I: Copy + Serialize + DeserializeOwned>(
        &self,
        list: &List<I>,
        states: Option<&States<S>>,
        today: Date,
    ) -> Result<Asked<S, I>, Problem> {
        let mut fields = Fields::default();
        let state = match (self.state.as_deref(), states) {
            (Some(text), Some(states)) => fields.word("/state", text, states.parse, states.words),
            (Some(_), None) => fields.take("/state", None, "unknown_value", "these have no state"),
            (None, _) => None,
        };
        if self.organization.is_some() {
            fields.refuse("/organization", "unknown_value", "these are of one organization");
        }
        let office = self.office.as_deref().and_then(|text| fields.office(text, today));
        let since_ms = fields.instant("/since", self.since.as_deref());
        let page = list.read(&mut fields, self.cursor.as_deref(), self.limit.as_deref());
        let asked = page.map(|page| {
            let (after, rows_max) = (page.after, page.limit + 1);
            Asked { wanted: Wanted { state, office, since_ms, after, rows_max }, page }
        });
        fields.finish(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::ReportId;
    use crate::domain::report::ReportState;

    const LIST: List<ReportId> = List::collection("listThings");
    const STATES: States<ReportState> = States { parse: ReportState::parse, words: "active, withdrawn, replaced" };
    const TODAY: Date = Date::constant(2026, 11, 23);

    fn judged(query: &str) -> Result<Asked<ReportState, ReportId>, Problem> {
        CollectionQuery::read(query)?.judge(&LIST, Some(&STATES), TODAY)
    }

    #[test]
    fn a_query_is_a_page_a_state_an_office_and_an_instant() {
        let asked =
            judged("state=replaced&office=110105-03&since=2026-11-23T00%3A00%3A00%2B08%3A00&limit=500").unwrap();
        assert_eq!(
            (asked.wanted.state, asked.page.limit, asked.wanted.rows_max),
            (Some(ReportState::Replaced), 500, 501)
        );
        assert_eq!(asked.wanted.office.unwrap().as_str(), "110105-03");
        assert_eq!(asked.wanted.since_ms.unwrap().get(), 1_795_363_200_000);
        let asked = judged("").unwrap();
        assert!(asked.wanted.state.is_none() && asked.wanted.office.is_none() && asked.wanted.since_ms.is_none());
        assert_eq!((asked.page.limit, asked.page.after), (100, None));
    }

    #[test]
    fn what_is_none_of_these_is_refused() {
        for (query, expected) in [
            ("limit=501", problem::INVALID_VALUE),
            ("limit=0", problem::INVALID_VALUE),
            ("state=gone", problem::INVALID_VALUE),
            ("state=", problem::INVALID_VALUE),
            ("office=11010519491231002X", problem::INVALID_VALUE),
            ("office=", problem::INVALID_VALUE),
            ("since=2026-11-23", problem::INVALID_VALUE),
            ("cursor=x", problem::INVALID_VALUE),
            ("state=active&state=active", problem::MALFORMED_REQUEST),
            ("until=2026-11-23T00:00:00Z", problem::MALFORMED_REQUEST),
            ("id_number=11010519491231002X", problem::MALFORMED_REQUEST),
        ] {
            assert_eq!(judged(query).map(|_| ()).map_err(|problem| problem.kind()), Err(expected), "{query}");
        }
        let query = CollectionQuery::read("state=active").unwrap();
        let refused = query.judge::<ReportState, _>(&LIST, None, TODAY);
        assert_eq!(refused.map(|_| ()).map_err(|problem| problem.kind()), Err(problem::INVALID_VALUE));
    }
}
