//! Exports of the audit log and their verification. An export is NDJSON: an entry a line, in order, and a last line with the
//! signed head (docs/AUDIT.md). What goes through here entry by entry may be longer than memory.

pub mod heads;
mod lines;
pub mod linking;
pub mod page;
pub mod since;
pub mod sinks;
pub mod subjects;
pub mod watch;

use std::io;

use lines::{Line, entry_line, parse_line};
use linking::{Keyed, NotKeyed};
use since::{HeadsError, Kept};

pub use lines::head_line;

use crate::crypto::audit::{BrokenChain, End, Entry, Head, HeadError};
use crate::crypto::audit_key::AuditKey;
use crate::crypto::signing::PublicKey;
use crate::store::{Store, StoreError};

/// What is wrong with a log or with an export of it.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error(transparent)]
    Broken(#[from] BrokenChain),
    #[error(transparent)]
    NotKeyed(#[from] NotKeyed),
    #[error(transparent)]
    Heads(#[from] HeadsError),
    #[error("what this node has seen of the audit log cannot be read: audit/heads.json of the data folder")]
    State,
    #[error("line {line} is neither an entry nor a head")]
    Malformed { line: u64 },
    #[error("there is no signed head at the end: the export was cut off")]
    NoHead,
    #[error("line {line} follows the signed head: the export ends there")]
    BehindHead { line: u64 },
    #[error(transparent)]
    Head(#[from] HeadError),
    #[error("the signed head is of entry {of}, and the last entry is {last}: entries were taken out or put in")]
    OtherEnd { of: u64, last: u64 },
    #[error("the signed head has another hash than the last entry: entries were changed")]
    OtherHash,
    #[error("at entry {sequence} the log is not the one of the earlier export: it was rewritten")]
    Rewritten { sequence: u64 },
    #[error("the earlier export ends at entry {earlier} and this log at {last}: its end was cut off")]
    Shorter { earlier: u64, last: u64 },
    #[error("the export begins at entry {first}: give the earlier export that it continues with --previous")]
    NeedsPrevious { first: u64 },
    #[error(
        "the export begins at entry {first}, which the earlier export does not reach, or does not hold the one before"
    )]
    NotJoined { first: u64 },
    #[error(
        "at entry {sequence} the log is not the one that this node saw: it was rewritten, or an older one is continued"
    )]
    OtherThanSeen { sequence: u64 },
    #[error(
        "this node saw entry {seen}, and the log ends at {last}: its end was cut off, or an older one was put in its place"
    )]
    ShorterThanSeen { seen: u64, last: u64 },
    #[error("the log has {last} entries only")]
    NoSuchEntry { last: u64 },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl AuditError {
    /// Whether it says nothing about the log: the store or a disk does not answer.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Store(error) => error.is_passing(),
            Self::Io(_) => true,
            _ => false,
        }
    }
}

/// What somebody kept of a log, which must go through it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Against<'a> {
    /// The end of an earlier export.
    pub earlier: Option<End>,
    /// Signed heads.
    pub kept: Option<&'a Kept>,
}

/// What was found in order.
#[derive(Debug)]
pub struct Verified {
    /// The first entry that was looked at; none in an empty log.
    pub first: Option<u64>,
    pub end: End,
    /// Of an export.
    pub head: Option<Head>,
}

/// Follows a chain, and sees whether it goes through the end of an earlier export, and is the service's by its keyed hashes. An
/// export has none: its head is signed.
#[derive(Debug)]
struct Follower<'a> {
    first: Option<u64>,
    end: End,
    against: Against<'a>,
    keyed: Option<Keyed<'a>>,
}

impl<'a> Follower<'a> {
    fn new(start: End, against: Against<'a>) -> Result<Self, AuditError> {
        let follower = Self { first: None, end: start, against, keyed: None };
        follower.compare()?;
        Ok(follower)
    }

    fn keyed(self, key: &'a AuditKey) -> Self {
        Self { keyed: Some(Keyed::by(key)), ..self }
    }

    fn follow(&mut self, entry: &Entry) -> Result<(), AuditError> {
        self.end.follow(entry)?;
        if let Some(keyed) = &mut self.keyed {
            keyed.judge(entry)?;
        }
        self.first.get_or_insert(entry.sequence);
        self.compare()
    }

    fn compare(&self) -> Result<(), AuditError> {
        self.against.kept.map_or(Ok(()), |kept| kept.judge(self.end))?;
        match self.against.earlier {
            Some(earlier) if earlier.sequence == self.end.sequence && earlier.hash != self.end.hash => {
                Err(AuditError::Rewritten { sequence: earlier.sequence })
            }
            _ => Ok(()),
        }
    }

    fn finish(self, head: Option<Head>) -> Result<Verified, AuditError> {
        self.keyed.as_ref().map_or(Ok(()), Keyed::judge_end)?;
        self.against.kept.map_or(Ok(()), |kept| kept.judge_end(self.end))?;
        if let Some(earlier) = self.against.earlier.filter(|earlier| earlier.sequence > self.end.sequence) {
            return Err(AuditError::Shorter { earlier: earlier.sequence, last: self.end.sequence });
        }
        Ok(Verified { first: self.first, end: self.end, head })
    }
}

/// Writes the entries behind a sequence, line by line; returns how the chain ended. What does not follow from one another is
/// written up to there and is an error: no head must be signed over it.
pub async fn export(
    store: &Store,
    key: &AuditKey,
    after: u64,
    mut write: impl FnMut(&str) -> io::Result<()>,
) -> Result<Verified, AuditError> {
    let mut follower = Follower::new(begins_after(store, after).await?, Against::default())?.keyed(key);
    walk(store, &mut follower, |entry| write(&entry_line(entry))).await?;
    follower.finish(None)
}

/// The end of the chain at an entry; of its beginning for none.
async fn begins_after(store: &Store, after: u64) -> Result<End, AuditError> {
    let Some(before) = after.checked_sub(1) else { return Ok(End::BEGINNING) };
    match store.list_audit(before).await?.first().filter(|entry| entry.sequence == after) {
        Some(entry) => Ok(entry.end()),
        None => Err(AuditError::NoSuchEntry { last: last_sequence(store).await? }),
    }
}

/// Verifies the log in the store, and against what somebody kept.
pub async fn verify_store(store: &Store, key: &AuditKey, against: Against<'_>) -> Result<Verified, AuditError> {
    let mut follower = Follower::new(End::BEGINNING, against)?.keyed(key);
    walk(store, &mut follower, |_| Ok(())).await?;
    follower.finish(None)
}

async fn walk(
    store: &Store,
    follower: &mut Follower<'_>,
    mut visit: impl FnMut(&Entry) -> io::Result<()>,
) -> Result<(), AuditError> {
    loop {
        let page = store.list_audit(follower.end.sequence).await?;
        if page.is_empty() {
            return Ok(());
        }
        for entry in &page {
            follower.follow(entry)?;
            visit(entry)?;
        }
    }
}

async fn last_sequence(store: &Store) -> Result<u64, StoreError> {
    let mut last = 0;
    while let Some(entry) = store.list_audit(last).await?.last() {
        last = entry.sequence;
    }
    Ok(last)
}

/// An export that was verified, and the entry behind which another one may begin.
#[derive(Debug)]
pub struct Earlier {
    pub end: End,
    join: Option<End>,
}

/// Verifies an export by itself. `join`: the entry whose place in the chain is asked for. Where the export does not begin with
/// the first entry, its first hash is taken as it is: it was verified when that export was new.
pub fn verify_earlier(
    lines: impl Iterator<Item = io::Result<String>>,
    keys: &[PublicKey],
    join: u64,
) -> Result<Earlier, AuditError> {
    let mut follower = None;
    let mut joined = (join == 0).then_some(End::BEGINNING);
    let head = read_export(lines, |entry| {
        let known = match follower.as_mut() {
            None if entry.sequence > 1 => follower.insert(Follower::new(entry.end(), Against::default())?),
            None => {
                let first = follower.insert(Follower::new(End::BEGINNING, Against::default())?);
                first.follow(entry)?;
                first
            }
            Some(known) => {
                known.follow(entry)?;
                known
            }
        };
        joined = joined.or_else(|| Some(known.end).filter(|end| end.sequence == join));
        Ok(())
    })?;
    let head = Head::verify(&head, keys)?;
    // Without an entry only the head shows the end.
    let end = follower.map_or(head.end, |follower| follower.end);
    compare_head(&head, end)?;
    let join = joined.or_else(|| Some(end).filter(|end| end.sequence == join));
    Ok(Earlier { end, join })
}

/// The entry behind which an export begins.
pub fn begins_behind(
    mut lines: impl Iterator<Item = io::Result<String>>,
    keys: &[PublicKey],
) -> Result<u64, AuditError> {
    let first = lines.next().ok_or(AuditError::NoHead)??;
    match parse_line(&first).ok_or(AuditError::Malformed { line: 1 })? {
        Line::Entry(entry) => Ok(entry.sequence.saturating_sub(1)),
        Line::Head(jws) => Ok(Head::verify(&jws, keys)?.end.sequence),
    }
}

/// Verifies an export: chain, head, and that it continues an earlier one.
pub fn verify_export(
    lines: impl Iterator<Item = io::Result<String>>,
    keys: &[PublicKey],
    behind: u64,
    earlier: Option<&Earlier>,
    kept: Option<&Kept>,
) -> Result<Verified, AuditError> {
    let first = behind.saturating_add(1);
    let start = match (behind, earlier) {
        (0, _) => End::BEGINNING,
        (_, None) => return Err(AuditError::NeedsPrevious { first }),
        (_, Some(earlier)) => earlier.join.ok_or(AuditError::NotJoined { first })?,
    };
    let against = Against { earlier: earlier.map(|earlier| earlier.end), kept };
    let mut follower = Follower::new(start, against)?;
    let head = read_export(lines, |entry| follower.follow(entry))?;
    let head = Head::verify(&head, keys)?;
    compare_head(&head, follower.end)?;
    follower.finish(Some(head))
}

fn compare_head(head: &Head, end: End) -> Result<(), AuditError> {
    if head.end.sequence != end.sequence {
        return Err(AuditError::OtherEnd { of: head.end.sequence, last: end.sequence });
    }
    if head.end.hash == end.hash { Ok(()) } else { Err(AuditError::OtherHash) }
}

/// Visits the entries of an export; returns its head, not verified.
fn read_export(
    lines: impl Iterator<Item = io::Result<String>>,
    mut visit: impl FnMut(&Entry) -> Result<(), AuditError>,
) -> Result<String, AuditError> {
    let mut head = None;
    for (line, text) in (1..).zip(lines) {
        let text = text?;
        if head.is_some() {
            return Err(AuditError::BehindHead { line });
        }
        match parse_line(&text).ok_or(AuditError::Malformed { line })? {
            Line::Entry(entry) => visit(&entry)?,
            Line::Head(jws) => head = Some(jws),
        }
    }
    head.ok_or(AuditError::NoHead)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::signing::SigningKey;
    use crate::domain::audit::{Action, Deed};
    use crate::domain::ids::RecordId;
    use crate::domain::instant::UnixMs;

    /// A log, and the key that signs its heads.
    struct Log {
        key: SigningKey,
        entries: Vec<Entry>,
    }

    impl Log {
        fn new(length: usize) -> Self {
            let mut log = Self { key: SigningKey::generate().unwrap(), entries: Vec::new() };
            log.grow(length, Action::ReportRead);
            log
        }

        fn grow(&mut self, by: usize, action: Action) {
            for _ in 0..by {
                let end = self.entries.last().map_or(End::BEGINNING, Entry::end);
                let deed = Deed::of_operator(action, Some(RecordId::from_u128(u128::from(end.sequence) + 1)));
                self.entries.push(end.next(UnixMs::new(1000 + i64::try_from(end.sequence).unwrap()), &deed));
            }
        }

        /// The lines of an export of the entries `from` up to and without `to`, counted from 0.
        fn lines(&self, from: usize, to: usize) -> Vec<String> {
            let end = to.checked_sub(1).map_or(End::BEGINNING, |last| self.entries[last].end());
            let head = Head { issuer: "http://x".to_owned(), issued_at_s: 7, end, place: None };
            let entries = self.entries[from..to].iter().map(entry_line);
            entries.chain([head_line(head.sign(&self.key))]).collect()
        }

        fn verify(&self, lines: &[String], previous: Option<&[String]>) -> Result<Verified, String> {
            let keys = [self.key.public().clone()];
            let verify = || {
                let behind = begins_behind(Self::read(lines), &keys)?;
                let earlier = previous.map(|lines| verify_earlier(Self::read(lines), &keys, behind)).transpose()?;
                verify_export(Self::read(lines), &keys, behind, earlier.as_ref(), None)
            };
            verify().map_err(|error: AuditError| error.to_string())
        }

        /// Lines as a file gives them.
        fn read(lines: &[String]) -> impl Iterator<Item = io::Result<String>> {
            lines.iter().cloned().map(Ok)
        }

        #[track_caller]
        fn assert_refused(&self, lines: &[String], previous: Option<&[String]>, why: &str) {
            let error = self.verify(lines, previous).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn an_export_is_verified_as_it_was_written() {
        let log = Log::new(5);
        let verified = log.verify(&log.lines(0, 5), None).unwrap();
        assert_eq!((verified.first, verified.end), (Some(1), log.entries[4].end()));
        assert_eq!(verified.head.unwrap().issued_at_s, 7);
        let empty = log.verify(&log.lines(0, 0), None).unwrap();
        assert_eq!((empty.first, empty.end), (None, End::BEGINNING));
    }

    #[test]
    fn an_export_that_was_tampered_with_is_refused() {
        let log = Log::new(5);
        let good = log.lines(0, 5);
        let changed = |change: &dyn Fn(&mut Vec<String>)| {
            let mut lines = good.clone();
            change(&mut lines);
            lines
        };
        for (lines, why) in [
            (changed(&|lines| lines[2] = lines[2].replace("report_read", "report_filed")), "entry 3 does not have"),
            (changed(&|lines| lines[2] = lines[2].replace("00:00:01.002", "00:00:01.003")), "entry 3 does not have"),
            (changed(&|lines| drop(lines.remove(2))), "behind entry 2 comes entry 4"),
            (changed(&|lines| drop(lines.remove(0))), "begins at entry 2"),
            (changed(&|lines| lines.swap(1, 2)), "behind entry 1 comes entry 3"),
            (changed(&|lines| drop(lines.remove(4))), "head is of entry 5, and the last entry is 4"),
            (changed(&|lines| lines.truncate(5)), "no signed head"),
            (changed(&|lines| lines.clear()), "no signed head"),
            (changed(&|lines| lines.push(lines[0].clone())), "line 7 follows the signed head"),
            (changed(&|lines| lines[1] = "{}".to_owned()), "line 2 is neither"),
            (changed(&|lines| lines[1] = lines[1].replacen('{', r#"{"x":1,"#, 1)), "line 2 is neither"),
            (changed(&|lines| lines.insert(1, String::new())), "line 2 is neither"),
        ] {
            log.assert_refused(&lines, None, why);
        }
        let foreign = Log::new(5).lines(0, 5).pop().unwrap();
        log.assert_refused(&changed(&|lines| lines[5].clone_from(&foreign)), None, "no key of this set");
        // Another log of this key: all of its own is right, its head is not this one's.
        let other = Log { key: SigningKey::from_pkcs8(log.key.pkcs8()).unwrap(), entries: Vec::new() };
        let mut other = other;
        other.grow(5, Action::ReportFiled);
        let head = other.lines(0, 5).pop().unwrap();
        log.assert_refused(&changed(&|lines| lines[5].clone_from(&head)), None, "another hash than the last entry");
    }

    #[test]
    fn a_later_export_continues_an_earlier_one() {
        let log = Log::new(9);
        let (first, all) = (log.lines(0, 4), log.lines(0, 9));
        for (lines, previous, from) in [
            (&all, &first, Some(1)),
            (&log.lines(4, 9), &first, Some(5)),
            (&log.lines(2, 9), &first, Some(3)),
            (&log.lines(4, 4), &first, None),
            (&log.lines(7, 9), &log.lines(4, 7), Some(8)),
            (&log.lines(6, 9), &log.lines(4, 7), Some(7)),
            (&all, &log.lines(4, 7), Some(1)),
            (&log.lines(4, 9), &log.lines(4, 4), Some(5)),
            (&all, &log.lines(0, 0), Some(1)),
            (&all, &all, Some(1)),
        ] {
            let verified = log.verify(lines, Some(previous)).unwrap();
            assert_eq!(verified.first, from);
        }
        log.assert_refused(&log.lines(4, 9), None, "begins at entry 5: give the earlier export");
        log.assert_refused(&log.lines(5, 9), Some(&first), "does not reach");
        log.assert_refused(&log.lines(2, 9), Some(&log.lines(4, 7)), "does not reach");
    }

    #[test]
    fn a_log_that_was_cut_off_or_written_anew_is_noticed_by_an_earlier_export() {
        let log = Log::new(9);
        let earlier = log.lines(0, 6);
        // Right by themselves: the service signs what its store holds.
        let cut = log.lines(0, 5);
        assert!(log.verify(&cut, None).is_ok());
        log.assert_refused(&cut, Some(&earlier), "ends at entry 6 and this log at 5");
        let mut grown =
            Log { key: SigningKey::from_pkcs8(log.key.pkcs8()).unwrap(), entries: log.entries[..3].to_vec() };
        grown.grow(6, Action::ReportFiled);
        let rewritten = grown.lines(0, 9);
        assert!(grown.verify(&rewritten, None).is_ok());
        log.assert_refused(&rewritten, Some(&earlier), "at entry 6 the log is not the one");
        log.assert_refused(&grown.lines(6, 9), Some(&earlier), "entry 7 does not have");
        log.assert_refused(&grown.lines(6, 6), Some(&earlier), "another hash");
        // An earlier export that was tampered with proves nothing.
        let mut tampered = earlier.clone();
        tampered[1] = tampered[1].replace("report_read", "report_filed");
        log.assert_refused(&log.lines(0, 9), Some(&tampered), "entry 2 does not have");
    }
}
