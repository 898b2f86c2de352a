//! The witnesses of a node's policy: each is asked to cosign a new checkpoint (C2SP tlog-witness), all at once, each within a deadline.
//! One that fails delays nothing but its own signature.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, join_all};
use futures_util::stream::{FuturesUnordered, StreamExt};
use reqwest::Url;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::proofs::consistency_proof;
use crate::crypto::tlog::checkpoint::AddCheckpoint;
use crate::crypto::tlog::note::{NOTE_BYTES_MAX, right_lines, size_line};
use crate::crypto::tlog::policy::Policy;
use crate::crypto::tlog::{Note, VerifierKey};
use crate::domain::registry_log::LogEpoch;
use crate::store::log::LogHead;
use crate::store::{Store, StoreError};

/// How long a witness may take.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// How often it may say that it knows another size: once, and once more where another node was faster.
const TRIES: usize = 3;
const USER_AGENT: &str = concat!("lostcard/", env!("CARGO_PKG_VERSION"));

/// Why a policy cannot be a node's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WitnessesError {
    #[error("the witness {0} has no URL at which it is asked: https://, or http:// on this machine")]
    Url(String),
}

/// Why a witness did not cosign.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("no answer in time")]
    TooSlow,
    #[error("it cannot be reached")]
    Unreachable,
    #[error("the answer is {0}")]
    Refused(u16),
    #[error("it has cosigned {0} leaves, which this log does not have: has the store lost commits?")]
    Ahead(u64),
    #[error("the answer is no cosignature of its key")]
    NotSigned,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What came of asking.
#[derive(Debug)]
pub struct Cosigned {
    /// The note with every cosignature that there is.
    pub note: String,
    /// Whether those are what the policy asks for.
    pub is_enough: bool,
    pub cosigned: u64,
    pub failed: u64,
}

/// Witnesses that are being asked: who waits for one that does not answer has the others' cosignatures meanwhile.
pub struct Asking<'a> {
    policy: &'a Policy,
    head: &'a LogHead,
    open: FuturesUnordered<BoxFuture<'a, (usize, Option<String>)>>,
    answers: Vec<Option<String>>,
}

impl std::fmt::Debug for Asking<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asking").field("open", &self.open.len()).finish_non_exhaustive()
    }
}

impl Asking<'_> {
    /// Waits for the next answer. False: there is none to wait for.
    pub async fn next(&mut self) -> bool {
        let Some((at, line)) = self.open.next().await else { return false };
        if let Some(answer) = self.answers.get_mut(at) {
            *answer = line;
        }
        true
    }

    /// What has come so far.
    pub fn cosigned(&self) -> Cosigned {
        let cosigned = self.answers.iter().flatten().count() as u64;
        // What the note had from an earlier try is kept, where this one brought nothing; else the newer time takes its place.
        let before = Note::parse(&self.head.note);
        let signed_before = |at: usize| {
            let key = self.policy.witnesses.get(at).map(|witness| &witness.key);
            key.zip(before.as_ref()).is_some_and(|(key, note)| note.signed_by(key).is_ok())
        };
        let new: String = self.answers.iter().filter_map(Option::as_deref).collect();
        let keys = self.policy.witnesses.iter().map(|witness| &witness.key).zip(&self.answers);
        let renewed: Vec<_> = keys.filter(|(_, line)| line.is_some()).map(|(key, _)| key).collect();
        let has = |at: usize| signed_before(at) || self.answers.get(at).is_some_and(Option::is_some);
        Cosigned {
            note: format!("{}{new}", without(&self.head.note, &renewed)),
            is_enough: self.policy.is_met(has),
            cosigned,
            failed: (self.answers.len() - self.open.len()) as u64 - cosigned,
        }
    }
}

/// The witnesses.
#[derive(Debug)]
pub struct Witnesses {
    policy: Policy,
    urls: Vec<Url>,
    /// Made when it is first needed: settings are read without authorities to trust.
    client: OnceCell<reqwest::Client>,
    /// The size that each is known to have cosigned; a wrong one is told by the witness.
    known: Mutex<HashMap<(LogEpoch, usize), u64>>,
}

impl Witnesses {
    /// Those of a policy; each must say where it is asked.
    pub fn new(policy: Policy) -> Result<Self, WitnessesError> {
        let url = |of: &crate::crypto::tlog::policy::Party| {
            let url = of.url.as_deref().and_then(|url| Url::parse(url.trim_end_matches('/')).ok());
            let url = url
                .filter(may_be_asked)
                .and_then(|url| Url::parse(&format!("{url}/add-checkpoint").replace("//add", "/add")).ok());
            url.ok_or_else(|| WitnessesError::Url(of.key.name().to_owned()))
        };
        let urls = policy.witnesses.iter().map(url).collect::<Result<_, _>>()?;
        Ok(Self { policy, urls, client: OnceCell::new(), known: Mutex::default() })
    }

    /// Asks all of them to cosign a checkpoint.
    pub fn ask_all<'a>(&'a self, store: &'a Store, head: &'a LogHead) -> Asking<'a> {
        let asked = self.policy.witnesses.iter().zip(&self.urls).enumerate().map(|(at, (witness, url))| {
            async move {
                let answer = timeout(ANSWER_MAX, self.ask(store, head, (at, &witness.key, url))).await;
                let answer = answer.unwrap_or(Err(Failed::TooSlow)).inspect_err(|error| {
                    tracing::warn!(witness = witness.key.name(), error = %error, "a witness did not cosign");
                });
                (at, answer.ok())
            }
            .boxed()
        });
        let answers = vec![None; self.urls.len()];
        Asking { policy: &self.policy, head, open: asked.collect(), answers }
    }

    /// Asks whether each is there, without anything to cosign (RFC 9110, 9.3.2): any answer says so. By name, in the policy's order.
    pub async fn knock(&self) -> Vec<(&str, Result<(), String>)> {
        let asked = self.policy.witnesses.iter().zip(&self.urls).map(|(witness, url)| async move {
            let answer = async {
                let client = self.client.get_or_try_init(new_client).await.map_err(|_| Failed::Unreachable)?;
                client.head(url.clone()).send().await.map(|_| ()).map_err(|_| Failed::Unreachable)
            };
            let answer = timeout(ANSWER_MAX, answer).await.unwrap_or(Err(Failed::TooSlow));
            (witness.key.name(), answer.map_err(|failed| failed.to_string()))
        });
        join_all(asked).await
    }

    /// How many of them a note has cosignatures of, and how many there are.
    pub fn count_on(&self, note: &str) -> (usize, usize) {
        let all = &self.policy.witnesses;
        let signed = |note: Note| all.iter().filter(|witness| note.signed_by(&witness.key).is_ok()).count();
        (Note::parse(note).map_or(0, signed), all.len())
    }

    /// Whether a note has cosignatures that are enough, of a time or later.
    pub fn are_enough_since(&self, note: &str, since_s: u64) -> bool {
        let note = Note::parse(note);
        self.policy.is_met(|at| {
            let key = self.policy.witnesses.get(at).map(|witness| &witness.key);
            let signed = key.zip(note.as_ref()).and_then(|(key, note)| note.signed_by(key).ok());
            signed.and_then(|signed| signed.time_s).is_some_and(|time_s| time_s >= since_s)
        })
    }

    async fn ask(
        &self,
        store: &Store,
        head: &LogHead,
        (at, key, url): (usize, &VerifierKey, &Url),
    ) -> Result<String, Failed> {
        let text = head.note.split_once("\n\n").map_or("", |(text, _)| text).to_owned() + "\n";
        let client = self.client.get_or_try_init(new_client).await.map_err(|_| Failed::Unreachable)?;
        for _ in 0..TRIES {
            let old = self.known(|known| known.get(&(head.epoch, at)).copied().unwrap_or(0));
            if old > head.size {
                // It is asked again next time: what it said may be a lie, or of a moment ago.
                self.known(|known| known.remove(&(head.epoch, at)));
                return Err(Failed::Ahead(old));
            }
            let proof = consistency_proof(store, head.epoch, old, head.size).await?;
            let request = client.post(url.clone()).body(AddCheckpoint::body(old, &proof, &head.note)).send();
            let answer = request.await.map_err(|_| Failed::Unreachable)?;
            let (status, kind) = (answer.status().as_u16(), answer.headers().get(CONTENT_TYPE).cloned());
            let body = read(answer).await.ok_or(Failed::Unreachable)?;
            let told = size_line(&body).filter(|_| kind.is_some_and(|kind| kind.as_bytes() == b"text/x.tlog.size"));
            match (status, told) {
                (200, _) => {
                    let line = right_lines(&text, &body, key)
                        .into_iter()
                        .map(|(line, _)| line)
                        .next()
                        .ok_or(Failed::NotSigned)?;
                    self.known(|known| known.insert((head.epoch, at), head.size));
                    return Ok(line);
                }
                // Of the same size it says that another root was cosigned.
                (409, Some(size)) if size != old => {
                    self.known(|known| known.insert((head.epoch, at), size));
                }
                _ => return Err(Failed::Refused(status)),
            }
        }
        Err(Failed::Refused(409))
    }

    fn known<T>(&self, with: impl FnOnce(&mut HashMap<(LogEpoch, usize), u64>) -> T) -> T {
        with(&mut self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// A note without the signature lines of some keys.
fn without(note: &str, keys: &[&VerifierKey]) -> String {
    let Some((text, lines)) = note.rsplit_once("\n\n") else { return note.to_owned() };
    let text = format!("{text}\n");
    let is_of_others = |line: &&str| keys.iter().all(|key| right_lines(&text, line, key).is_empty());
    let others: String = lines.split_inclusive('\n').filter(is_of_others).collect();
    format!("{text}\n{others}")
}

fn may_be_asked(url: &Url) -> bool {
    let is_plain =
        url.username().is_empty() && url.password().is_none() && url.fragment().is_none() && url.query().is_none();
    let is_loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    is_plain && (url.scheme() == "https" || (url.scheme() == "http" && is_loopback))
}

async fn new_client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().user_agent(USER_AGENT).redirect(redirect::Policy::none()).no_proxy().build()
}

/// A short text; none where it is longer than any that a witness sends.
async fn read(mut answer: reqwest::Response) -> Option<String> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        body.extend_from_slice(&chunk);
        if body.len() > NOTE_BYTES_MAX {
            return None;
        }
    }
    String::from_utf8(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::signing::SigningKey;
    use crate::crypto::tlog::note::{SignatureType, cosign};

    #[test]
    fn a_newer_cosignature_takes_the_place_of_the_one_before() {
        let keys = [(); 2].map(|()| SigningKey::generate().unwrap());
        let key = |at: usize| VerifierKey::new("w", SignatureType::Cosignature, keys[at].public().clone()).unwrap();
        let (text, verifiers) = ("a\n1\nAA==\n", [key(0), key(1)]);
        let [first, second] = [0, 1].map(|at: usize| cosign(&keys[at], "w", text, 5));
        let note = format!("{text}\n— a AAAAAAAA\n{first}{second}");
        assert_eq!(without(&note, &[]), note);
        assert_eq!(without(&note, &[&verifiers[0]]), format!("{text}\n— a AAAAAAAA\n{second}"));
        assert_eq!(without(&note, &[&verifiers[0], &verifiers[1]]), format!("{text}\n— a AAAAAAAA\n"));
    }

    #[test]
    fn a_witness_is_asked_where_nobody_reads_along() {
        let urls = |text: &str| {
            let public = SigningKey::generate().unwrap().public().clone();
            let key = VerifierKey::new("w.example", SignatureType::Cosignature, public).unwrap();
            let policy = Policy::parse(format!("witness w {key} {text}\nquorum w\n").as_bytes()).unwrap();
            Witnesses::new(policy).map(|witnesses| witnesses.urls[0].to_string())
        };
        assert_eq!(urls("https://w.example").unwrap(), "https://w.example/add-checkpoint");
        assert_eq!(urls("https://w.example/below/").unwrap(), "https://w.example/below/add-checkpoint");
        assert_eq!(urls("http://127.0.0.1:81/").unwrap(), "http://127.0.0.1:81/add-checkpoint");
        for bad in
            ["", "http://w.example", "ftp://w.example", "https://u:p@w.example", "https://w.example/?a", "w.example"]
        {
            assert_eq!(urls(bad), Err(WitnessesError::Url("w.example".to_owned())), "{bad}");
        }
    }
}
