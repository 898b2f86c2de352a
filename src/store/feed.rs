//! The ordered change feed: every change has a sequence number without gaps, given in its own transaction.
//! `UPDATE feed_head` holds the row lock until commit, so sequence order is commit order (a database sequence would not be).
//! What a follower does with the changes is in `registry`.

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Row};

use super::key_versions::{get_blind_versions, get_key_versions};
use super::rows::{RowsInsert, Values};
use super::{Store, StoreError, WriteTx, as_i64, get_sequence, get_u64};
use crate::crypto::digest::LookupKey;
use crate::crypto::pepper::KeyVersions;
use crate::crypto::random;
use crate::domain::ids::{MarkId, NodeId};
use crate::domain::sequence::Sequence;

/// What kind of thing changed, and so who must look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// A number's listing; the subject is its lookup key.
    Listing,
    /// A client or its credentials; the subject is its id.
    Client,
    /// An organization; the subject is its id.
    Organization,
    /// A token was revoked; the subject is its fingerprint.
    Token,
    /// A node joined, or a mark was put ([`Mark`]); the subject is the id of either.
    Node,
    /// A rotation of the pepper began or ended; the subject is the version of new rows.
    Pepper,
}

impl ChangeKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Listing => "listing",
            Self::Client => "client",
            Self::Organization => "organization",
            Self::Token => "token",
            Self::Node => "node",
            Self::Pepper => "pepper",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        let all = [Self::Listing, Self::Client, Self::Organization, Self::Token, Self::Node, Self::Pepper];
        all.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Proof that the feed has a change of listings, because it is made only where the feed's rows are written: a row that lists a
/// number can be neither inserted nor closed without one.
#[derive(Debug, PartialEq, Eq)]
pub struct RecordedChange {
    last: Sequence,
    count: u64,
}

impl RecordedChange {
    /// The sequence of the last number's change.
    pub fn sequence(&self) -> Sequence {
        self.last
    }

    /// The sequences of all of them.
    pub fn sequences(&self) -> std::ops::RangeInclusive<Sequence> {
        self.first()..=self.last
    }

    fn first(&self) -> Sequence {
        Sequence::new(self.last.get() + 1 - self.count)
    }

    /// The sequence of the first one's, if the change is of so many numbers.
    pub(super) fn first_of(&self, count: usize) -> Result<Sequence, StoreError> {
        let is_of_all = self.count == count as u64;
        is_of_all.then(|| self.first()).ok_or(StoreError::Misused("the feed has changes of other rows"))
    }
}

/// One row of the feed.
#[derive(Debug, Clone)]
pub struct Change {
    pub sequence: Sequence,
    pub kind: ChangeKind,
    pub subject: Vec<u8>,
}

/// A piece of the feed, with the head as it was when the piece was read.
#[derive(Debug)]
pub struct FeedPage {
    pub epoch: String,
    pub head: Sequence,
    /// Whether the asking node is registered and unmarked: only then may it take a lease.
    pub is_member: bool,
    /// By which peppers rows are keyed at the head.
    pub key_versions: KeyVersions,
    pub changes: Vec<Change>,
}

/// A row of the feed with an id drawn for it, which no other history of a store has: where it is, all before it
/// is unchanged. A store that was restored and then changed differently has the same epoch, but not the marks put since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub sequence: Sequence,
    pub id: MarkId,
}

/// The feed as it is asked about a mark.
#[derive(Debug)]
pub struct Marked {
    pub epoch: String,
    pub head: Sequence,
    /// Whether the mark is where it was put.
    pub has_mark: bool,
}

/// Something that remembers things that change through the feed, besides listings.
pub trait Listener: Send + Sync {
    /// One thing changed.
    fn on_change(&self, change: &Change);
    /// Changes may have been missed: remember nothing from before.
    fn on_reload(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// The most changes that one page holds.
pub const PAGE_CHANGES_MAX: usize = 10_000;

static CHANGES: RowsInsert = RowsInsert::new("feed", "seq, kind, subject");

impl Store {
    /// The changes after `after`, in one statement, so that head, membership and rows are of one moment.
    pub async fn feed_after(&self, after: Sequence, node: NodeId) -> Result<FeedPage, StoreError> {
        let rows = sqlx::query(AssertSqlSafe(format!(
            "SELECT h.seq AS head, {} AS epoch, h.key_version AS key_version, \
             h.key_version_from AS key_version_from, f.seq AS seq, f.kind AS kind, f.subject AS subject, \
             (SELECT COUNT(*) FROM nodes WHERE node_id = $3 AND beat >= 0) AS member \
             FROM feed_head h LEFT JOIN feed f ON f.seq > $1 ORDER BY f.seq LIMIT $2",
            self.dialect.epoch()
        )))
        .bind(as_i64(after))
        .bind(as_i64(PAGE_CHANGES_MAX as u64))
        .bind(node.as_bytes().as_slice())
        .fetch_all(&mut *self.own_connection().await?)
        .await?;
        let first = rows.first().ok_or(StoreError::Corrupt("feed_head"))?;
        let (epoch, head) = (first.try_get("epoch")?, get_sequence(first, "head")?);
        let is_member = get_u64(first, "member")? > 0;
        let key_versions = get_key_versions(first)?;
        let mut changes = Vec::with_capacity(rows.len());
        for row in &rows {
            if row.try_get::<Option<i64>, _>("seq")?.is_some() {
                changes.push(Change {
                    sequence: get_sequence(row, "seq")?,
                    kind: ChangeKind::parse(row.try_get("kind")?).ok_or(StoreError::Corrupt("feed.kind"))?,
                    subject: row.try_get("subject")?,
                });
            }
        }
        Ok(FeedPage { epoch, head, is_member, key_versions, changes })
    }

    /// Begins a new epoch, and returns it: whatever was remembered of the feed before counts no more.
    pub async fn renew_epoch(&self) -> Result<String, StoreError> {
        let epoch = hex::encode(random::bytes::<16>());
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE feed_head SET epoch = $1 WHERE id = 1").bind(epoch.as_str()).execute(&mut *tx.tx).await?;
        tx.commit_unlisted().await?;
        Ok(epoch)
    }

    /// Puts a mark. It is of the kind that nodes of every version read and ignore.
    pub async fn put_mark(&self, id: MarkId) -> Result<Mark, StoreError> {
        let mut tx = self.begin().await?;
        let sequence = tx.record_change(ChangeKind::Node, id.as_bytes()).await?;
        tx.commit_unlisted().await?;
        Ok(Mark { sequence, id })
    }

    /// Looks for a mark, in one statement with epoch and head.
    pub async fn find_mark(&self, mark: &Mark) -> Result<Marked, StoreError> {
        let row = sqlx::query(AssertSqlSafe(format!(
            "SELECT h.seq AS head, {} AS epoch, \
             (SELECT COUNT(*) FROM feed WHERE seq = $1 AND subject = $2) AS marks FROM feed_head h",
            self.dialect.epoch()
        )))
        .bind(as_i64(mark.sequence))
        .bind(mark.id.as_bytes().as_slice())
        .fetch_one(&mut *self.connection().await?)
        .await?;
        let has_mark = get_u64(&row, "marks")? == 1;
        Ok(Marked { epoch: row.try_get("epoch")?, head: get_sequence(&row, "head")?, has_mark })
    }

    /// The sequence of the last change.
    pub async fn head(&self) -> Result<Sequence, StoreError> {
        let row = sqlx::query("SELECT seq FROM feed_head").fetch_one(&mut *self.connection().await?).await?;
        get_sequence(&row, "seq")
    }

    /// Head, number of rows and greatest sequence, as numbers: equal, or the feed has a gap.
    pub async fn feed_totals(&self) -> Result<(u64, u64, u64), StoreError> {
        let row = sqlx::query(
            "SELECT h.seq AS head, (SELECT COUNT(*) FROM feed) AS total, \
             (SELECT COALESCE(MAX(seq), 0) FROM feed) AS greatest FROM feed_head h",
        )
        .fetch_one(&mut *self.connection().await?)
        .await?;
        Ok((get_u64(&row, "head")?, get_u64(&row, "total")?, get_u64(&row, "greatest")?))
    }
}

impl WriteTx {
    /// Takes the lock that orders all writers, before something is read that the transaction then changes: otherwise PostgreSQL
    /// lets two read first and write both. Tells by which peppers rows are keyed: nobody changes that before this transaction ends.
    pub async fn take_turn(&mut self) -> Result<KeyVersions, StoreError> {
        if let Some(versions) = self.key_versions {
            return Ok(versions);
        }
        let row = sqlx::query(
            "UPDATE feed_head SET seq = seq WHERE id = 1 \
             RETURNING key_version, key_version_from, blind_version, blind_version_from, blind_behind",
        )
        .fetch_one(&mut *self.tx)
        .await?;
        let versions = get_key_versions(&row)?;
        self.leaves.versions = get_blind_versions(&row)?;
        self.key_versions = Some(versions);
        Ok(versions)
    }

    /// The sequence of the last change of any writer. Once this transaction has its turn, nobody adds one before it ends.
    pub async fn head(&mut self) -> Result<Sequence, StoreError> {
        get_sequence(&sqlx::query("SELECT seq FROM feed_head").fetch_one(&mut *self.tx).await?, "seq")
    }

    /// Records that the listing of a number changes.
    pub async fn record_listing(&mut self, key: &LookupKey) -> Result<RecordedChange, StoreError> {
        self.record_listings(std::slice::from_ref(key)).await
    }

    /// Records that the listings of numbers change, in this order.
    pub async fn record_listings(&mut self, keys: &[LookupKey]) -> Result<RecordedChange, StoreError> {
        let subjects: Vec<_> = keys.iter().map(|key| key.as_bytes().as_slice()).collect();
        let last = self.record_changes(ChangeKind::Listing, &subjects).await?;
        Ok(RecordedChange { last, count: keys.len() as u64 })
    }

    /// Records one change; returns its sequence.
    pub async fn record_change(&mut self, kind: ChangeKind, subject: &[u8]) -> Result<Sequence, StoreError> {
        self.record_changes(kind, &[subject]).await
    }

    /// Records changes in order; returns the sequence of the last. It takes the lock that orders all writers: from here
    /// to the commit the others wait.
    pub async fn record_changes(&mut self, kind: ChangeKind, subjects: &[&[u8]]) -> Result<Sequence, StoreError> {
        let count = as_i64(subjects.len() as u64);
        let row = sqlx::query(
            "UPDATE feed_head SET seq = seq + $1 WHERE id = 1 \
             RETURNING seq, key_version, key_version_from, blind_version, blind_version_from, blind_behind",
        )
        .bind(count)
        .fetch_one(&mut *self.tx)
        .await?;
        self.key_versions = Some(get_key_versions(&row)?);
        let last = get_sequence(&row, "seq")?;
        self.leaves.versions = get_blind_versions(&row)?;
        self.leaves.are_due(kind == ChangeKind::Listing, subjects, last);
        let mut sequence = as_i64(last) - count;
        let bind = |values: &mut Values, subject: &&[u8]| {
            sequence += 1;
            values.push(sequence).push(kind.as_str()).push(*subject);
        };
        CHANGES.execute(&mut self.tx, self.dialect, subjects, bind).await?;
        if kind == ChangeKind::Listing {
            self.listed = Some(last);
        }
        Ok(last)
    }
}
