//! Sightings: checks that found a listing. A hit is written to this node's journal before its check is answered, by the worker
//! itself (`pen`); the journal's thread flushes what was written (`journal`, its files in `segment`); in the background it is moved to
//! the store under its listing (`moving`). A check that finds nothing never comes here. What is kept holds no number: its digest is
//! sealed in the journal and nowhere in the store.

mod before;
pub mod journal;
mod maker;
pub mod moving;
pub mod pen;
mod record;
mod segment;
mod slot;
pub mod waiting;

use std::sync::Arc;

use jiff::civil::Date;

use super::ServiceError;
use super::writing::Writer;
use crate::crypto::digest::IdDigest;
use crate::domain::audit::{Action, Deed};
use crate::domain::client::Actor;
use crate::domain::ids::{CheckId, ClientId, OrganizationId, ReportId};
use crate::domain::instant::UnixMs;
use crate::domain::report::Label;
use crate::domain::sequence::Sequence;
use crate::domain::verdict::{Purpose, Verdict};
use crate::store::sightings::StoredSighting;

/// A check that found a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    pub check_id: CheckId,
    pub organization: OrganizationId,
    /// Which of the organization's; none in what version 0.1 wrote.
    pub client: Option<ClientId>,
    pub digest: IdDigest,
    pub card_valid_from: Option<Date>,
    pub site: Option<Label>,
    pub purpose: Purpose,
    pub verdict: Verdict,
    /// The registry's sequence that the verdict was made at.
    pub sequence: Sequence,
    pub seen_at_ms: UnixMs,
}

/// Reads sightings.
#[derive(Debug)]
pub struct Sightings {
    writer: Arc<Writer>,
}

impl Sightings {
    pub fn new(writer: Arc<Writer>) -> Self {
        Self { writer }
    }

    /// Sightings under an organization's own report, newest first, before the one of a check; none: there is no such report.
    pub async fn list(
        &self,
        actor: Actor,
        report_id: ReportId,
        before: Option<CheckId>,
        count_max: usize,
    ) -> Result<Option<Vec<StoredSighting>>, ServiceError> {
        let store = &self.writer.store;
        if store.find_report(actor.organization, report_id).await?.is_none() {
            return Ok(None);
        }
        let found = store.list_sightings(&[report_id.into()], before, count_max).await?;
        self.writer.note(&Deed::of(actor, Action::SightingsRead, report_id)).await?;
        Ok(Some(found))
    }
}
