//! Temporary identification certificates: what lists and revokes them. The credential is kept nowhere; whom a certificate is
//! about shows only in its lookup key. Claims count in whole seconds, columns in milliseconds as in every table.

use std::time::Duration;

use sqlx::Row;
use sqlx::any::AnyRow;

use super::key_versions::get_key_versions;
use super::lists::{Listed, Part, Wanted};
use super::reports::{SealedNumber, places};
use super::{Store, StoreError, WriteTx, get_bytes, get_id, get_parsed, get_parsed_opt, parse_date};
use crate::crypto::digest::LookupKey;
use crate::crypto::pepper::KeyVersions;
use crate::domain::certificate::{Certificate, CertificatePurpose, CertificateState, Term, VALID_HOURS_MAX};
use crate::domain::ids::{CertificateId, OrganizationId};
use crate::domain::instant::UnixMs;
use crate::domain::report::OfficeCode;

/// A certificate to be stored.
#[derive(Debug, Clone)]
pub struct NewCertificate {
    pub certificate: Certificate,
    pub organization: OrganizationId,
    pub number: SealedNumber,
    pub office: OfficeCode,
}

/// A stored certificate.
#[derive(Debug, Clone)]
pub struct StoredCertificate {
    pub certificate: Certificate,
    pub lookup_key: LookupKey,
    pub office: OfficeCode,
}

macro_rules! columns {
    () => {
        "c.certificate_id AS certificate_id, c.lookup_key AS lookup_key, c.purpose AS purpose, c.office AS office, \
         c.journey_on AS journey_on, c.issued_at AS issued_at, c.valid_from AS valid_from, c.expires_at AS expires_at, \
         c.revoked_at AS revoked_at"
    };
}

const OWN: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM temporary_certificates c WHERE c.certificate_id = $1 AND c.organization_id = $2"
);
const ANYBODYS: &str = concat!(
    "SELECT h.key_version AS key_version, h.key_version_from AS key_version_from, ",
    columns!(),
    " FROM feed_head h LEFT JOIN temporary_certificates c ON c.certificate_id = $1"
);
const OF_NUMBER: &str = concat!(
    "SELECT h.key_version AS key_version, h.key_version_from AS key_version_from, ",
    columns!(),
    " FROM feed_head h LEFT JOIN temporary_certificates c ON c.lookup_key IN "
);
/// How certificates are listed.
pub static LISTED: Listed = Listed {
    select: concat!("SELECT ", columns!(), " FROM temporary_certificates c"),
    prefix: "c.",
    id: "certificate_id",
    office: "office",
};
/// Certificates of one number that a list shows.
const LISTED_MAX: usize = 100;

impl Store {
    /// An organization's own certificate.
    pub async fn find_certificate(
        &self,
        organization: OrganizationId,
        certificate: CertificateId,
    ) -> Result<Option<StoredCertificate>, StoreError> {
        let row = sqlx::query(OWN)
            .bind(certificate.as_bytes().as_slice())
            .bind(organization.as_bytes().as_slice())
            .fetch_optional(&mut *self.connection().await?)
            .await?;
        row.as_ref().map(read_certificate).transpose()
    }

    /// A certificate of any organization, and by which peppers rows were keyed at that moment: only keys that cover these tell whether it is
    /// a number's.
    pub async fn certificate_to_verify(
        &self,
        certificate: CertificateId,
    ) -> Result<(KeyVersions, Option<StoredCertificate>), StoreError> {
        let row = sqlx::query(ANYBODYS)
            .bind(certificate.as_bytes().as_slice())
            .fetch_optional(&mut *self.connection().await?)
            .await?
            .ok_or(StoreError::Corrupt("feed_head"))?;
        let found = if is_certificate(&row) { Some(read_certificate(&row)?) } else { None };
        Ok((get_key_versions(&row)?, found))
    }

    /// Every organization's certificates of a number, newest first, and by which peppers rows were keyed at that moment: if the
    /// keys do not cover these, certificates may be missing.
    pub async fn list_certificates(
        &self,
        keys: &[LookupKey],
    ) -> Result<(KeyVersions, Vec<StoredCertificate>), StoreError> {
        let text = format!(
            "{OF_NUMBER}({}) ORDER BY c.issued_at DESC, c.certificate_id DESC LIMIT {LISTED_MAX}",
            places(1, keys.len())
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text));
        for key in keys {
            query = query.bind(key.as_bytes().as_slice());
        }
        let rows = query.fetch_all(&mut *self.connection().await?).await?;
        let versions = get_key_versions(rows.first().ok_or(StoreError::Corrupt("feed_head"))?)?;
        Ok((versions, rows.iter().filter(|row| is_certificate(row)).map(read_certificate).collect::<Result<_, _>>()?))
    }

    /// A page of an organization's own certificates, by what they are at this moment.
    pub async fn page_of_certificates(
        &self,
        organization: OrganizationId,
        wanted: &Wanted<CertificateState, CertificateId>,
        now_ms: UnixMs,
    ) -> Result<Vec<StoredCertificate>, StoreError> {
        let states = wanted.state.map_or(CertificateState::ALL.to_vec(), |state| vec![state]);
        let parts: Vec<_> = states.into_iter().map(|state| part_of(state, now_ms)).collect();
        // A certificate counts seconds, and so does its id: one of this second was issued since any instant in it.
        let since_ms = wanted.since_ms.map(|since| UnixMs::from_seconds(since.seconds()));
        let wanted = Wanted { since_ms, ..wanted.clone() };
        self.page(&LISTED, Some(organization), &wanted, &parts, read_certificate).await
    }
}

/// The certificates that are in a state at this moment. One that is active was issued a few hours ago at most: those of before
/// need not be looked at.
pub fn part_of(state: CertificateState, now_ms: UnixMs) -> Part {
    let (condition, now_ms, since_ms) = match state {
        CertificateState::Revoked => ("revoked_at IS NOT NULL", None, None),
        CertificateState::Expired => ("revoked_at IS NULL AND c.expires_at <= $now", Some(now_ms), None),
        CertificateState::Active => {
            let since_ms = now_ms.minus(Duration::from_hours(VALID_HOURS_MAX.unsigned_abs()));
            ("revoked_at IS NULL AND c.expires_at > $now", Some(now_ms), Some(since_ms))
        }
    };
    Part { condition: condition.to_owned(), now_ms, since_ms }
}

impl WriteTx {
    /// Stores a certificate.
    pub async fn insert_certificate(&mut self, new: &NewCertificate) -> Result<(), StoreError> {
        self.check_key_version(new.number.key_version)?;
        let certificate = &new.certificate;
        sqlx::query(
            "INSERT INTO temporary_certificates (certificate_id, organization_id, lookup_key, key_version, sealed_digest, \
             purpose, office, journey_on, issued_at, valid_from, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(certificate.id.as_bytes().as_slice())
        .bind(new.organization.as_bytes().as_slice())
        .bind(new.number.lookup_key.as_bytes().as_slice())
        .bind(i64::from(new.number.key_version))
        .bind(new.number.sealed_digest.as_slice())
        .bind(certificate.purpose.as_str())
        .bind(new.office.as_str())
        .bind(certificate.journey_on.map(|day| day.to_string()))
        .bind(UnixMs::from_seconds(certificate.issued_s))
        .bind(UnixMs::from_seconds(certificate.term.starts_s))
        .bind(UnixMs::from_seconds(certificate.term.ends_s))
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// An organization's own certificate, inside a transaction that may change it.
    pub async fn find_certificate(
        &mut self,
        organization: OrganizationId,
        certificate: CertificateId,
    ) -> Result<Option<StoredCertificate>, StoreError> {
        self.take_turn().await?;
        let row = sqlx::query(OWN)
            .bind(certificate.as_bytes().as_slice())
            .bind(organization.as_bytes().as_slice())
            .fetch_optional(&mut *self.tx)
            .await?;
        row.as_ref().map(read_certificate).transpose()
    }

    /// Writes that a certificate was revoked, and where.
    pub async fn revoke_certificate(
        &mut self,
        certificate: &Certificate,
        office: &OfficeCode,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE temporary_certificates SET revoked_at = $1, revoked_by_office = $2 WHERE certificate_id = $3",
        )
        .bind(certificate.revoked_at_ms)
        .bind(office.as_str())
        .bind(certificate.id.as_bytes().as_slice())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}

fn is_certificate(row: &AnyRow) -> bool {
    row.try_get::<Option<&[u8]>, _>("certificate_id").is_ok_and(|id| id.is_some())
}

fn get_seconds(row: &AnyRow, column: &'static str) -> Result<i64, StoreError> {
    Ok(row.try_get::<UnixMs, _>(column)?.seconds())
}

fn read_certificate(row: &AnyRow) -> Result<StoredCertificate, StoreError> {
    Ok(StoredCertificate {
        certificate: Certificate {
            id: get_id(row, "certificate_id")?,
            purpose: get_parsed(row, "purpose", CertificatePurpose::parse)?,
            journey_on: get_parsed_opt(row, "journey_on", parse_date)?,
            issued_s: get_seconds(row, "issued_at")?,
            term: Term { starts_s: get_seconds(row, "valid_from")?, ends_s: get_seconds(row, "expires_at")? },
            revoked_at_ms: row.try_get("revoked_at")?,
        },
        lookup_key: LookupKey::from_bytes(get_bytes(row, "lookup_key")?),
        office: get_parsed(row, "office", OfficeCode::parse)?,
    })
}
