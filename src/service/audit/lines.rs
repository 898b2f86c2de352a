//! An export's lines: an entry each, and the signed head (docs/AUDIT.md). What they say is verified elsewhere.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::Rfc3339;
use crate::crypto::audit::{Entry, hash_of};
use crate::crypto::signing::{base64url, from_base64url};
use crate::domain::audit::SubjectTag;
use crate::domain::ids::{ClientId, OrganizationId, RecordId};
use crate::domain::instant::UnixMs;

/// An entry as a line of an export. Ids and times are written as in the API.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryLine {
    seq: u64,
    at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    organization: Option<OrganizationId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client: Option<ClientId>,
    action: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<RecordId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    old_start: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    person: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    os_user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    /// Tags, base64url.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    persons: Vec<String>,
    hash: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadLine {
    head: String,
}

pub(super) enum Line {
    Entry(Box<Entry>),
    Head(String),
}

pub(super) fn entry_line(entry: &Entry) -> String {
    let line = EntryLine {
        seq: entry.sequence,
        at: Rfc3339::of(entry.at_ms).as_str().to_owned(),
        organization: entry.organization,
        client: entry.client,
        action: entry.action.clone(),
        subject: entry.subject,
        old_start: entry.old_start.clone(),
        person: entry.person.clone(),
        os_user: entry.os_user.clone(),
        reason: entry.reason.clone(),
        origin: entry.origin.clone(),
        persons: entry.persons.iter().map(|tag| base64url(tag.as_bytes())).collect(),
        hash: base64url(&entry.hash),
    };
    serde_json::to_string(&line).unwrap_or_default()
}

pub(super) fn parse_line(text: &str) -> Option<Line> {
    if let Ok(HeadLine { head }) = serde_json::from_str(text) {
        return Some(Line::Head(head));
    }
    let line: EntryLine = serde_json::from_str(text).ok()?;
    let at_ms = UnixMs::new(line.at.parse::<Timestamp>().ok()?.as_millisecond());
    let hash = hash_of(&line.hash)?;
    let persons = line.persons.iter().map(|tag| Some(<[u8; 16]>::try_from(from_base64url(tag)?).ok()?.into()));
    let persons = persons.collect::<Option<Vec<SubjectTag>>>()?;
    let EntryLine { seq: sequence, organization, client, action, subject, .. } = line;
    let EntryLine { old_start, person, os_user, reason, origin, .. } = line;
    Some(Line::Entry(Box::new(Entry {
        sequence,
        at_ms,
        organization,
        client,
        action,
        subject,
        old_start,
        person,
        os_user,
        reason,
        origin,
        persons,
        hash,
        keyed_hash: None,
    })))
}

/// The last line of an export.
pub fn head_line(jws: String) -> String {
    serde_json::to_string(&HeadLine { head: jws }).unwrap_or_default()
}
