//! Checks: from a number's digest to a verdict with its receipt. The hot path: see the walk in `lib.rs`.
//! A check that finds nothing leaves nothing behind, one that finds a listing a sighting; what goes into a receipt is a
//! commitment, not the number.

use std::rc::Rc;
use std::sync::Arc;

use jiff::civil::Date;
use uuid::Uuid;

use super::ServiceError;
use super::receipts::ReceiptSigner;
use super::sightings::Sighting;
use super::sightings::journal::Journal;
use crate::clock::{Clock, Rfc3339};
use crate::crypto::digest::IdDigest;
use crate::crypto::receipt::{NewClaims, commitment};
use crate::crypto::{Keyring, random};
use crate::domain::report::Label;
use crate::domain::verdict::{Listing, Purpose, Verdict, decide};
use crate::registry::{Finding, Registry, RegistryError};
use crate::telemetry::Metrics;

/// The question.
#[derive(Debug)]
pub struct Check {
    pub digest: IdDigest,
    pub card_valid_from: Option<Date>,
    pub purpose: Purpose,
    pub site: Option<Label>,
    pub client_ref: Option<Label>,
    pub wants_receipt: bool,
}

/// The answer.
#[derive(Debug)]
pub struct Answer {
    pub check_id: Uuid,
    pub verdict: Verdict,
    pub listing: Option<Listing>,
    pub as_of: Rfc3339,
    pub sequence: u64,
    pub receipt: Option<Receipt>,
}

/// The signed verdict, and the salt that opens it: returned once, then forgotten.
#[derive(Debug)]
pub struct Receipt {
    pub text: String,
    pub salt: [u8; 32],
}

/// A check that is decided and waits for its signature.
struct Decided {
    answer: Answer,
    claims: Option<(String, [u8; 32])>,
    /// Apart, so that a check that finds nothing carries none of it.
    sighting: Option<Box<Sighting>>,
}

/// Answers checks, one instance a worker.
#[derive(Debug)]
pub struct Checks {
    clock: Clock,
    registry: Arc<Registry>,
    journal: Arc<Journal>,
    signer: Rc<ReceiptSigner>,
    metrics: Arc<Metrics>,
    issuer_json: String,
}

impl Checks {
    pub fn new(
        issuer: &str,
        clock: Clock,
        keyring: Arc<Keyring>,
        registry: Arc<Registry>,
        journal: Arc<Journal>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let issuer_json = serde_json::Value::from(issuer).to_string();
        let signer = ReceiptSigner::new(issuer_json.clone(), clock.clone(), keyring, Arc::clone(&metrics));
        Self { clock, registry, journal, signer: Rc::new(signer), metrics, issuer_json }
    }

    /// Answers one check. Where memory cannot, `enter` must give it a place among those that wait for the store.
    pub async fn check<P, E: From<ServiceError>>(
        &self,
        organization: Uuid,
        check: &Check,
        enter: impl FnOnce() -> Result<P, E>,
    ) -> Result<Answer, E> {
        let finding = if let Some(finding) = self.registry.lookup_in_memory(&check.digest) {
            finding
        } else {
            let _place = enter()?;
            self.registry.lookup(&check.digest).await.map_err(ServiceError::from)?
        };
        let Decided { mut answer, claims, sighting } = self.decide(organization, check, &finding);
        // On its way to the disk while the receipt is signed.
        let recording = sighting.and_then(|sighting| self.journal.record(vec![*sighting]));
        if let Some((claims, salt)) = claims {
            let text = self.signer.sign(claims).await.ok_or(ServiceError::NotSigned)?;
            answer.receipt = Some(Receipt { text, salt });
        }
        if let Some(recording) = recording {
            Box::pin(self.journal.confirmed(recording)).await;
        }
        Ok(answer)
    }

    /// Answers a batch, each item for itself; one signature covers all their receipts.
    pub async fn check_all<E: From<RegistryError>>(
        &self,
        organization: Uuid,
        checks: Vec<Result<Check, E>>,
    ) -> Vec<Result<Answer, E>> {
        let asked = checks.iter().filter_map(|check| check.as_ref().ok());
        let digests: Vec<_> = asked.map(|check| &check.digest).collect();
        let mut findings = self.registry.lookup_all(&digests).await.into_iter();
        let mut answers = Vec::with_capacity(checks.len());
        let (mut claims, mut waiting, mut sightings) = (Vec::new(), Vec::new(), Vec::new());
        for check in checks {
            let answer = check.and_then(|check| {
                let finding = findings.next().flatten().ok_or(RegistryError::TooSlow)?;
                let decided = self.decide(organization, &check, &finding);
                if let Some((text, salt)) = decided.claims {
                    claims.push(text);
                    waiting.push((answers.len(), salt));
                }
                sightings.extend(decided.sighting.map(|sighting| *sighting));
                Ok(decided.answer)
            });
            answers.push(answer);
        }
        let recording = if sightings.is_empty() { None } else { self.journal.record(sightings) };
        for ((index, salt), text) in waiting.into_iter().zip(self.signer.sign_all(&claims)) {
            if let Some(Ok(answer)) = answers.get_mut(index) {
                answer.receipt = Some(Receipt { text, salt });
            }
        }
        if let Some(recording) = recording {
            self.journal.confirmed(recording).await;
        }
        answers
    }

    fn decide(&self, organization: Uuid, check: &Check, finding: &Finding) -> Decided {
        let now_ms = self.clock.now_ms();
        let verdict = decide(check.card_valid_from, finding.listing.as_ref());
        self.metrics.verdict(verdict).inc();
        let answer = Answer {
            check_id: random::uuid_v7(now_ms),
            verdict,
            listing: finding.listing,
            as_of: finding.as_of,
            sequence: finding.sequence,
            receipt: None,
        };
        let claims = check.wants_receipt.then(|| {
            let salt = random::bytes::<32>();
            let claims = NewClaims {
                iss_json: &self.issuer_json,
                organization,
                now_s: now_ms.div_euclid(1000),
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
                organization,
                digest: check.digest.clone(),
                card_valid_from: check.card_valid_from,
                site: check.site.clone().filter(|site| !site.may_be_digest()),
                purpose: check.purpose,
                verdict,
                sequence: finding.sequence,
                seen_at_ms: now_ms,
            })
        });
        Decided { answer, claims, sighting }
    }
}
