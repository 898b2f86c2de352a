//! Copies of listings, nearest first: this process's memory, then Redis, which all nodes share. A copy is used only if it is at
//! least as new as the snapshot asks (`Presence::Maybe`), so nothing ever has to be invalidated: a stale copy is simply not
//! looked at. Of Redis only listings are believed that carry this service's MAC, and never that nothing is listed.
//! Answers to requests with an `Idempotency-Key` are kept there in the same way.

use std::sync::Arc;

use quick_cache::sync::Cache;
use redis::Script;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::crypto::Keyring;
use crate::crypto::digest::LookupKey;
use crate::domain::card::Threshold;
use crate::domain::sequence::Sequence;
use crate::domain::verdict::{Listing, ListingKind};
use crate::redis_link::RedisLink;
use crate::store::idempotency::{IdempotentRequest, Remembered, StoredAnswer};
use crate::telemetry::Metrics;

/// A listing as it was at a sequence; None: nothing was listed (a withdrawn report, or a false positive of the filter).
#[derive(Debug, Clone, Copy)]
pub struct Copy {
    pub listing: Option<Listing>,
    pub sequence: Sequence,
}

/// The local tier, bounded.
#[derive(Debug)]
pub struct LocalCache(Cache<LookupKey, Copy>);

impl LocalCache {
    pub fn new(listings_max: usize) -> Self {
        Self(Cache::new(listings_max))
    }

    /// A copy at least as new as `fresh_from`.
    pub fn find(&self, key: &LookupKey, fresh_from: Sequence) -> Option<Copy> {
        self.0.get(key).filter(|copy| copy.sequence >= fresh_from)
    }

    /// Forgets everything: sequences of another epoch cannot be compared.
    pub fn clear(&self) {
        self.0.clear();
    }

    /// Keeps a copy. An older one may overwrite a newer: it will then be found stale and read again, never believed.
    pub fn keep(&self, key: LookupKey, copy: Copy) {
        self.0.insert(key, copy);
    }
}

/// How long Redis keeps what nobody writes again.
const KEPT_MS: u64 = 24 * 3600 * 1000;
/// Writes to Redis under way at a time; what comes above that is not kept.
const WRITES_MAX: usize = 64;
/// Bytes of a MAC that are kept.
const MAC_BYTES: usize = 16;

/// An older value never replaces a newer one. A value is `MAC;sequence;listing`.
const KEEP_NEWER: &str = r"
local kept = redis.call('GET', KEYS[1])
local sequence = kept and tonumber(string.match(kept, '^%x+;(%d+);'))
if sequence and sequence >= tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1
";

/// The tier that all nodes share.
#[derive(Debug)]
pub struct SharedCache {
    link: Arc<RedisLink>,
    keyring: Arc<Keyring>,
    metrics: Arc<Metrics>,
    keep_newer: Script,
    writes: Arc<Semaphore>,
}

impl SharedCache {
    pub fn new(link: Arc<RedisLink>, keyring: Arc<Keyring>, metrics: Arc<Metrics>) -> Arc<Self> {
        let (keep_newer, writes) = (Script::new(KEEP_NEWER), Arc::new(Semaphore::new(WRITES_MAX)));
        Arc::new(Self { link, keyring, metrics, keep_newer, writes })
    }

    /// The link that the copies come by.
    pub fn link(&self) -> &Arc<RedisLink> {
        &self.link
    }

    /// The copies that Redis has, in the order of the keys, by one command. The caller asks how new they are.
    pub async fn find(&self, epoch: &str, key_version: u32, keys: &[LookupKey]) -> Vec<Option<Copy>> {
        let names: Vec<_> = keys.iter().map(|key| listing_name(epoch, key_version, key)).collect();
        let mut get = redis::cmd("MGET");
        get.arg(&names);
        let ask = |mut connection| async move { get.query_async::<Vec<Option<Vec<u8>>>>(&mut connection).await };
        let mut values = self.link.call(ask).await.unwrap_or_default();
        values.resize(keys.len(), None);
        names.iter().zip(values).map(|(name, value)| read_copy(self.open(epoch, name, &value?)?.as_str())).collect()
    }

    /// Keeps listings as they were at a sequence, in the background.
    pub fn keep(
        self: &Arc<Self>,
        epoch: &str,
        key_version: u32,
        sequence: Sequence,
        listings: Vec<(LookupKey, Listing)>,
    ) {
        if listings.is_empty() {
            return;
        }
        let (cache, epoch) = (Arc::clone(self), epoch.to_owned());
        self.write(async move {
            for (key, listing) in listings {
                let name = listing_name(&epoch, key_version, &key);
                let value = cache.seal(&epoch, &name, &write_copy(sequence, &listing));
                let mut invocation = cache.keep_newer.prepare_invoke();
                invocation.key(name).arg(value).arg(sequence.get()).arg(KEPT_MS);
                let kept = |mut connection| async move { invocation.invoke_async::<()>(&mut connection).await };
                if cache.link.call(kept).await.is_none() {
                    return;
                }
            }
        });
    }

    /// What Redis remembers of a request that may be a repetition. Nothing: the store knows.
    pub async fn recall(&self, epoch: &str, request: &IdempotentRequest) -> Remembered {
        let name = answer_name(epoch, request);
        let mut get = redis::cmd("GET");
        get.arg(&name);
        let ask = |mut connection| async move { get.query_async::<Option<Vec<u8>>>(&mut connection).await };
        let value = self.link.call(ask).await.flatten().and_then(|value| self.open(epoch, &name, &value));
        let kept = value.and_then(|text| serde_json::from_str::<(String, u16, String, String)>(&text).ok());
        match kept {
            None => Remembered::Nothing,
            Some((of, ..)) if of != hex::encode(request.request) => Remembered::OtherRequest,
            Some((_, status, location, body)) => {
                self.metrics.answers_repeated_by_redis.inc();
                Remembered::Answer(StoredAnswer { status, location, body })
            }
        }
    }

    /// Keeps an answer for repetitions, in the background. Only once its change is committed and known everywhere: a caller
    /// who gets the answer from here relies on that.
    pub fn remember(self: &Arc<Self>, epoch: &str, request: &IdempotentRequest, answer: &StoredAnswer) {
        let StoredAnswer { status, location, body } = answer;
        let text = serde_json::json!([hex::encode(request.request), status, location, body]).to_string();
        let name = answer_name(epoch, request);
        let value = self.seal(epoch, &name, &text);
        let cache = Arc::clone(self);
        self.write(async move {
            let mut set = redis::cmd("SET");
            set.arg(name).arg(value).arg("PX").arg(KEPT_MS);
            let kept = |mut connection| async move { set.query_async::<()>(&mut connection).await };
            cache.link.call(kept).await;
        });
    }

    fn write(&self, work: impl Future<Output = ()> + Send + 'static) {
        if self.link.is_open() {
            return;
        }
        if let Ok(permit) = Arc::clone(&self.writes).try_acquire_owned() {
            tokio::spawn(async move {
                work.await;
                drop(permit);
            });
        }
    }

    /// Binds a value to its name and to the whole epoch, so that no value is good in another's place.
    fn seal(&self, epoch: &str, name: &str, text: &str) -> String {
        let mac = self.keyring.fingerprints().of("redis-value", &parts(epoch, name, text));
        format!("{};{text}", hex::encode(&mac[..MAC_BYTES]))
    }

    fn open(&self, epoch: &str, name: &str, value: &[u8]) -> Option<String> {
        let genuine = || {
            let value = str::from_utf8(value).ok()?;
            let (mac, text) = value.split_once(';')?;
            let mac = hex::decode(mac).ok().filter(|mac| mac.len() == MAC_BYTES)?;
            let is_genuine = self.keyring.fingerprints().is_of("redis-value", &parts(epoch, name, text), &mac);
            is_genuine.then(|| text.to_owned())
        };
        genuine().or_else(|| {
            self.metrics.redis_not_genuine.inc();
            None
        })
    }
}

/// What all of a registry's keys and channels in Redis begin with. A hash, for epochs may differ in their last character.
pub(super) fn prefix(epoch: &str) -> String {
    format!("lostcard:{}", hex::encode(&Sha256::digest(epoch)[..8]))
}

fn listing_name(epoch: &str, key_version: u32, key: &LookupKey) -> String {
    format!("{}:k{key_version}:listing:{}", prefix(epoch), hex::encode(key.as_bytes()))
}

/// The fingerprint does not depend on the pepper.
fn answer_name(epoch: &str, request: &IdempotentRequest) -> String {
    format!("{}:answer:{}", prefix(epoch), hex::encode(request.key))
}

/// Divided by a byte that neither epoch nor name holds.
fn parts<'a>(epoch: &'a str, name: &'a str, text: &'a str) -> [&'a [u8]; 5] {
    [epoch.as_bytes(), &[0], name.as_bytes(), &[0], text.as_bytes()]
}

fn write_copy(sequence: Sequence, listing: &Listing) -> String {
    let Listing { threshold, card_unknown, kind, since } = listing;
    let threshold = threshold.map(|threshold| threshold.date().to_string()).unwrap_or_default();
    format!("{sequence};{};{since};{threshold};{card_unknown}", kind.as_str())
}

fn read_copy(text: &str) -> Option<Copy> {
    let mut fields = text.split(';');
    let sequence = fields.next()?.parse().ok()?;
    let kind = ListingKind::parse(fields.next()?)?;
    let since = fields.next()?.parse().ok()?;
    let threshold = match fields.next()? {
        "" => None,
        date => Some(Threshold::of_lost_card(date.parse().ok()?)),
    };
    let card_unknown = fields.next()?.parse().ok()?;
    let listing = Some(Listing { threshold, card_unknown, kind, since });
    fields.next().is_none().then_some(Copy { listing, sequence })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::civil::date;

    use super::*;

    fn listing(threshold: Option<Threshold>, card_unknown: bool, kind: ListingKind) -> Listing {
        Listing { threshold, card_unknown, kind, since: date(2026, 11, 2) }
    }

    #[test]
    fn a_copy_comes_back_as_it_was_kept() {
        let known = Some(Threshold::of_lost_card(date(2016, 5, 1)));
        for listing in [
            listing(known, false, ListingKind::Superseded),
            listing(known, true, ListingKind::Reported),
            listing(None, true, ListingKind::Reported),
        ] {
            let copy = read_copy(&write_copy(Sequence::new(17), &listing)).unwrap();
            assert_eq!((copy.sequence, copy.listing), (Sequence::new(17), Some(listing)));
        }
    }

    #[test]
    fn what_is_no_copy_is_not_read() {
        let good = write_copy(Sequence::new(17), &listing(None, true, ListingKind::Reported));
        for bad in ["", "17", "x;reported;2026-11-02;;true", "17;other;2026-11-02;;true", &format!("{good};")] {
            assert!(read_copy(bad).is_none(), "{bad}");
        }
    }

    fn cache(folder: &tempfile::TempDir) -> Arc<SharedCache> {
        let keys = crate::crypto::keyfiles::KeyFolder::new(folder.path().join("keys"));
        if keys.is_empty() {
            keys.create_all().unwrap();
        }
        let metrics = Arc::new(Metrics::new().unwrap());
        let link = RedisLink::new("redis://127.0.0.1:1", Duration::from_millis(50), Arc::clone(&metrics)).unwrap();
        SharedCache::new(link, Arc::new(Keyring::open(keys).unwrap()), metrics)
    }

    #[test]
    fn a_value_is_good_only_where_and_as_it_was_written() {
        let (folder, other_folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let cache_here = cache(&folder);
        let value = cache_here.seal("epoch", "name", "text");
        assert_eq!(cache(&folder).open("epoch", "name", value.as_bytes()).as_deref(), Some("text"));
        for (epoch, name, value) in [
            ("another", "name", value.clone()),
            ("epoch", "another", value.clone()),
            ("epoch", "name", value.replace("text", "next")),
            ("epoch", "name", value[MAC_BYTES * 2..].to_owned()),
            ("epoch", "name", value[2..].to_owned()),
            ("epoch", "name", String::new()),
        ] {
            assert_eq!(cache_here.open(epoch, name, value.as_bytes()), None);
        }
        assert_eq!(cache_here.open("epoch", "name", &[0xff; 40]), None);
        assert_eq!(cache(&other_folder).open("epoch", "name", value.as_bytes()), None, "another service's key");
    }
}
