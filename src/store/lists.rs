//! Pages of what organizations keep, in the order of ids, which begin with their time. A page is a union of the states that were asked
//! for, each read from its place in an index (migration 0029), so that none reads more rows than it gives. Whose rows they
//! are is in every statement; what a row says is its own file's.

use std::fmt::Write as _;

use sqlx::any::AnyRow;

use super::rows::Values;
use super::{Store, StoreError};
use crate::domain::ids::OrganizationId;
use crate::domain::instant::UnixMs;
use crate::domain::report::OfficeCode;

/// Which rows a page has: of a state `S`, or of every one; behind an id `I`.
#[derive(Debug, Clone)]
pub struct Wanted<S, I> {
    pub state: Option<S>,
    pub office: Option<OfficeCode>,
    /// Made at this instant or later.
    pub since_ms: Option<UnixMs>,
    pub after: Option<I>,
    pub rows_max: usize,
}

/// A table that is listed.
#[derive(Debug, Clone, Copy)]
pub struct Listed {
    /// `SELECT columns FROM table`, where each column has its own name.
    pub select: &'static str,
    /// How the statement calls the table, with a dot; empty where it is the only one.
    pub prefix: &'static str,
    pub id: &'static str,
    pub office: &'static str,
}

/// Rows of one state.
#[derive(Debug, Clone)]
pub struct Part {
    /// Of the state alone. `$now` stands for `now_ms`.
    pub condition: String,
    /// Where the state is a matter of the moment: this one.
    pub now_ms: Option<UnixMs>,
    /// Rows before this instant cannot be in it.
    pub since_ms: Option<UnixMs>,
}

impl Part {
    /// Rows whose column `state` has this word.
    pub fn of_state(word: &str) -> Self {
        Self { condition: format!("state = '{word}'"), now_ms: None, since_ms: None }
    }

    /// Of a table whose rows have no state.
    pub fn whole() -> Self {
        Self { condition: "1 = 1".to_owned(), now_ms: None, since_ms: None }
    }
}

impl Listed {
    /// The statement of a page. Its values: what bounds the parts, in their order, then how many rows; the organization where the list is
    /// of its own rows, the office where one was asked for, and the moment where states are a matter of it.
    pub fn statement(&self, parts: &[Part], is_own: bool, has_office: bool) -> String {
        let Self { select, prefix, id, office } = self;
        let limit = parts.len() + 1;
        let now = format!("${}", limit + 1 + usize::from(is_own) + usize::from(has_office));
        let mut scope = String::new();
        if is_own {
            let _ = write!(scope, "{prefix}organization_id = ${} AND ", limit + 1);
        }
        if has_office {
            let _ = write!(scope, "{prefix}{office} = ${} AND ", limit + 1 + usize::from(is_own));
        }
        let part = |(at, part): (usize, &Part)| {
            format!(
                "SELECT * FROM ({select} WHERE {scope}{prefix}{} AND {prefix}{id} > ${} ORDER BY {prefix}{id} LIMIT ${limit}) AS part{at}",
                part.condition.replace("$now", &now),
                at + 1
            )
        };
        let parts: Vec<_> = parts.iter().enumerate().map(part).collect();
        format!("SELECT * FROM ({}) AS parts ORDER BY {id} LIMIT ${limit}", parts.join(" UNION ALL "))
    }
}

impl Store {
    /// A page, of one organization's rows or of all. Parts are those of the state that was asked for.
    /// Read where the store lives: a thousand rows would keep an event loop.
    pub(super) async fn page<S, I: AsRef<[u8; 16]>, T: Send + 'static>(
        &self,
        of: &Listed,
        organization: Option<OrganizationId>,
        wanted: &Wanted<S, I>,
        parts: &[Part],
        read: fn(&AnyRow) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut values = Values::default();
        for part in parts {
            let since = wanted.since_ms.max(part.since_ms).map(first_of);
            let after = wanted.after.as_ref().map(|id| *id.as_ref());
            values.push(since.max(after).unwrap_or_default().to_vec());
        }
        values.push(i64::try_from(wanted.rows_max).unwrap_or(i64::MAX));
        if let Some(organization) = organization {
            values.push(organization.as_bytes().to_vec());
        }
        if let Some(office) = &wanted.office {
            values.push(office.as_str().to_owned());
        }
        if let Some(now_ms) = parts.iter().find_map(|part| part.now_ms) {
            values.push(now_ms);
        }
        let text = of.statement(parts, organization.is_some(), wanted.office.is_some());
        let (store, query) = (self.clone(), values.query(text)?);
        let reading = self.runtime().spawn(async move {
            let rows = query.fetch_all(&mut *store.connection().await?).await?;
            rows.iter().map(read).collect()
        });
        reading.await.map_err(|_| StoreError::Stopped)?
    }
}

/// No `UUIDv7` of this instant or later is before this, and every earlier one is (RFC 9562, 5.7).
fn first_of(at_ms: UnixMs) -> [u8; 16] {
    let ms = u64::try_from(at_ms.get()).unwrap_or(0).min((1 << 48) - 1);
    (u128::from(ms) << 80).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::random;
    use crate::domain::ids::ReportId;

    #[test]
    fn an_instant_parts_the_ids_of_before_from_those_since() {
        for ms in [0, 1, 1_795_440_000_000, (1 << 48) - 1] {
            let (at, before) = (UnixMs::new(ms), UnixMs::new(ms - 1));
            let drawn: ReportId = random::id(at);
            assert!(*drawn.as_bytes() > first_of(at), "{ms}");
            if ms > 0 {
                let earlier: ReportId = random::id(before);
                assert!(*earlier.as_bytes() < first_of(at), "{ms}");
            }
        }
        assert_eq!(first_of(UnixMs::new(-5)), [0; 16], "before all ids");
        assert!(first_of(UnixMs::MAX) > *random::id::<ReportId>(UnixMs::new(1_795_440_000_000)).as_bytes());
    }

    #[test]
    fn a_statement_names_its_values_in_their_order() {
        let of = Listed { select: "SELECT x FROM t", prefix: "", id: "x", office: "o" };
        let parts = [Part::of_state("a"), Part::of_state("b")];
        assert_eq!(
            of.statement(&parts, true, true),
            "SELECT * FROM (\
             SELECT * FROM (SELECT x FROM t WHERE organization_id = $4 AND o = $5 AND state = 'a' AND x > $1 ORDER BY x LIMIT $3) \
             AS part0 UNION ALL \
             SELECT * FROM (SELECT x FROM t WHERE organization_id = $4 AND o = $5 AND state = 'b' AND x > $2 ORDER BY x LIMIT $3) \
             AS part1) AS parts ORDER BY x LIMIT $3"
        );
        let until = Part { condition: "e <= $now".to_owned(), now_ms: Some(UnixMs::new(7)), since_ms: None };
        assert!(of.statement(&[until], true, false).contains("WHERE organization_id = $3 AND e <= $4 AND x > $1"));
        assert!(
            of.statement(&parts[..1], false, true)
                .contains("WHERE o = $3 AND state = 'a' AND x > $1 ORDER BY x LIMIT $2")
        );
    }
}
