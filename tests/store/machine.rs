//! Two registries on one store, driven by random operations against a plain list of what was committed (`oracle.rs`).
//! The clock stands still unless an operation moves it, and a follower moves only when told: so each answer has a known floor,
//! the head of the feed at the registry's last poll, and a lease that is known to the nanosecond.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use lostcard::clock::{Clock, beijing_date};
use lostcard::crypto::digest::{IdDigest, LookupKey};
use lostcard::crypto::{Keyring, random};
use lostcard::domain::card::CardValidity;
use lostcard::domain::ids::{NodeId, OrganizationId};
use lostcard::domain::instant::UnixMs;
use lostcard::domain::report::{ReportState, WithdrawalReason};
use lostcard::registry::disk::FilterFolder;
use lostcard::registry::follower::Follower;
use lostcard::registry::{Copies, Finding, Registry, RegistryOptions};
use lostcard::store::feed::{Change, Listener};
use lostcard::store::idempotency::{IdempotentRequest, Remembered, StoredAnswer};
use lostcard::store::nodes::NodeRow;
use lostcard::store::reports::Closing;
use lostcard::store::{Store, StoreError, WriteTx};
use lostcard::telemetry::Metrics;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use tempfile::TempDir;

use crate::backend::Database;
use crate::keys::keyring;
use crate::operations::{CARD_STARTS, NUMBERS, Operation, REGISTRIES, operations};
use crate::oracle::Oracle;
use crate::records::{NOW_MS, TODAY, office, replacement, report, stored_organization};

const CASES: usize = 40;
const LEASE: Duration = Duration::from_secs(1);
/// The registry that holds every listing.
const EXACT: usize = 0;

/// Takes its time over the first change that is no listing, where a poll is between answer and lease.
#[derive(Debug)]
struct Slow {
    clock: Clock,
    ms: AtomicU64,
}

impl Listener for Slow {
    fn on_change(&self, _: &Change) {
        self.clock.advance(Duration::from_millis(self.ms.swap(0, Ordering::SeqCst)));
    }

    fn on_reload(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        async { Ok(()) }.boxed()
    }
}

/// One registry with what must be true of it.
struct Running {
    registry: Arc<Registry>,
    follower: Follower,
    slow: Arc<Slow>,
    /// The head of the feed at its last poll: nothing before may be missing.
    floor: u64,
    lease_until_ns: u64,
    /// It will have to join again before it may renew its lease.
    is_marked: bool,
    /// The greatest sequence that it has told.
    told: u64,
}

struct Machine {
    clock: Clock,
    stores: [Store; REGISTRIES],
    running: [Option<Running>; REGISTRIES],
    /// Every node that has a row: it joined, and nobody took it for gone.
    members: Vec<NodeId>,
    digests: [IdDigest; NUMBERS],
    /// The lookup keys of the digests.
    keys: [LookupKey; NUMBERS],
    keyring: Arc<Keyring>,
    organization: OrganizationId,
    oracle: Oracle,
    /// What registries start from again.
    saved: TempDir,
    last_request: Option<(IdempotentRequest, StoredAnswer)>,
    now_ms: UnixMs,
}

type Checked = Result<(), TestCaseError>;

impl Machine {
    async fn start(stores: &[Store; REGISTRIES]) -> Self {
        let organization = stored_organization(&stores[0]).await;
        let (head, ..) = stores[0].feed_totals().await.unwrap();
        let digests = std::array::from_fn(|_| IdDigest::from_bytes(random::bytes()));
        let keyring = Arc::new(keyring());
        let pepper = keyring.pepper(1).unwrap();
        let mut machine = Self {
            clock: Clock::fixed_now(),
            stores: stores.clone(),
            running: [const { None }; REGISTRIES],
            members: Vec::new(),
            keys: digests.each_ref().map(|digest| pepper.lookup_key(digest)),
            digests,
            keyring,
            organization,
            oracle: Oracle::new(NUMBERS, head),
            saved: tempfile::tempdir().unwrap(),
            last_request: None,
            now_ms: NOW_MS,
        };
        for on in 0..REGISTRIES {
            machine.restart(on).await;
        }
        machine
    }

    /// The one place that says what a registry is asked with.
    fn question(&self, number: usize) -> IdDigest {
        self.digests[number].clone()
    }

    async fn head(&self) -> u64 {
        self.stores[0].feed_totals().await.unwrap().0
    }

    async fn restart(&mut self, on: usize) {
        // One holds every listing in memory, the other a filter.
        let exact_bytes = if on == EXACT { 1 << 20 } else { 0 };
        let bounds = RegistryOptions { lease: LEASE, listings_max: 2, rebuild_after: 3, ..RegistryOptions::default() };
        let options = RegistryOptions { exact_bytes, ..bounds };
        let metrics = Arc::new(Metrics::new().unwrap());
        let (clock, store) = (self.clock.clone(), self.stores[on].clone());
        let peppers = self.keyring.peppers(store.key_versions().await.unwrap()).unwrap();
        let keyring = Arc::clone(&self.keyring);
        let folder = FilterFolder::new(self.saved.path().join(on.to_string()), keyring.fingerprints().clone());
        let registry =
            Registry::new(options, clock.clone(), store, keyring, peppers, Copies { shared: None, folder }, metrics);
        let registry = Arc::new(registry);
        let slow = Arc::new(Slow { clock, ms: AtomicU64::new(0) });
        let mut follower = Follower::new(Arc::clone(&registry), Arc::clone(&slow) as Arc<dyn Listener>);
        // Before it loads: the mark of a filter that is being saved may come at any time.
        let floor = self.head().await;
        follower.load().await.unwrap();
        self.members.push(registry.node());
        let lease_until_ns = self.clock.boot_ns() + 1_000_000_000;
        self.running[on] = Some(Running { registry, follower, slow, floor, lease_until_ns, is_marked: false, told: 0 });
    }

    async fn poll(&mut self, on: usize, slowly_ms: u64) -> Checked {
        let asked_ns = self.clock.boot_ns();
        if let Some(running) = &mut self.running[on] {
            running.slow.ms.store(slowly_ms, Ordering::SeqCst);
            let (floor, ..) = self.stores[on].feed_totals().await.unwrap();
            running.follower.turn().await.unwrap();
            running.slow.ms.store(0, Ordering::SeqCst);
            running.floor = floor;
            // One that has to join asks again.
            let asked_ns = if std::mem::take(&mut running.is_marked) { self.clock.boot_ns() } else { asked_ns };
            running.lease_until_ns = asked_ns + 1_000_000_000;
            let beats = self.stores[on].list_nodes().await.unwrap();
            let is_member = |row: &NodeRow| row.node == running.registry.node() && row.beat >= 0;
            prop_assert!(beats.iter().any(is_member), "a node that polled is no member");
            let is_leased = self.clock.boot_ns() < running.lease_until_ns;
            let knows = |digest| running.registry.lookup_in_memory(digest).is_some();
            let knows_all = self.digests.iter().all(knows);
            prop_assert!(knows_all || !is_leased || on != EXACT, "it would have to ask the store for a hit");
        }
        Ok(())
    }

    /// A transaction that changes a number's listing, told by the registry `by`.
    async fn commit(&self, by: usize, mut tx: WriteTx) -> Checked {
        if let Some(running) = &self.running[by] {
            let own = running.registry.node();
            let others = self.members.iter().any(|member| *member != own);
            prop_assert_eq!(tx.audience(own).await.unwrap().has_other_nodes, others, "other nodes");
        }
        tx.commit().await.unwrap();
        Ok(())
    }

    async fn file(&mut self, by: usize, number: usize, card: usize) -> Checked {
        let (key, valid_from) = (self.keys[number], CARD_STARTS[card]);
        let mut new = report(Some(self.organization), key, self.now_ms);
        new.validity = CardValidity::new(valid_from, None, TODAY).unwrap();
        let request = IdempotentRequest { key: random::bytes(), request: random::bytes() };
        let mut tx = self.stores[by].begin().await.unwrap();
        prop_assert_eq!(tx.recall(&request).await.unwrap(), Remembered::Nothing);
        let change = tx.record_listing(&key).await.unwrap();
        tx.insert_reports(std::slice::from_ref(&new), &change).await.unwrap();
        let answer =
            StoredAnswer { status: 201, location: new.report_id.to_string(), body: change.sequence().to_string() };
        tx.remember(&request, &answer, self.now_ms).await.unwrap();
        self.commit(by, tx).await?;
        self.oracle.file(new.report_id, number, valid_from, beijing_date(self.now_ms), change.sequence().get());
        self.last_request = Some((request, answer));
        Ok(())
    }

    async fn repeat(&mut self) -> Checked {
        let Some((request, answer)) = &self.last_request else { return Ok(()) };
        let mut tx = self.stores[0].begin().await.unwrap();
        prop_assert_eq!(tx.recall(request).await.unwrap(), Remembered::Answer(answer.clone()));
        let other = IdempotentRequest { request: random::bytes(), ..*request };
        prop_assert_eq!(tx.recall(&other).await.unwrap(), Remembered::OtherRequest);
        Ok(())
    }

    async fn give_up(&mut self, number: usize) {
        let key = self.keys[number];
        let mut tx = self.stores[1].begin().await.unwrap();
        let change = tx.record_listing(&key).await.unwrap();
        tx.insert_reports(&[report(None, key, self.now_ms)], &change).await.unwrap();
    }

    async fn withdraw(&mut self, by: usize, report: usize) -> Checked {
        let Some(filed) = self.oracle.filed.get(report) else { return Ok(()) };
        let mut tx = self.stores[by].begin().await.unwrap();
        let stored = tx.find_report(self.organization, filed.report_id).await.unwrap().unwrap();
        prop_assert_eq!(stored.report.state, filed.state);
        let withdrawn = stored.report.withdraw();
        prop_assert_eq!(withdrawn.is_ok(), filed.state == ReportState::Active);
        let Ok(withdrawn) = withdrawn else { return Ok(()) };
        let change = tx.record_listing(&stored.lookup_key).await.unwrap();
        let office = office();
        let closing = Closing { at_ms: self.now_ms, office: &office, withdrawal: Some(WithdrawalReason::Found) };
        tx.close_report(&withdrawn, &closing, &change).await.unwrap();
        self.commit(by, tx).await?;
        self.oracle.withdraw(report, change.sequence().get());
        Ok(())
    }

    async fn replace(&mut self, by: usize, number: usize) -> Checked {
        let mut new = replacement(self.organization, self.keys[number]);
        new.recorded_at_ms = self.now_ms;
        let (office, mut tx) = (office(), self.stores[by].begin().await.unwrap());
        let change = tx.record_listing(&self.keys[number]).await.unwrap();
        let closing = Closing { at_ms: self.now_ms, office: &office, withdrawal: None };
        for stored in tx.active_reports(&[self.keys[number]]).await.unwrap() {
            if let Ok(replaced) = stored.report.replace(new.card_valid_from) {
                tx.close_report(&replaced, &closing, &change).await.unwrap();
            }
        }
        tx.insert_replacement(&new, &change).await.unwrap();
        self.commit(by, tx).await?;
        self.oracle.replace(number, new.card_valid_from, beijing_date(self.now_ms), change.sequence().get());
        Ok(())
    }

    async fn leave(&mut self, on: usize) {
        if let Some(gone) = self.running[on].take() {
            let node = gone.registry.node();
            self.stores[on].leave(node).await.unwrap();
            self.members.retain(|member| *member != node);
        } else {
            self.restart(on).await;
        }
    }

    async fn mark(&mut self, on: usize) {
        let Some(running) = &mut self.running[on] else { return };
        running.is_marked = true;
        let node = running.registry.node();
        for NodeRow { node: other, beat, .. } in self.stores[on].list_nodes().await.unwrap() {
            if other == node && beat >= 0 {
                self.stores[1 - on].mark_node(node, beat).await.unwrap();
            }
        }
    }

    async fn look_up(&mut self, on: usize, numbers: &[usize]) -> Checked {
        let Some(running) = &self.running[on] else { return Ok(()) };
        let questions: Vec<_> = numbers.iter().map(|number| self.question(*number)).collect();
        let questions: Vec<_> = questions.iter().collect();
        let findings = match questions.as_slice() {
            [digest] => vec![running.registry.lookup(digest).await.unwrap()],
            digests => {
                let found = running.registry.lookup_all(digests, |error| error.to_string()).await;
                found.into_iter().map(Result::unwrap).collect()
            }
        };
        prop_assert_eq!(findings.len(), numbers.len());
        let is_leased = self.clock.boot_ns() < running.lease_until_ns;
        for (number, finding) in numbers.iter().zip(findings) {
            self.check(running, *number, &finding)?;
            let is_now = finding.listing == self.oracle.now(*number);
            prop_assert!(is_leased || is_now, "without a lease the store itself must have been asked");
        }
        Ok(())
    }

    /// The answer was true at some moment since the registry's last poll.
    fn check(&self, running: &Running, number: usize, finding: &Finding) -> Checked {
        let was_true = self.oracle.was_since(number, running.floor, finding.listing);
        prop_assert!(was_true, "number {}: {:?}, floor {}", number, finding, running.floor);
        prop_assert!(finding.sequence.get() >= running.floor, "{} is behind {}", finding.sequence, running.floor);
        Ok(())
    }

    /// What must hold after each operation.
    async fn check_all(&mut self) -> Checked {
        let (head, total, greatest) = self.stores[0].feed_totals().await.unwrap();
        prop_assert_eq!((total, greatest), (head, head), "the feed has a gap");
        let now_ns = self.clock.boot_ns();
        for on in 0..REGISTRIES {
            let Some(running) = &self.running[on] else { continue };
            let (is_leased, mut told) = (now_ns < running.lease_until_ns, running.told);
            prop_assert_eq!(running.registry.is_current(), is_leased, "the lease of registry {}", on);
            for number in 0..NUMBERS {
                let Some(finding) = running.registry.lookup_in_memory(&self.question(number)) else { continue };
                prop_assert!(is_leased, "an answer from memory without a lease");
                self.check(running, number, &finding)?;
                let sequence = finding.sequence.get();
                prop_assert!(sequence >= told && sequence <= head, "the sequence fell");
                told = sequence;
            }
            if let Some(running) = &mut self.running[on] {
                running.told = told;
            }
        }
        Ok(())
    }

    async fn step(&mut self, operation: &Operation) -> Checked {
        match *operation {
            Operation::File { by, number, card } => self.file(by, number, card).await?,
            Operation::Repeat => self.repeat().await?,
            Operation::GiveUp { number } => self.give_up(number).await,
            Operation::Withdraw { by, report } => self.withdraw(by, report).await?,
            Operation::Replace { by, number } => self.replace(by, number).await?,
            Operation::LookUp { on, number } => self.look_up(on, &[number]).await?,
            Operation::LookUpAll { on, ref numbers } => self.look_up(on, numbers).await?,
            Operation::Poll { on } => self.poll(on, 0).await?,
            Operation::PollSlowly { on, ms } => {
                // Something for the listener to take its time over.
                stored_organization(&self.stores[on]).await;
                self.poll(on, ms).await?;
            }
            Operation::Wait { ms } => self.clock.advance(Duration::from_millis(ms)),
            Operation::Restart { on } => self.restart(on).await,
            Operation::Leave { on } => self.leave(on).await,
            Operation::Mark { on } => self.mark(on).await,
        }
        // Another day, so that listings of the same number differ.
        self.now_ms = self.now_ms.plus(Duration::from_hours(24));
        self.check_all().await
    }
}

async fn run(stores: &[Store; REGISTRIES], operations: &[Operation]) -> Checked {
    let mut machine = Machine::start(stores).await;
    let mut outcome = Ok(());
    for operation in operations {
        outcome = machine.step(operation).await;
        if outcome.is_err() {
            break;
        }
    }
    for member in machine.members {
        stores[0].leave(member).await.unwrap();
    }
    outcome
}

/// `LOSTCARD_TEST_SEED`, as a failure prints it, or a seed of its own.
fn seed() -> [u8; 32] {
    let given = std::env::var("LOSTCARD_TEST_SEED").ok();
    given.map_or_else(random::bytes, |text| {
        std::array::from_fn(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
    })
}

pub(crate) async fn two_registries_say_what_the_store_holds(database: &Database) {
    let stores = [database.open().await, database.open().await];
    let seed = seed();
    let config = Config { failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    for _ in 0..CASES {
        let mut case = operations().new_tree(&mut runner).unwrap();
        let Err(mut failure) = run(&stores, &case.current()).await else { continue };
        let mut smallest = case.current();
        while case.simplify() {
            match run(&stores, &case.current()).await {
                Err(again) => (failure, smallest) = (again, case.current()),
                Ok(()) if !case.complicate() => break,
                Ok(()) => {}
            }
        }
        let seed = seed.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        panic!("{failure}\nLOSTCARD_TEST_SEED={seed}\n{smallest:#?}");
    }
}
