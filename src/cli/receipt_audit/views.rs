//! Whether a log is the one that a receipt names, that was seen before, and that the reader's own witnesses have cosigned.

use anyhow::{Context, bail};
use jiff::Timestamp;

use super::reading::{Log, LogReader, Unread};
use super::subject::Subject;
use crate::cli::witnessed::Witnessed;
use crate::crypto::blind::judging::{Judged, Outcome};
use crate::crypto::receipt::parse_checkpoint;

/// How far clocks of witnesses and of the service may be apart.
const CLOCKS_DIFFER_S: u64 = 60;
/// How many changes a receipt may be ahead of the checkpoint that it names: a node names the newest that it knows, at most 2 s old, and no
/// store writes as many in that time.
const BEHIND_MAX: u64 = 500_000;

/// What is kept of a log, beside what the service shows of it now.
pub(super) enum Seen {
    Nothing,
    /// An older checkpoint of the same history, or a newer one.
    Continued(String),
    /// Another history, or one that is not shown any more; with what was kept, if that can be shown to others.
    Other {
        judged: Judged,
        note: String,
        kept: Option<Box<Log>>,
    },
}

impl Seen {
    /// The checkpoint that was kept.
    pub(super) fn note(&self) -> Option<&str> {
        match self {
            Self::Nothing => None,
            Self::Continued(note) | Self::Other { note, .. } => Some(note),
        }
    }
}

/// Compares what the service shows with what was kept.
pub(super) async fn judge_seen(reader: &mut LogReader<'_>, log: &Log) -> anyhow::Result<Seen> {
    let Some((note, seen)) = reader.seen(log)? else { return Ok(Seen::Nothing) };
    let other = (Outcome::Contradicted, "the log shows another history than it did before");
    if seen.size <= log.size() {
        let is_on = log.begins_with(seen.size, &seen.root);
        return Ok(if is_on { Seen::Continued(note) } else { Seen::Other { judged: other, note, kept: None } });
    }
    // A node that is behind shows a beginning of what was seen; a log that was made once more need not.
    let shown = log.checkpoint();
    match reader.read(&note).await {
        Ok(kept) if kept.begins_with(shown.size, &shown.root) => Ok(Seen::Continued(note)),
        Ok(kept) => Ok(Seen::Other { judged: other, note, kept: Some(Box::new(kept)) }),
        Err(error) if error.downcast_ref::<Unread>().is_some() => {
            let why = "the log is shorter than it was before, and what it had is not served any more";
            Ok(Seen::Other { judged: (Outcome::CannotTell, why), note, kept: None })
        }
        Err(error) => Err(error),
    }
}

/// Whether the log that is shown now is the one that the receipt names; and how many changes the receipt is ahead of what it names.
pub(super) async fn judge_views(
    reader: &mut LogReader<'_>,
    subject: &Subject,
    logs: &mut Vec<Log>,
    s0: Option<u64>,
) -> anyhow::Result<(Judged, Option<u64>)> {
    let claims = &subject.found.claims;
    let cannot_tell = |why| Ok(((Outcome::CannotTell, why), None));
    let Some(named) = &claims.cp else { return cannot_tell("the receipt names no checkpoint of the log") };
    let Some((size, wanted)) = parse_checkpoint(named) else { bail!("the receipt's checkpoint is malformed") };
    let consistent = (Outcome::Consistent, "the log is the one that the receipt names");
    let ahead = |of: u64| s0.and_then(|s0| claims.seq.get().checked_sub(s0)).map(|into| into.saturating_add(of));
    // The checkpoint that a node knew when it signed may be of the log before.
    loop {
        let last = logs.last().context("there is a log")?;
        if last.begins_with(size, &wanted) {
            let behind = if logs.len() == 1 {
                ahead(0).and_then(|into| into.checked_sub(size))
            } else {
                ahead(last.size() - size)
            };
            let is_far = behind.is_some_and(|behind| behind > BEHIND_MAX);
            let far = (Outcome::CannotTell, "the receipt names a checkpoint that is far behind it");
            return Ok((if is_far { far } else { consistent }, behind));
        }
        if logs.len() > 1 || last.successor().is_none() {
            break;
        }
        let Some(before) = reader.read_beside(last, false).await? else {
            return cannot_tell("the log before it is not served");
        };
        if !logs.last().is_some_and(|last| last.follows(&before.note)) {
            return cannot_tell("the log does not continue the one before it");
        }
        logs.push(before);
    }
    if claims.says.is_blind() {
        // The key outlives its log by a day: then the newest checkpoint is of the log behind it.
        let end = reader.end_of(&logs[0]).await?;
        let next = reader.read_beside(&logs[0], true).await?;
        if next.zip(end).is_some_and(|(next, end)| next.follows(&end) && next.begins_with(size, &wanted)) {
            return Ok((consistent, None));
        }
        return cannot_tell("the receipt names another log than that of its key, or the one behind it");
    }
    if s0.is_none_or(|s0| claims.seq.get() < s0 || claims.seq.get() > s0.saturating_add(logs[0].size())) {
        return cannot_tell("the log that is shown is not that of the receipt's time");
    }
    // Ended logs do not grow: what they do not have they never had. This one may have it by tomorrow.
    if logs[0].size() < size {
        return cannot_tell("the log does not reach the checkpoint that the receipt names yet");
    }
    Ok(((Outcome::Contradicted, "the log shows another history than the receipt names"), None))
}

/// What the witnesses have against it: none have cosigned this log, or had cosigned a later state when the receipt's was told as the
/// newest.
pub(super) fn judge_witnesses(
    reader: &LogReader<'_>,
    subject: &Subject,
    log: &Log,
    witnessed: &Witnessed,
    notes: &[&str],
) -> Option<Judged> {
    let claims = &subject.found.claims;
    if let Some(as_of) = claims.says.as_of() {
        // Of the first log of a store nothing signed says where it began: not before the first row.
        let s0 = log.successor().unwrap_or(0);
        let as_of = as_of.parse::<Timestamp>().ok().and_then(|at| u64::try_from(at.as_second()).ok())?;
        let is_later = |note: &&&str| {
            let size = reader.verify(note).map_or(0, |checkpoint| checkpoint.size);
            s0.saturating_add(size) > claims.seq.get()
        };
        let by_s = as_of.saturating_sub(CLOCKS_DIFFER_S);
        if notes.iter().filter(is_later).any(|note| witnessed.is_met_by(note, by_s)) {
            return Some((Outcome::Contradicted, "witnesses had cosigned a later state before the receipt's was told"));
        }
    }
    let is_cosigned = notes.first().is_some_and(|note| witnessed.is_met(note));
    (!is_cosigned).then_some((Outcome::CannotTell, "the checkpoint lacks the cosignatures that the policy asks for"))
}
