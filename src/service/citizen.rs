//! What a portal does for the person it authenticated: reads what the service holds on the person, files a report online,
//! takes it back. A portal sends the number each time; nothing here remembers which person a portal asked about.

use std::sync::Arc;

use jiff::civil::Date;

use super::ServiceError;
use super::act_receipts::Ended;
use super::writing::Writer;
use crate::crypto::card_status::CardStatus;
use crate::crypto::digest::IdDigest;
use crate::crypto::receipt::commitment;
use crate::crypto::salt::Salt;
use crate::domain::audit::{Action, Deed};
use crate::domain::client::Actor;
use crate::domain::ids::ReportId;
use crate::domain::report::{Channel, OfficeCode, WithdrawalReason};
use crate::domain::verdict::decide;
use crate::store::citizen::{PersonRecords, SightingsPage};

/// A signed status, and the salt that tells whose it is.
#[derive(Debug)]
pub struct GivenStatus {
    pub status: String,
    pub salt: Salt<32>,
}

/// Serves citizen portals.
#[derive(Debug)]
pub struct Citizen {
    writer: Arc<Writer>,
}

impl Citizen {
    pub fn new(writer: Arc<Writer>) -> Self {
        Self { writer }
    }

    /// Everything on the person, over all organizations, sightings in pages.
    pub async fn records(
        &self,
        actor: Actor,
        digest: &IdDigest,
        page: SightingsPage,
    ) -> Result<PersonRecords, ServiceError> {
        let store = &self.writer.store;
        let read = async |keys: Vec<_>| store.person_records(&keys, page).await;
        let records = self.writer.read_by_number(digest, read).await?;
        let deed = Deed::of_many(actor, Action::CitizenRecordsRead).about([self.writer.tag(digest)]);
        self.writer.note(&deed).await?;
        Ok(records)
    }

    /// What a check of the person's card would be answered, for the person to show.
    pub async fn card_status(&self, actor: Actor, digest: &IdDigest, start: Date) -> Result<GivenStatus, ServiceError> {
        let finding = self.writer.registry.lookup(digest).await?;
        let salt = Salt::draw();
        let heads = &self.writer.heads;
        let status = CardStatus {
            issuer_json: &heads.issuer_json,
            now_s: self.writer.clock.now_s(),
            as_of: finding.as_of.as_str(),
            sequence: finding.sequence,
            verdict: decide(Some(start), finding.listing.as_ref()).as_str(),
            start,
            commitment: commitment(&salt, digest, Some(start)),
        };
        let status = status.sign(&self.writer.keyring.signing().receipt);
        let deed = Deed::of_many(actor, Action::CardStatusGiven).about([self.writer.tag(digest)]);
        self.writer.note(&deed).await?;
        Ok(GivenStatus { status, salt })
    }

    /// Takes back a report of this very number that was made online through the same organization. None where the number has no
    /// such report.
    pub async fn withdraw(
        &self,
        actor: Actor,
        report_id: ReportId,
        digest: &IdDigest,
        reason: WithdrawalReason,
    ) -> Result<Option<Ended>, ServiceError> {
        let mut writing = self.writer.begin_once().await?;
        let lookup_keys = writing.lookup_keys(digest);
        let Some(origin) = writing.tx.find_report_origin(report_id, &lookup_keys).await? else { return Ok(None) };
        if origin.channel != Channel::Online {
            return Err(ServiceError::Conflict("the report was made at an office: withdraw it there".into()));
        }
        if origin.organization != Some(actor.organization) {
            let detail = "the report was made online through another organization: withdraw it there";
            return Err(ServiceError::Conflict(detail.into()));
        }
        let Some(stored) = writing.tx.find_report(actor.organization, report_id).await? else { return Ok(None) };
        let ended = self.writer.withdraw(&mut writing, actor, stored, &OfficeCode::online(), reason).await?;
        let deed = Deed::of(actor, Action::ReportWithdrawn, report_id);
        self.writer.finish(writing, &deed, None).await?;
        Ok(Some(ended))
    }
}
