//! Checks: from a number's digest to a verdict with its receipt. The hot path: see the walk in `lib.rs`.
//! A check that finds nothing leaves nothing behind, unless it asks to be watched; one that finds a listing leaves a sighting.
//! What goes into a receipt is a commitment, not the number.

use std::rc::Rc;
use std::sync::Arc;

use jiff::civil::Date;

use super::alerts::{Alerts, Watcher, Watching};
use super::pace::{Begun, Pace};
use super::receipts::{HEAD_RECEIPTS_MAX, HeadSigner, ReceiptSigner};
use super::sightings::Sighting;
use super::sightings::journal::Journal;
use super::sightings::pen::{Behind, Pen};
use super::usage::counter::UsageCounter;
use super::{ServiceError, breathe};
use crate::clock::{Clock, Rfc3339};
use crate::crypto::blind::receipt::BlindClaims;
use crate::crypto::digest::IdDigest;
use crate::crypto::random;
use crate::crypto::receipt::{NewClaims, Signed, commitment};
use crate::crypto::salt::Salt;
use crate::domain::alert::WatchHours;
use crate::domain::client::Actor;
use crate::domain::ids::CheckId;
use crate::domain::numbers::Neighbourhood;
use crate::domain::report::Label;
use crate::domain::sequence::Sequence;
use crate::domain::usage::Outcome;
use crate::domain::verdict::{Listing, Purpose, Verdict, decide};
use crate::registry::{Finding, Registry, RegistryError};
use crate::store::reports::KEYS_MAX;
use crate::telemetry::Metrics;

/// Sightings of a batch that one write adds.
const SIGHTINGS_AT_ONCE: usize = 128;

/// The question.
#[derive(Debug)]
pub struct Check {
    pub digest: IdDigest,
    /// Where its number belongs; none where a digest came.
    pub place: Option<Neighbourhood>,
    pub card_valid_from: Option<Date>,
    pub purpose: Purpose,
    pub site: Option<Label>,
    pub client_ref: Option<Label>,
    pub wants_receipt: bool,
    /// How long its organization wants to hear if the card is listed after all.
    pub watch: Option<WatchHours>,
}

impl Check {
    fn watching(&self, check_id: CheckId) -> Option<Watching<'_>> {
        let watching =
            |hours| Watching { check_id, digest: &self.digest, card_valid_from: self.card_valid_from, hours };
        self.watch.map(watching)
    }
}

/// The answer.
#[derive(Debug)]
pub struct Answer {
    pub check_id: CheckId,
    pub verdict: Verdict,
    pub listing: Option<Listing>,
    pub as_of: Rfc3339,
    pub sequence: Sequence,
    pub receipt: Option<Receipt>,
}

/// The signed verdict, and the salt that opens it: returned once, then forgotten.
#[derive(Debug)]
pub struct Receipt {
    pub signed: Signed,
    pub salt: Salt<32>,
}

/// A check that is decided and waits for its signature.
struct Decided {
    answer: Answer,
    claims: Option<(String, Salt<32>)>,
    /// Apart, so that a check that finds nothing carries none of it.
    sighting: Option<Box<Sighting>>,
}

/// Answers checks, one instance a worker.
#[derive(Debug)]
pub struct Checks {
    clock: Clock,
    registry: Arc<Registry>,
    pen: Pen,
    pace: Pace,
    alerts: Arc<Alerts>,
    signer: Rc<ReceiptSigner>,
    metrics: Arc<Metrics>,
    usage: Rc<UsageCounter>,
    issuer_json: String,
}

impl Checks {
    pub fn new(
        clock: Clock,
        heads: Arc<HeadSigner>,
        registry: Arc<Registry>,
        journal: &Journal,
        alerts: Arc<Alerts>,
        metrics: Arc<Metrics>,
        usage: Rc<UsageCounter>,
    ) -> Self {
        let issuer_json = heads.issuer_json.clone();
        let signer = ReceiptSigner::new(heads);
        Self {
            clock,
            registry,
            pen: journal.pen(),
            pace: Pace::default(),
            alerts,
            signer: Rc::new(signer),
            metrics,
            usage,
            issuer_json,
        }
    }

    /// The claims of a blind check's receipt, as text.
    pub fn blind_claims(&self, organization: crate::domain::ids::OrganizationId, claims: &BlindClaims<'_>) -> String {
        claims.encode(&self.issuer_json, organization, self.clock.now_s())
    }

    /// Signs receipts under one head.
    pub fn sign_all(&self, claims: Vec<String>) -> Vec<Signed> {
        self.signer.sign_all(claims)
    }

    /// Answers one check that is not watched. Where memory cannot, `enter` must give it a place among those that wait for the store.
    pub async fn check<P, E: From<ServiceError>>(
        &self,
        actor: Actor,
        check: &Check,
        enter: impl FnOnce() -> Result<P, E>,
    ) -> Result<Answer, E> {
        let begun = self.pace.begin();
        let decided = if let Some(finding) = self.registry.lookup_in_memory(&check.digest) {
            let mut decided = self.decide(actor, check, &finding, None)?;
            self.write(decided.sighting.take(), begun);
            decided
        } else {
            let _place = enter()?;
            let finding = self.registry.lookup(&check.digest).await.map_err(ServiceError::from)?;
            self.decide(actor, check, &finding, None)?
        };
        Ok(self.sign(decided).await?)
    }

    /// Answers a check whose watch must be durable first. Only what the store holds by then will not be told by an alert, so that
    /// memory, which may be a moment behind, is not asked. It waits for the store: it must have its place.
    pub async fn check_watched(&self, owner: &Watcher, check: &Check) -> Result<Answer, ServiceError> {
        let check_id = random::id(self.clock.now_ms());
        let watched = self.alerts.watch(owner, &check.watching(check_id).into_iter().collect::<Vec<_>>()).await?;
        if let Some(spent) = watched.into_iter().find_map(Result::err) {
            return Err(ServiceError::WatchesSpent(spent));
        }
        let finding = self.registry.ask_store(&[&check.digest]).await?.pop().ok_or(RegistryError::Stopped)?;
        self.sign(self.decide(owner.actor, check, &finding, Some(check_id))?).await
    }

    /// Writes a sighting, or takes as long where nobody else waits.
    fn write(&self, sighting: Option<Box<Sighting>>, begun: Begun) {
        match sighting {
            Some(sighting) => {
                self.pen.write(std::slice::from_ref(&*sighting));
                self.pace.end_written(begun);
            }
            None => self.pace.end_unwritten(begun, || self.pen.rehearse()),
        }
    }

    async fn sign(&self, decided: Decided) -> Result<Answer, ServiceError> {
        let Decided { mut answer, claims, sighting } = decided;
        if let Some(sighting) = sighting {
            self.pen.write(std::slice::from_ref(&*sighting));
        }
        if let Some((claims, salt)) = claims {
            let signed = self.signer.sign(claims).await.ok_or(ServiceError::NotSigned)?;
            answer.receipt = Some(Receipt { signed, salt });
        }
        Ok(answer)
    }

    /// Answers a batch, each item for itself; one signature covers many of their receipts.
    pub async fn check_all<E: From<ServiceError> + Clone>(
        &self,
        owner: &Watcher,
        checks: Vec<Result<Check, E>>,
    ) -> Vec<Result<Answer, E>> {
        let actor = owner.actor;
        let watched = self.watch_all(owner, &checks).await;
        let asked = checks.iter().filter_map(|check| check.as_ref().ok());
        let digests: Vec<_> = asked.filter(|check| check.watch.is_none()).map(|check| &check.digest).collect();
        let cause = |error| E::from(ServiceError::from(error));
        let mut findings = self.registry.lookup_all(&digests, cause).await.into_iter();
        let mut watched = match watched {
            Ok(watched) => Ok(watched.into_iter()),
            Err(error) => Err(E::from(error)),
        };
        let mut answers = Vec::with_capacity(checks.len());
        let (mut claims, mut waiting, mut sightings) = (Vec::new(), Vec::new(), Vec::new());
        for (index, check) in checks.into_iter().enumerate() {
            breathe(index).await;
            let answer = check.and_then(|check| {
                let (finding, check_id) = if check.watch.is_none() {
                    (findings.next().transpose()?, None)
                } else {
                    watched.as_mut().map_err(|error| error.clone())?.next().transpose()?.unzip()
                };
                let finding = finding.ok_or(ServiceError::from(RegistryError::Stopped))?;
                let decided = self.decide(actor, &check, &finding, check_id)?;
                if let Some((text, salt)) = decided.claims {
                    claims.push(text);
                    waiting.push((answers.len(), salt));
                }
                sightings.extend(decided.sighting.map(|sighting| *sighting));
                Ok(decided.answer)
            });
            answers.push(answer);
        }
        if sightings.is_empty() {
            self.pace.end_unwritten(self.pace.begin(), || self.pen.rehearse());
        }
        for some in sightings.chunks(SIGHTINGS_AT_ONCE) {
            self.pen.write(some);
            tokio::task::yield_now().await;
        }
        let (mut claims, mut waiting) = (claims.into_iter(), waiting.into_iter());
        while claims.len() > 0 {
            let signed = self.signer.sign_all(claims.by_ref().take(HEAD_RECEIPTS_MAX).collect());
            for (signed, (index, salt)) in signed.into_iter().zip(waiting.by_ref()) {
                if let Some(Ok(answer)) = answers.get_mut(index) {
                    answer.receipt = Some(Receipt { signed, salt });
                }
            }
            tokio::task::yield_now().await;
        }
        answers
    }

    /// Stores the watches of a batch together, then looks the numbers of those that were stored up, in their order.
    async fn watch_all<E>(
        &self,
        owner: &Watcher,
        checks: &[Result<Check, E>],
    ) -> Result<Vec<Result<(Finding, CheckId), ServiceError>>, ServiceError> {
        let now_ms = self.clock.now_ms();
        let mut watching = Vec::new();
        for some in checks.chunks(KEYS_MAX) {
            let asked = some.iter().filter_map(|check| check.as_ref().ok());
            watching.extend(asked.filter_map(|check| check.watching(random::id(now_ms))));
            tokio::task::yield_now().await;
        }
        if watching.is_empty() {
            return Ok(Vec::new());
        }
        let watched = self.alerts.watch(owner, &watching).await?;
        let mut findings = Vec::with_capacity(watching.len());
        for (some, watched) in watching.chunks(KEYS_MAX).zip(watched.chunks(KEYS_MAX)) {
            let stored = some.iter().zip(watched).filter(|(_, watched)| watched.is_ok());
            let digests: Vec<_> = stored.map(|(check, _)| check.digest).collect();
            let mut found = self.registry.ask_store(&digests).await?.into_iter();
            for (check, watched) in some.iter().zip(watched) {
                findings.push(match watched {
                    Ok(()) => Ok((found.next().ok_or(RegistryError::Stopped)?, check.check_id)),
                    Err(spent) => Err(ServiceError::WatchesSpent(*spent)),
                });
            }
        }
        Ok(findings)
    }

    fn decide(
        &self,
        actor: Actor,
        check: &Check,
        finding: &Finding,
        check_id: Option<CheckId>,
    ) -> Result<Decided, ServiceError> {
        let now_ms = self.clock.now_ms();
        let verdict = decide(check.card_valid_from, finding.listing.as_ref());
        if verdict.is_sighting() {
            self.pen.ready().map_err(|Behind| ServiceError::SightingsBehind)?;
        }
        self.metrics.verdict(verdict).inc();
        self.usage.count_at(actor.organization, check.site.as_ref(), Outcome::of(verdict), now_ms);
        let answer = Answer {
            check_id: check_id.unwrap_or_else(|| random::id(now_ms)),
            verdict,
            listing: finding.listing,
            as_of: finding.as_of,
            sequence: finding.sequence,
            receipt: None,
        };
        let claims = check.wants_receipt.then(|| {
            let salt = Salt::draw();
            let claims = NewClaims {
                iss_json: &self.issuer_json,
                organization: actor.organization,
                now_s: now_ms.seconds(),
                check_id: answer.check_id,
                verdict,
                as_of: finding.as_of.as_str(),
                sequence: finding.sequence,
                commitment: commitment(&salt, &check.digest, check.card_valid_from),
            };
            (claims.encode(), salt)
        });
        let sighting = verdict.is_sighting().then(|| {
            Box::new(Sighting {
                check_id: answer.check_id,
                organization: actor.organization,
                client: Some(actor.client),
                digest: check.digest.clone(),
                card_valid_from: check.card_valid_from,
                site: check.site.clone().filter(|site| !site.may_be_digest()),
                purpose: check.purpose,
                verdict,
                sequence: finding.sequence,
                seen_at_ms: now_ms,
            })
        });
        Ok(Decided { answer, claims, sighting })
    }
}
