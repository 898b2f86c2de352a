//! The heads of a running node: every so often it checks whether the log continues from where it last saw it end, signs how it ends now,
//! and sends that to where somebody else keeps it. What it has seen and signed is in its data folder, not in the database.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval};

use super::AuditError;
use super::sinks::Sink;
use super::watch::{Look, Seen, SeenText, look};
use crate::clock::Clock;
use crate::crypto::audit::{End, Head, Place, hash_of};
use crate::crypto::signing::base64url;
use crate::crypto::{Keyring, random};
use crate::domain::ids::SeriesId;
use crate::domain::instant::UnixMs;
use crate::own_files;
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::wiping::spawn_wiped;

/// Heads that wait for a sink that fails: a day of them. After that the oldest are missing there, and that shows.
const WAITING_MAX: usize = 1440;

/// The registry log commits to a head at most so often: each is a row of the feed.
const LOGGED_EVERY: Duration = Duration::from_mins(1);

/// How heads are made.
#[derive(Debug)]
pub struct HeadOptions {
    pub every: Duration,
    /// In whose name.
    pub issuer: String,
    /// Where what was seen and signed is kept.
    pub folder: PathBuf,
    pub sinks: Vec<Sink>,
}

/// Looks, signs and sends.
#[derive(Debug)]
pub struct Heads {
    pub options: HeadOptions,
    pub clock: Clock,
    pub keyring: Arc<Keyring>,
    pub store: Store,
    pub metrics: Arc<Metrics>,
}

/// What a node has seen and signed, while no other process of its folder continues it.
#[derive(Debug, Default)]
pub struct Held(Option<(File, State)>);

/// What is kept.
#[derive(Debug)]
struct State {
    seen: Seen,
    series: SeriesId,
    /// Of the last head, and its digest.
    number: u64,
    previous: [u8; 32],
    /// How many were ever signed, in all series.
    total: u64,
    /// What the registry log commits to: where the audit log ended in that head, and when that was recorded.
    logged: Seen,
    /// Heads that some sink lacks, by which of all they are, oldest first.
    waiting: Vec<(u64, String)>,
    /// Up to which of all each sink has them.
    sent: Vec<(String, u64)>,
}

/// As the file has it.
#[derive(Serialize, Deserialize)]
struct StateText {
    seen: SeenText,
    series: SeriesId,
    n: u64,
    prev: String,
    total: u64,
    /// Not in files of before.
    #[serde(default)]
    logged: Option<SeenText>,
    waiting: Vec<(u64, String)>,
    sent: Vec<(String, u64)>,
}

impl Heads {
    /// Works until it is dropped.
    pub async fn run(self) {
        let mut ticks = interval(self.options.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut held = Held::default();
        let mut complaint = String::new();
        loop {
            ticks.tick().await;
            let done = self.turn(&mut held).await;
            let is_wrong = matches!(&done, Err(error) if !error.is_passing());
            match &done {
                Ok(()) => complaint.clear(),
                Err(error) => {
                    let told = error.to_string();
                    if is_wrong && told != complaint {
                        tracing::error!(error = %told, "the audit log is not what this node saw: no head is signed");
                        complaint = told;
                    } else {
                        tracing::debug!(error = %told, "the audit log was not looked at; tried again later");
                    }
                }
            }
            if done.is_ok() || is_wrong {
                self.metrics.audit_log_wrong.set(i64::from(is_wrong));
            }
        }
    }

    /// One look, and where heads go anywhere, one head. Another process may serve from the same folder for a while: one of them does it.
    pub async fn turn(&self, held: &mut Held) -> Result<(), AuditError> {
        if held.0.is_none() {
            held.0 = self.claim()?;
        }
        let Some((_, state)) = &mut held.0 else { return Ok(()) };
        let before_ms = self.clock.now_ms();
        let end = match look(&self.store, self.keyring.audit(), &state.seen).await? {
            Look::Continued(end) => end,
            Look::Linked(end) => {
                tracing::warn!("the audit log was linked: a new series of heads begins");
                state.begin_series();
                end
            }
        };
        state.seen = Seen { end, at_ms: before_ms };
        if !self.options.sinks.is_empty() {
            self.sign(state, end);
            // Kept before it is sent: no number is signed twice.
            self.keep(state).await?;
            let logged = self.log(state, before_ms).await;
            // A store that takes no row keeps no head from where somebody else keeps it.
            self.send(state).await;
            logged?;
        }
        self.keep(state).await
    }

    fn sign(&self, state: &mut State, end: End) {
        let (series, number, previous) = (state.series, state.number + 1, state.previous);
        let place = Some(Place { series, number, previous });
        let head = Head { issuer: self.options.issuer.clone(), issued_at_s: self.clock.now_s(), end, place };
        let jws = head.sign(&self.keyring.signing().receipt);
        (state.number, state.previous) = (number, Head::digest(&jws));
        state.total += 1;
        state.waiting.push((state.total, jws));
    }

    /// The registry log commits to the head that was signed last, if that says more than the one before. What one head says is in
    /// those after it, so that of several the last one is enough.
    async fn log(&self, state: &mut State, now_ms: UnixMs) -> Result<(), AuditError> {
        let Seen { end, at_ms } = state.logged;
        if end == state.seen.end || now_ms.since(at_ms) < LOGGED_EVERY {
            return Ok(());
        }
        let mut tx = self.store.begin().await?;
        if tx.record_audit_head(state.previous).await? {
            tx.commit_unlisted().await?;
            state.logged = Seen { end: state.seen.end, at_ms: now_ms };
        }
        Ok(())
    }

    async fn send(&self, state: &mut State) {
        for sink in &self.options.sinks {
            let sent = state.sent_to(sink.name());
            let missing: Vec<_> = state.waiting.iter().filter(|(at, _)| *at > sent).collect();
            let texts: Vec<_> = missing.iter().map(|(_, jws)| jws.as_str()).collect();
            let (count, done) = sink.send(&texts, &self.clock).await;
            let last = count.checked_sub(1).and_then(|last| missing.get(last)).map(|(at, _)| *at);
            let of_sink = |outcome| self.metrics.audit_heads.with_label_values(&[sink.name(), outcome]);
            of_sink("sent").inc_by(count as u64);
            if let Err(error) = done {
                of_sink("failed").inc();
                tracing::warn!(sink = sink.name(), error = %error, "a head of the audit log was not sent; tried again later");
            }
            if let Some(last) = last {
                state.note_sent(sink.name(), last);
            }
        }
        let everywhere = self.options.sinks.iter().map(|sink| state.sent_to(sink.name())).min().unwrap_or(state.total);
        state.waiting.retain(|(at, _)| *at > everywhere);
        let too_many = state.waiting.len().saturating_sub(WAITING_MAX);
        state.waiting.drain(..too_many);
        self.metrics.audit_heads_waiting.set(i64::try_from(state.waiting.len()).unwrap_or(i64::MAX));
    }

    /// The folder's state, if no other process has it.
    fn claim(&self) -> Result<Option<(File, State)>, AuditError> {
        let folder = &self.options.folder;
        own_files::create_folder(folder)?;
        let lock = own_files::create_or_keep(&folder.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
            Err(std::fs::TryLockError::Error(error)) => return Err(error.into()),
        }
        let path = self.path();
        let state = if path.exists() {
            let text = own_files::read_text(&path)?;
            serde_json::from_str::<StateText>(&text).ok().and_then(State::read).ok_or(AuditError::State)?
        } else {
            State::new()
        };
        Ok(Some((lock, state)))
    }

    async fn keep(&self, state: &State) -> Result<(), AuditError> {
        let text = StateText {
            seen: state.seen.into(),
            series: state.series,
            n: state.number,
            prev: base64url(&state.previous),
            total: state.total,
            logged: Some(state.logged.into()),
            waiting: state.waiting.clone(),
            sent: state.sent.clone(),
        };
        let (path, bytes) = (self.path(), serde_json::to_vec(&text).map_err(io::Error::other)?);
        spawn_wiped(move || own_files::replace(&path, &bytes)).await.map_err(io::Error::other)??;
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.options.folder.join("heads.json")
    }
}

impl State {
    fn new() -> Self {
        let series = SeriesId::from_bytes(random::bytes());
        let (waiting, sent) = (Vec::new(), Vec::new());
        let (seen, logged) = (Seen::NOTHING, Seen::NOTHING);
        Self { seen, series, number: 0, previous: [0; 32], total: 0, logged, waiting, sent }
    }

    /// What waits of the old one still goes out: it was signed.
    fn begin_series(&mut self) {
        let Self { series, number, previous, .. } = Self::new();
        (self.series, self.number, self.previous) = (series, number, previous);
    }

    fn sent_to(&self, sink: &str) -> u64 {
        self.sent.iter().find(|(name, _)| name == sink).map_or(0, |(_, at)| *at)
    }

    fn note_sent(&mut self, sink: &str, at: u64) {
        self.sent.retain(|(name, _)| name != sink);
        self.sent.push((sink.to_owned(), at));
    }

    fn read(text: StateText) -> Option<Self> {
        let StateText { seen, series, n: number, prev, total, logged, waiting, sent } = text;
        let logged = logged.map_or(Some(Seen::NOTHING), |logged| logged.read())?;
        Some(Self { seen: seen.read()?, series, number, previous: hash_of(&prev)?, total, logged, waiting, sent })
    }
}
