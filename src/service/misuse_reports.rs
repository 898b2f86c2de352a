//! Misuse reports: those who check cards file them, they and registrars read them, registrars resolve them. The number arrives as a
//! digest and leaves as lookup key and sealed digest; narrative and note leave sealed. Who may see what is decided here.

use std::sync::Arc;

use super::ServiceError;
use super::writing::{Begun, Writer, Writing, seal_number};
use crate::clock::{beijing_date, beijing_day};
use crate::crypto::digest::IdDigest;
use crate::crypto::seal::{Envelope, SealError};
use crate::domain::audit::{Action, Deed};
use crate::domain::client::Actor;
use crate::domain::ids::{CheckId, MisuseReportId, OrganizationId};
use crate::domain::instant::UnixMs;
use crate::domain::misuse::{MisuseKind, MisuseOutcome, MisuseReport, MisuseState, Narrative, Resolution};
use crate::domain::redacted::NarrativeText;
use crate::domain::report::{Label, OfficeCode};
use crate::domain::usage::Outcome;
use crate::store::aggregates;
use crate::store::idempotency::{IdempotentRequest, StoredAnswer};
use crate::store::lists::Wanted;
use crate::store::misuse_reports::StoredMisuseReport;

/// Misuse as an organization reports it.
#[derive(Debug)]
pub struct Telling {
    pub digest: IdDigest,
    pub kind: MisuseKind,
    pub check_id: Option<CheckId>,
    pub observed_at_ms: UnixMs,
    pub site: Option<Label>,
    pub narrative: Option<Narrative>,
}

/// How a registrar resolves a report.
#[derive(Debug)]
pub struct Resolving {
    pub office: OfficeCode,
    pub outcome: MisuseOutcome,
    pub note: Option<Narrative>,
}

/// Whose reports somebody sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Those of the own organization, with what it told itself.
    Own,
    /// Every organization's, with the note as well.
    Registrar,
}

/// A report with what its reader may see of it.
#[derive(Debug)]
pub struct Opened {
    pub report: MisuseReport,
    pub narrative: Option<NarrativeText>,
    pub note: Option<NarrativeText>,
}

/// Stores, reads and resolves misuse reports.
#[derive(Debug)]
pub struct MisuseReports {
    writer: Arc<Writer>,
}

impl MisuseReports {
    pub fn new(writer: Arc<Writer>) -> Self {
        Self { writer }
    }

    /// Stores a report, of at most so many that the client files in a day of Beijing. `render` makes the answer that a repetition will get; it is kept as it is, so it must not hold the
    /// narrative, and is not given it.
    pub async fn tell(
        &self,
        (actor, a_day): (Actor, Option<u64>),
        telling: Telling,
        repeatable: Option<IdempotentRequest>,
        render: impl Fn(&MisuseReport) -> StoredAnswer,
    ) -> Result<StoredAnswer, ServiceError> {
        let mut writing = match self.writer.begin(repeatable).await? {
            Begun::Repeated(answer) => return Ok(answer),
            Begun::Fresh(writing) => *writing,
        };
        if let Some(max) = a_day {
            expect_few(&mut writing, actor, max).await?;
        }
        let id: MisuseReportId = writing.new_id();
        let number = seal_number(&self.writer.keyring, &writing.peppers.current, &telling.digest, id)?;
        let narrative = telling.narrative.as_ref().map(|text| self.seal(id, Part::Narrative, text)).transpose()?;
        let report = MisuseReport {
            id,
            organization: actor.organization,
            kind: telling.kind,
            check_id: telling.check_id,
            observed_at_ms: telling.observed_at_ms,
            site: telling.site,
            reported_at_ms: writing.now_ms,
            resolution: None,
        };
        let new = StoredMisuseReport { report, narrative, note: None };
        writing.tx.insert_misuse_report(&new, &number).await?;
        let answer = render(&new.report);
        let deed = Deed::of(actor, Action::MisuseReported, id);
        self.writer.finish(writing, &deed, Some(&answer)).await?;
        self.writer.metrics.misuse_reports.inc();
        self.writer.usage.count(actor.organization, Outcome::MisuseReports);
        Ok(answer)
    }

    /// A report, if the caller may see it.
    pub async fn find(&self, actor: Actor, view: View, id: MisuseReportId) -> Result<Option<Opened>, ServiceError> {
        let found = self.writer.store.find_misuse_report(id).await?;
        let is_visible =
            |stored: &StoredMisuseReport| view == View::Registrar || stored.report.organization == actor.organization;
        let Some(stored) = found.filter(is_visible) else { return Ok(None) };
        self.writer.note(&Deed::of(actor, Action::MisuseReportRead, id)).await?;
        Ok(Some(self.open(stored, view)?))
    }

    /// A page of the reports that the caller may see, for registrars of one organization where they name it. Without narratives: who needs one reads that report, and the audit log says
    /// so.
    pub async fn list(
        &self,
        actor: Actor,
        (view, of): (View, Option<OrganizationId>),
        wanted: &Wanted<MisuseState, MisuseReportId>,
    ) -> Result<Vec<MisuseReport>, ServiceError> {
        let of = if view == View::Own { Some(actor.organization) } else { of };
        let found = self.writer.store.page_of_misuse_reports(of, wanted).await?;
        let deed = Deed::of_many(actor, Action::MisuseReportsListed);
        let ids: Vec<_> = found.iter().map(|stored| stored.report.id.into()).collect();
        self.writer.note_many(deed, &aggregates::MISUSE_REPORTS, &ids).await?;
        Ok(found.into_iter().map(|stored| stored.report).collect())
    }

    /// A registrar ends a report, no matter who made it.
    pub async fn resolve(
        &self,
        actor: Actor,
        id: MisuseReportId,
        resolving: Resolving,
    ) -> Result<Option<Opened>, ServiceError> {
        let mut writing = self.writer.begin_once().await?;
        let Some(stored) = writing.tx.find_misuse_report(id).await? else { return Ok(None) };
        let resolution = Resolution {
            outcome: resolving.outcome,
            office: resolving.office,
            organization: actor.organization,
            at_ms: writing.now_ms,
        };
        let resolved = stored.report.resolve(resolution.clone());
        let report = resolved.map_err(|error| ServiceError::Conflict(error.to_string().into()))?;
        let note = resolving.note.as_ref().map(|text| self.seal(id, Part::Note, text)).transpose()?;
        writing.tx.resolve_misuse_report(id, &resolution, note.as_ref()).await?;
        self.writer.finish(writing, &Deed::of(actor, Action::MisuseResolved, id), None).await?;
        Ok(Some(self.open(StoredMisuseReport { report, note, ..stored }, View::Registrar)?))
    }

    fn seal(&self, id: MisuseReportId, part: Part, text: &Narrative) -> Result<Envelope, SealError> {
        self.writer.keyring.sealer().seal_envelope(&part.context(id), text.expose().as_bytes())
    }

    fn open(&self, stored: StoredMisuseReport, view: View) -> Result<Opened, SealError> {
        let id = stored.report.id;
        let open = |part: Part, envelope: Option<&Envelope>| {
            let text = envelope.map(|envelope| self.writer.keyring.sealer().open_envelope(&part.context(id), envelope));
            text.map(|text| String::from_utf8(text?).map(NarrativeText::from).map_err(|_| SealError)).transpose()
        };
        let narrative = open(Part::Narrative, stored.narrative.as_ref())?;
        let note = open(Part::Note, stored.note.as_ref().filter(|_| view == View::Registrar))?;
        Ok(Opened { report: stored.report, narrative, note })
    }
}

/// Registrars read what is filed: one client leaves them room for that of others. The audit log knows how many it has filed.
async fn expect_few(writing: &mut Writing, actor: Actor, max: u64) -> Result<(), ServiceError> {
    let day = beijing_day(beijing_date(writing.now_ms));
    let begun_at_ms = UnixMs::from_seconds(day.start);
    let filed = writing.tx.count_acts_since(actor.client, Action::MisuseReported, begun_at_ms).await?;
    if filed < max {
        return Ok(());
    }
    let retry_after_s = u64::try_from(day.end - writing.now_ms.seconds()).unwrap_or(0).max(1);
    Err(ServiceError::MisuseReportsSpent { retry_after_s })
}

/// The sealed texts of a report.
#[derive(Debug, Clone, Copy)]
enum Part {
    Narrative,
    Note,
}

impl Part {
    /// What the seal is bound to: neither text can be moved to another report, or to the other's place.
    fn context(self, id: MisuseReportId) -> Vec<u8> {
        let part: &[u8] = match self {
            Self::Narrative => b"narrative",
            Self::Note => b"note",
        };
        [id.as_bytes().as_slice(), part].concat()
    }
}
