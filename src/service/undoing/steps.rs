//! How each kind of act is countered. A step that finds nothing to counter says so.

use jiff::civil::Date;

use crate::domain::application::ApplicationState;
use crate::domain::ids::{ApplicationId, CertificateId, FoundCardId, ReplacementId, ReportId};
use crate::domain::report::{OfficeCode, ReportState};
use crate::domain::undoing::Why;
use crate::service::writing::Writing;
use crate::service::{ServiceError, listing};
use crate::store::applications::ApplicationClosing;
use crate::store::undoing::{Act, Span};

/// What was done about one act.
pub(super) enum Step {
    /// Countered; the start of validity that this took away.
    Countered(Option<Date>),
    Nothing,
    Stays(Why),
}

pub(super) async fn unfile(writing: &mut Writing, act: &Act) -> Result<Step, ServiceError> {
    let Some(stored) = writing.tx.find_any_report(report_of(act)).await? else { return Ok(Step::Stays(Why::Gone)) };
    if stored.report.state == ReportState::Replaced {
        return Ok(Step::Stays(Why::ReplacedByOthers));
    }
    listing::unfiled(writing, stored, &OfficeCode::of_undoing()).await?;
    Ok(Step::Countered(None))
}

pub(super) async fn list_again(writing: &mut Writing, act: &Act) -> Result<Step, ServiceError> {
    let Some(stored) = writing.tx.find_any_report(report_of(act)).await? else { return Ok(Step::Stays(Why::Gone)) };
    if stored.report.state != ReportState::Withdrawn {
        return Ok(Step::Nothing);
    }
    listing::listed_again(writing, stored).await?;
    Ok(Step::Countered(None))
}

pub(super) async fn drop_request(writing: &mut Writing, span: Span, act: &Act) -> Result<Step, ServiceError> {
    let waited = writing.tx.drop_request(report_of(act), span.client).await?;
    Ok(if waited { Step::Countered(None) } else { Step::Nothing })
}

pub(super) async fn take_back(writing: &mut Writing, act: &Act) -> Result<Step, ServiceError> {
    let id: ReplacementId = act.subject.as_its_kind();
    let found = writing.tx.find_replacement(act.organization, id).await?;
    let Some(stored) = found else { return Ok(Step::Stays(Why::Gone)) };
    listing::taken_back(writing, &stored).await?;
    Ok(Step::Countered(Some(stored.card_valid_from)))
}

pub(super) async fn correct_back(writing: &mut Writing, act: &Act) -> Result<Step, ServiceError> {
    let id: ReplacementId = act.subject.as_its_kind();
    let found = writing.tx.find_replacement(act.organization, id).await?;
    let Some((stored, start)) = found.zip(act.old_start) else { return Ok(Step::Stays(Why::Gone)) };
    match listing::corrected_back(writing, &stored, start).await {
        Ok(()) => Ok(Step::Countered(Some(stored.card_valid_from))),
        Err(ServiceError::NotAfterListed) => Ok(Step::Stays(Why::StartListed)),
        Err(error) => Err(error),
    }
}

pub(super) async fn hold_again(writing: &mut Writing, act: &Act) -> Result<Step, ServiceError> {
    let id: FoundCardId = act.subject.as_its_kind();
    let found = writing.tx.find_found_card(act.organization, id).await?;
    let Some(stored) = found else { return Ok(Step::Stays(Why::Gone)) };
    let Ok(card) = stored.card.hold_again() else { return Ok(Step::Nothing) };
    writing.tx.reopen_found_card(&card).await?;
    Ok(Step::Countered(None))
}

pub(super) async fn revoke(writing: &mut Writing, act: &Act) -> Result<Step, ServiceError> {
    let id: CertificateId = act.subject.as_its_kind();
    let found = writing.tx.find_certificate(act.organization, id).await?;
    let Some(stored) = found else { return Ok(Step::Stays(Why::Gone)) };
    // One that nobody accepts any more needs nothing.
    let Ok(revoked) = stored.certificate.revoke(writing.now_ms) else { return Ok(Step::Nothing) };
    writing.tx.revoke_certificate(&revoked, &OfficeCode::of_undoing()).await?;
    Ok(Step::Countered(None))
}

pub(super) async fn cancel(writing: &mut Writing, act: &Act) -> Result<Step, ServiceError> {
    let id: ApplicationId = act.subject.as_its_kind();
    let found = writing.tx.find_application(act.organization, id).await?;
    let Some(stored) = found else { return Ok(Step::Stays(Why::Gone)) };
    if stored.application.state == ApplicationState::Issued {
        return Ok(Step::Stays(Why::Ended));
    }
    // One that was refused or cancelled needs nothing.
    let Ok(application) = stored.application.cancel() else { return Ok(Step::Nothing) };
    let office = OfficeCode::of_undoing();
    let closing = ApplicationClosing { at_ms: writing.now_ms, office: &office, replacement_id: None };
    writing.tx.close_application(&application, &closing).await?;
    Ok(Step::Countered(None))
}

/// The subject of an act on a report.
fn report_of(act: &Act) -> ReportId {
    act.subject.as_its_kind()
}
