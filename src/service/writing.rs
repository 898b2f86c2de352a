//! How every write of the API goes, whatever it writes: a repetition gets the first answer; else the transaction takes its turn
//! (until then a rotation may change the pepper), does its work, leaves its entry in the audit log, is committed, and, where it
//! changed a listing, published before anybody gets an answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::ServiceError;
use super::audit::subjects::{persons, record};
use super::receipts::HeadSigner;
use super::usage::Usage;
use crate::clock::Clock;
use crate::crypto::digest::{IdDigest, LookupKey};
use crate::crypto::pepper::{KeyVersions, Pepper, Peppers};
use crate::crypto::seal::SealError;
use crate::crypto::{Keyring, random};
use crate::domain::audit::{Action, Deed, SubjectTag};
use crate::domain::authority::LifeState;
use crate::domain::client::Actor;
use crate::domain::ids::{ClientId, Id, RecordId};
use crate::domain::instant::UnixMs;
use crate::domain::sequence::Sequence;
use crate::limits::Asker;
use crate::limits::fair_gate::{FairGate, Turn};
use crate::limits::fair_queue::Bounds;
use crate::registry::peppers::PEPPER_TRIES_MAX;
use crate::registry::{Registry, RegistryError};
use crate::store::administration::ListedClient;
use crate::store::aggregate::Aggregate;
use crate::store::clients::{Client, Organization};
use crate::store::idempotency::{IdempotentRequest, Remembered, StoredAnswer};
use crate::store::nodes::Audience;
use crate::store::reports::SealedNumber;
use crate::store::{Store, StoreError, WriteTx};
use crate::telemetry::Metrics;

/// How long a write waits for its turn among those of other clients before its caller learns that the store is busy.
const TURN_WAIT: Duration = Duration::from_secs(2);
/// Writes beside those of groups that are at the store or wait for its turn. Further ones wait here, in turns by client.
const AT_THE_STORE: usize = 4;
/// As many as requests may have places.
const WAITING_MAX: usize = 100_000;

/// Whose turn a write takes; none: that of all whose asker is not told here.
type Writes = Option<Asker>;

/// The turns of writes that share no transaction: reports, replacements and withdrawals do, and never stand behind a crowd of others.
#[derive(Debug)]
pub struct Turns(Arc<FairGate<Writes>>);

impl Default for Turns {
    fn default() -> Self {
        Self(FairGate::new(Bounds { places: AT_THE_STORE, waiting_max: WAITING_MAX }))
    }
}

impl Turns {
    async fn take(&self, writes: Writes, store: &Store) -> Result<Turn<Writes>, ServiceError> {
        match timeout(TURN_WAIT, self.0.enter(writes)).await {
            Ok(Some(turn)) => Ok(turn),
            _ => Err(store.why_no_turn().await.into()),
        }
    }
}

/// What services write with. One for all of a node.
#[derive(Debug)]
pub struct Writer {
    pub turns: Turns,
    pub clock: Clock,
    pub keyring: Arc<Keyring>,
    pub store: Store,
    pub registry: Arc<Registry>,
    pub metrics: Arc<Metrics>,
    pub usage: Arc<Usage>,
    /// Signs receipts of writes.
    pub heads: Arc<HeadSigner>,
}

/// A write that was begun, or the answer that its first occurrence got.
#[derive(Debug)]
pub enum Begun {
    Fresh(Box<Writing>),
    Repeated(StoredAnswer),
}

/// A transaction that has its turn. What is looked up or stored by number is keyed by `peppers`.
#[derive(Debug)]
pub struct Writing {
    pub tx: WriteTx,
    pub peppers: Arc<Peppers>,
    pub keyring: Arc<Keyring>,
    pub now_ms: UnixMs,
    repeatable: Option<IdempotentRequest>,
    /// Until it has ended.
    turn: Option<Turn<Writes>>,
}

impl Writing {
    /// An id for a new record.
    pub fn new_id<T: Id>(&self) -> T {
        random::id(self.now_ms)
    }

    /// A write outside a node: of a command, or before a node serves.
    pub async fn of_command(mut tx: WriteTx, keyring: &Arc<Keyring>, now_ms: UnixMs) -> Result<Self, ServiceError> {
        let versions = tx.take_turn().await?;
        // One that came into use since the command began is in the folder.
        let reloaded = || keyring.reload_peppers().and_then(|()| keyring.peppers(versions));
        let peppers = keyring.peppers(versions).or_else(|_| reloaded()).map_err(RegistryError::from)?;
        Ok(Self { tx, peppers: Arc::new(peppers), keyring: Arc::clone(keyring), now_ms, repeatable: None, turn: None })
    }

    /// Leaves an entry in the audit log beside the one of its end.
    pub async fn note(&mut self, deed: &Deed) -> Result<(), StoreError> {
        record(&mut self.tx, &self.keyring, deed, self.now_ms).await
    }

    /// What a write leaves at its end: its entry in the audit log, and the answer that a repetition will get.
    pub(super) async fn leave(
        &mut self,
        deed: &Deed,
        remembered: Option<(&IdempotentRequest, &StoredAnswer)>,
    ) -> Result<(), StoreError> {
        self.note(deed).await?;
        match remembered {
            Some((request, answer)) => self.tx.remember(request, answer, self.now_ms).await,
            None => Ok(()),
        }
    }

    /// A client and its organization as they are now; none where it is not let in any more.
    pub async fn let_in(&mut self, id: ClientId) -> Result<Option<(Client, Organization)>, StoreError> {
        let Some(ListedClient { client, .. }) = self.tx.read_client(id).await? else { return Ok(None) };
        let organization = self.tx.read_organization(client.organization_id).await?;
        let is_in = |organization: &Organization| organization.state() == LifeState::Active;
        let is_active = client.state() == LifeState::Active;
        Ok(organization
            .filter(|organization| is_active && is_in(organization))
            .map(|organization| (client, organization)))
    }

    /// The keys under which there may be rows of a number.
    pub fn lookup_keys(&self, digest: &IdDigest) -> Vec<LookupKey> {
        self.peppers.lookup_keys(digest).collect()
    }

    /// The same of a number that a record holds. While peppers rotate these are two, and only the sealed digest tells the other.
    pub fn stored_keys(
        &self,
        record: impl Into<RecordId>,
        number: &SealedNumber,
    ) -> Result<Vec<LookupKey>, ServiceError> {
        if self.peppers.previous.is_none() {
            return Ok(vec![number.lookup_key]);
        }
        Ok(self.lookup_keys(&open_digest(&self.keyring, record, &number.sealed_digest)?))
    }
}

impl Writer {
    /// The turn of a short write, until it is dropped.
    pub async fn turn(&self, of: Option<Asker>) -> Result<Turn<Option<Asker>>, ServiceError> {
        self.turns.take(of, &self.store).await
    }

    /// Begins a write that may be a repetition.
    pub async fn begin(&self, repeatable: Option<IdempotentRequest>) -> Result<Begun, ServiceError> {
        if let Some(answer) = self.recall(repeatable.as_ref()).await? {
            return Ok(Begun::Repeated(answer));
        }
        let turn = self.turn(None).await?;
        let mut tx = self.store.begin().await?;
        if let Some(request) = repeatable.as_ref()
            && let Some(answer) = remembered(tx.recall(request).await?)?
        {
            return Ok(Begun::Repeated(self.repeat(tx, answer, turn).await?));
        }
        Ok(Begun::Fresh(Box::new(self.take_turn(tx, repeatable, Some(turn)).await?)))
    }

    /// The answer to a repetition that Redis knows. It is that of a published change: the store need not be asked.
    pub(super) async fn recall(
        &self,
        repeatable: Option<&IdempotentRequest>,
    ) -> Result<Option<StoredAnswer>, ServiceError> {
        let Some((request, shared)) = repeatable.zip(self.registry.shared()) else { return Ok(None) };
        remembered(shared.recall(&self.registry.epoch(), request).await)
    }

    /// Begins a write that cannot be a repetition: a transition, which happens once by itself.
    pub async fn begin_once(&self) -> Result<Writing, ServiceError> {
        let turn = self.turn(None).await?;
        let tx = self.store.begin().await?;
        self.take_turn(tx, None, Some(turn)).await
    }

    /// Begins what a group writes: there is one at a time, and it waits for the store alone.
    pub(super) async fn begin_group(&self) -> Result<Writing, ServiceError> {
        let tx = self.store.begin().await?;
        self.take_turn(tx, None, None).await
    }

    async fn take_turn(
        &self,
        mut tx: WriteTx,
        repeatable: Option<IdempotentRequest>,
        turn: Option<Turn<Writes>>,
    ) -> Result<Writing, ServiceError> {
        let peppers = self.registry.peppers_for(tx.take_turn().await?).await?;
        let keyring = Arc::clone(&self.keyring);
        Ok(Writing { tx, peppers, keyring, now_ms: self.clock.now_ms(), repeatable, turn })
    }

    /// Ends a write: its entry in the audit log, the answer that a repetition will get, the commit. If it changed a listing, this
    /// returns when no check that starts anywhere misses that.
    pub async fn finish(
        &self,
        mut writing: Writing,
        deed: &Deed,
        answer: Option<&StoredAnswer>,
    ) -> Result<(), ServiceError> {
        let repeatable = writing.repeatable.take();
        let remembered = repeatable.as_ref().zip(answer);
        writing.leave(deed, remembered).await?;
        let tx = writing.tx;
        let Some(sequence) = tx.listed() else { return Ok(tx.commit().await?) };
        let epoch = self.commit(tx, sequence, writing.turn).await?;
        if let Some((request, answer)) = remembered {
            self.share_answer(&epoch, request, answer);
        }
        Ok(())
    }

    /// Commits what a group has written. Who must know of it, where a listing has changed or somebody must not be answered before what
    /// was committed earlier is published: `publish` is then still to be done.
    pub(super) async fn commit_group(
        &self,
        writing: Writing,
        is_repeated: bool,
    ) -> Result<Option<Audience>, ServiceError> {
        let mut tx = writing.tx;
        if tx.listed().is_none() && !is_repeated {
            tx.commit().await?;
            return Ok(None);
        }
        let audience = tx.audience(self.registry.node()).await?;
        tx.commit().await?;
        Ok(Some(audience))
    }

    /// Returns when no check that starts anywhere misses what was committed.
    pub(super) async fn publish(&self, audience: &Audience) -> Result<(), ServiceError> {
        Ok(self.registry.published(audience.head, audience).await?)
    }

    /// Redis may repeat the answer of a published change.
    pub(super) fn share_answer(&self, epoch: &str, request: &IdempotentRequest, answer: &StoredAnswer) {
        if let Some(shared) = self.registry.shared() {
            shared.remember(epoch, request, answer);
        }
    }

    /// Leaves an entry in the audit log for a read, before its answer goes out.
    pub async fn note(&self, deed: &Deed) -> Result<(), ServiceError> {
        let _turn = self.turn(deed.actor.map(|actor| Asker::Client(actor.client))).await?;
        let mut tx = self.store.begin().await?;
        record(&mut tx, &self.keyring, deed, self.clock.now_ms()).await?;
        Ok(tx.commit().await?)
    }

    /// A refusal on its way out. One that tells that a number is listed, no matter by whom, is a look at its records: it leaves an entry
    /// before, as a search does.
    pub async fn noted(&self, actor: Actor, tag: SubjectTag, refusal: ServiceError) -> ServiceError {
        if !matches!(refusal, ServiceError::NotAfterListed) {
            return refusal;
        }
        let noted = self.note(&Deed::of_many(actor, Action::ReportsSearched).about([tag])).await;
        noted.map_or_else(|error| error, |()| refusal)
    }

    /// Leaves an entry for a list of records.
    pub async fn note_many(
        &self,
        deed: Deed,
        of: &'static Aggregate,
        records: &[RecordId],
    ) -> Result<(), ServiceError> {
        let turn = self.turn(deed.actor.map(|actor| Asker::Client(actor.client))).await?;
        let (store, keyring, clock) = (self.store.clone(), Arc::clone(&self.keyring), self.clock.clone());
        let records = records.to_vec();
        // Where the store lives: whom a thousand rows concern would keep an event loop.
        let noting = self.store.runtime().spawn(async move {
            let _turn = turn;
            let mut tx = store.begin().await?;
            let persons = persons(&mut tx, &keyring, of, &records).await?;
            tx.record_deed(&deed.about(persons), clock.now_ms()).await?;
            tx.commit().await
        });
        Ok(noting.await.map_err(|_| StoreError::Stopped)??)
    }

    /// The tag by which the audit log knows a person.
    pub fn tag(&self, digest: &IdDigest) -> SubjectTag {
        self.keyring.audit().tag(digest)
    }

    /// Reads by the keys of a number, again where a rotation overtook the read. `read` returns what the rows were keyed by.
    pub async fn read_by_number<T>(
        &self,
        digest: &IdDigest,
        read: impl AsyncFn(Vec<LookupKey>) -> Result<(KeyVersions, T), StoreError>,
    ) -> Result<T, ServiceError> {
        let mut versions = self.registry.key_versions();
        for _ in 0..PEPPER_TRIES_MAX {
            let keys = self.registry.peppers_for(versions).await?.lookup_keys(digest).collect();
            let (stored, found) = read(keys).await?;
            if versions.cover(stored) {
                return Ok(found);
            }
            versions = stored;
        }
        Err(RegistryError::TooSlow.into())
    }

    /// The fingerprints by which a repetition of a request is known: keyed, for both key and body may hold a number.
    pub fn repeatable(&self, actor: Actor, operation: &str, key: &[u8], body: &[u8]) -> IdempotentRequest {
        let fingerprints = self.keyring.fingerprints();
        // Persons share the client of their provider, and not their keys.
        let person = actor.person_id.as_ref().map_or(&[] as &[u8], |person| person.as_bytes());
        IdempotentRequest {
            key: fingerprints
                .of("idempotency-key", &[actor.client.as_bytes(), person, operation.as_bytes(), &[0], key]),
            request: fingerprints.of("idempotent-request", &[body]),
        }
    }

    /// The store remembers an answer from the commit on, perhaps before the change is published: its node may have died in
    /// between, or still be waiting. So a repetition waits as the first request does.
    async fn repeat(
        &self,
        mut tx: WriteTx,
        answer: StoredAnswer,
        turn: Turn<Writes>,
    ) -> Result<StoredAnswer, ServiceError> {
        let sequence = tx.head().await?;
        self.commit(tx, sequence, Some(turn)).await?;
        Ok(answer)
    }

    /// Returns the epoch that the change belongs to. Its turn is over with the commit: the next one need not wait for nodes.
    async fn commit(
        &self,
        mut tx: WriteTx,
        sequence: Sequence,
        turn: Option<Turn<Writes>>,
    ) -> Result<String, ServiceError> {
        let audience = tx.audience(self.registry.node()).await?;
        tx.commit().await?;
        drop(turn);
        self.registry.published(sequence, &audience).await?;
        Ok(audience.epoch)
    }
}

fn remembered(remembered: Remembered) -> Result<Option<StoredAnswer>, ServiceError> {
    match remembered {
        Remembered::Nothing => Ok(None),
        Remembered::Answer(answer) => Ok(Some(answer)),
        Remembered::OtherRequest => Err(ServiceError::IdempotencyKeyReused),
    }
}

/// Ends a write that no node waits for: nodes follow the feed, and have it before their lease ends. A command whose user is to rely
/// on it waits that long; what retention and rotation change may be seen a moment later.
pub async fn leave_to_followers(tx: WriteTx) -> Result<(), StoreError> {
    tx.commit().await
}

/// The digest that a record holds sealed.
pub fn open_digest(keyring: &Keyring, record: impl Into<RecordId>, sealed: &[u8]) -> Result<IdDigest, SealError> {
    keyring.open_digest(record.into(), sealed)
}

/// How a number is stored with a record: keyed for looking up, sealed for the rotation of that key.
pub fn seal_number(
    keyring: &Keyring,
    pepper: &Pepper,
    digest: &IdDigest,
    record: impl Into<RecordId>,
) -> Result<SealedNumber, ServiceError> {
    Ok(SealedNumber {
        lookup_key: pepper.lookup_key(digest),
        key_version: pepper.version(),
        sealed_digest: keyring.sealer().seal(record.into().as_bytes(), digest.expose())?,
    })
}
