//! Applications for a new card with the temporary card of each. A transition updates the row; what it may be is the domain's.
//! Nothing here is a listing: a new card is one when it is issued, by `reports`.

use jiff::civil::Date;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::lists::{Listed, Part, Wanted};
use super::reports::SealedNumber;
use super::rows::Values;
use super::{Store, StoreError, WriteTx, get_id, get_id_opt, get_parsed, parse_date};
use crate::clock::beijing_date;
use crate::crypto::digest::LookupKey;
use crate::domain::acceptance::Ground;
use crate::domain::application::{Application, ApplicationReason, ApplicationState, TemporaryCard, TemporaryCardState};
use crate::domain::ids::{ApplicationId, OrganizationId, ReplacementId};
use crate::domain::instant::UnixMs;
use crate::domain::report::OfficeCode;

/// An application to be stored.
#[derive(Debug, Clone)]
pub struct NewApplication {
    pub application: Application,
    pub organization: OrganizationId,
    pub number: SealedNumber,
    pub applied_at_office: OfficeCode,
    pub household_office: OfficeCode,
    pub applied_at_ms: UnixMs,
}

/// A stored application.
#[derive(Debug, Clone)]
pub struct StoredApplication {
    pub application: Application,
    pub applied_at_office: OfficeCode,
    pub household_office: OfficeCode,
    pub applied_at_ms: UnixMs,
    pub closed_at_ms: Option<UnixMs>,
    /// Of the issued card.
    pub replacement_id: Option<ReplacementId>,
    /// The number's digest, sealed for the application's id.
    pub sealed_digest: Vec<u8>,
}

/// How an application came to its end.
#[derive(Debug, Clone)]
pub struct ApplicationClosing<'a> {
    pub at_ms: UnixMs,
    pub office: &'a OfficeCode,
    pub replacement_id: Option<ReplacementId>,
}

macro_rules! select {
    () => {
        "SELECT a.application_id AS application_id, a.state AS state, a.ground AS ground, a.reason AS reason, \
         a.applied_at_office AS applied_at_office, a.household_office AS household_office, a.applied_at AS applied_at, \
         a.closed_at AS closed_at, a.replacement_id AS replacement_id, a.sealed_digest AS sealed_digest, \
         t.temporary_card_id AS temporary_card_id, t.state AS temporary_state, t.card_valid_from AS card_valid_from, \
         t.card_valid_until AS card_valid_until \
         FROM replacement_applications a LEFT JOIN temporary_cards t ON t.application_id = a.application_id"
    };
}

const OWN: &str = concat!(select!(), " WHERE a.application_id = $1 AND a.organization_id = $2");
/// How applications are listed.
pub static LISTED: Listed =
    Listed { select: select!(), prefix: "a.", id: "application_id", office: "applied_at_office" };

/// Cards of one look-up, of two values each: few enough for one statement.
const NAMED_MAX: usize = 4_000;

impl Store {
    /// An organization's own application.
    pub async fn find_application(
        &self,
        organization: OrganizationId,
        application: ApplicationId,
    ) -> Result<Option<StoredApplication>, StoreError> {
        let row = sqlx::query(OWN)
            .bind(application.as_bytes().as_slice())
            .bind(organization.as_bytes().as_slice())
            .fetch_optional(&mut *self.connection().await?)
            .await?;
        row.as_ref().map(read_application).transpose()
    }

    /// A page of an organization's own applications.
    pub async fn page_of_applications(
        &self,
        organization: OrganizationId,
        wanted: &Wanted<ApplicationState, ApplicationId>,
    ) -> Result<Vec<StoredApplication>, StoreError> {
        let states = wanted.state.map_or(ApplicationState::ALL.to_vec(), |state| vec![state]);
        let parts: Vec<_> = states.iter().map(|state| Part::of_state(state.as_str())).collect();
        self.page(&LISTED, Some(organization), wanted, &parts, read_application).await
    }
}

impl WriteTx {
    /// An organization's own application, inside a transaction that may change it.
    pub async fn find_application(
        &mut self,
        organization: OrganizationId,
        application: ApplicationId,
    ) -> Result<Option<StoredApplication>, StoreError> {
        self.take_turn().await?;
        let row = sqlx::query(OWN)
            .bind(application.as_bytes().as_slice())
            .bind(organization.as_bytes().as_slice())
            .fetch_optional(&mut *self.tx)
            .await?;
        row.as_ref().map(read_application).transpose()
    }

    /// Stores an application.
    pub async fn insert_application(&mut self, new: &NewApplication) -> Result<(), StoreError> {
        self.check_key_version(new.number.key_version)?;
        sqlx::query(
            "INSERT INTO replacement_applications (application_id, organization_id, lookup_key, key_version, sealed_digest, \
             state, ground, reason, applied_at_office, household_office, applied_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(new.application.id.as_bytes().as_slice())
        .bind(new.organization.as_bytes().as_slice())
        .bind(new.number.lookup_key.as_bytes().as_slice())
        .bind(i64::from(new.number.key_version))
        .bind(new.number.sealed_digest.as_slice())
        .bind(new.application.state.as_str())
        .bind(new.application.ground.as_str())
        .bind(new.application.reason.as_str())
        .bind(new.applied_at_office.as_str())
        .bind(new.household_office.as_str())
        .bind(new.applied_at_ms)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Writes an application's new state.
    pub async fn close_application(
        &mut self,
        application: &Application,
        closing: &ApplicationClosing<'_>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE replacement_applications SET state = $1, closed_at = $2, closed_by_office = $3, replacement_id = $4 \
             WHERE application_id = $5",
        )
        .bind(application.state.as_str())
        .bind(closing.at_ms)
        .bind(closing.office.as_str())
        .bind(closing.replacement_id.map(|id| id.as_bytes().to_vec()))
        .bind(application.id.as_bytes().as_slice())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Stores the temporary card of an application.
    pub async fn insert_temporary_card(
        &mut self,
        application: ApplicationId,
        card: &TemporaryCard,
        office: &OfficeCode,
        issued_at_ms: UnixMs,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO temporary_cards (temporary_card_id, application_id, state, card_valid_from, card_valid_until, \
             office, issued_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(card.id.as_bytes().as_slice())
        .bind(application.as_bytes().as_slice())
        .bind(card.state.as_str())
        .bind(card.card_valid_from.to_string())
        .bind(card.card_valid_until.to_string())
        .bind(office.as_str())
        .bind(issued_at_ms)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Every organization's temporary cards of these numbers that start on the day beside each: a report concerns them all. Costs
    /// one look where there is no temporary card.
    pub async fn temporary_cards_of(&mut self, named: &[(LookupKey, Date)]) -> Result<Vec<TemporaryCard>, StoreError> {
        let any = sqlx::query("SELECT 1 AS any_card FROM temporary_cards LIMIT 1");
        if named.is_empty() || any.fetch_optional(&mut *self.tx).await?.is_none() {
            return Ok(Vec::new());
        }
        let mut cards = Vec::new();
        for named in named.chunks(NAMED_MAX) {
            let place = |n| self.dialect.place(n);
            let pairs: Vec<_> =
                (0..named.len()).map(|n| format!("({},{})", place(2 * n + 1), place(2 * n + 2))).collect();
            let text = format!(
                "SELECT t.temporary_card_id AS temporary_card_id, t.state AS temporary_state, \
                 t.card_valid_from AS card_valid_from, t.card_valid_until AS card_valid_until FROM (VALUES {}) AS v \
                 JOIN replacement_applications a ON a.lookup_key = v.column1 \
                 JOIN temporary_cards t ON t.application_id = a.application_id AND t.card_valid_from = v.column2",
                pairs.join(",")
            );
            let mut values = Values::default();
            for (key, card_valid_from) in named {
                values.push(key.as_bytes().as_slice()).push(card_valid_from.to_string());
            }
            let rows = values.query(text)?.fetch_all(&mut *self.tx).await?;
            cards.extend(rows.iter().map(read_card).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(cards)
    }

    /// Notes that temporary cards were reported lost.
    pub async fn lose_temporary_cards(&mut self, cards: &[TemporaryCard], at_ms: UnixMs) -> Result<(), StoreError> {
        for card in cards {
            sqlx::query("UPDATE temporary_cards SET state = $1, lost_at = $2 WHERE temporary_card_id = $3")
                .bind(card.state.as_str())
                .bind(at_ms)
                .bind(card.id.as_bytes().as_slice())
                .execute(&mut *self.tx)
                .await?;
        }
        Ok(())
    }

    /// Notes that an office has a temporary card again.
    pub async fn take_back_temporary_card(
        &mut self,
        card: &TemporaryCard,
        office: &OfficeCode,
        at_ms: UnixMs,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE temporary_cards SET state = $1, returned_at = $2, returned_to_office = $3 WHERE temporary_card_id = $4",
        )
        .bind(card.state.as_str())
        .bind(at_ms)
        .bind(office.as_str())
        .bind(card.id.as_bytes().as_slice())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}

fn read_application(row: &AnyRow) -> Result<StoredApplication, StoreError> {
    let applied_at_ms = row.try_get("applied_at")?;
    let has_card = row.try_get::<Option<&[u8]>, _>("temporary_card_id")?.is_some();
    Ok(StoredApplication {
        application: Application {
            id: get_id(row, "application_id")?,
            state: get_parsed(row, "state", ApplicationState::parse)?,
            ground: get_parsed(row, "ground", Ground::parse)?,
            reason: get_parsed(row, "reason", ApplicationReason::parse)?,
            applied_on: beijing_date(applied_at_ms),
            temporary_card: if has_card { Some(read_card(row)?) } else { None },
        },
        applied_at_office: get_parsed(row, "applied_at_office", OfficeCode::parse)?,
        household_office: get_parsed(row, "household_office", OfficeCode::parse)?,
        applied_at_ms,
        closed_at_ms: row.try_get("closed_at")?,
        replacement_id: get_id_opt(row, "replacement_id")?,
        sealed_digest: row.try_get("sealed_digest")?,
    })
}

fn read_card(row: &AnyRow) -> Result<TemporaryCard, StoreError> {
    Ok(TemporaryCard {
        id: get_id(row, "temporary_card_id")?,
        state: get_parsed(row, "temporary_state", TemporaryCardState::parse)?,
        card_valid_from: get_parsed(row, "card_valid_from", parse_date)?,
        card_valid_until: get_parsed(row, "card_valid_until", parse_date)?,
    })
}
