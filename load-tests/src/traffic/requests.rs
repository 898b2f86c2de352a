//! Requests rendered to bytes before a run, so that sending one costs the
//! generator no more than a write. The same seed gives the same requests.

use std::fmt::Write;

use anyhow::ensure;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::id_number;
use super::listed::ListedCard;
use super::mix::Mix;
use crate::wire::Target;

/// Memory for the rendered requests of one set.
const SET_BYTES_MAX: usize = 512 * 1024 * 1024;
pub(crate) const REQUESTS_MAX: usize = 100_000;
/// A card issued after any loss in a sample, and not in the future.
const NEWER_CARD_FROM: &str = "2026-11-01";

#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) bytes: Box<[u8]>,
    /// Checks inside.
    pub(crate) items: u32,
    /// Checks inside about numbers known to be listed.
    pub(crate) listed: u32,
}

/// A cycle of different requests; never empty.
#[derive(Debug)]
pub(crate) struct RequestSet {
    requests: Vec<Request>,
    batch: bool,
}

impl RequestSet {
    /// Renders `count` requests; hits need `listed`, without it all are misses.
    pub(crate) fn render(
        target: &Target,
        token: Option<&str>,
        mix: &Mix,
        listed: &[ListedCard],
        count: usize,
        seed: u64,
    ) -> anyhow::Result<Self> {
        ensure!((1..=REQUESTS_MAX).contains(&count), "distinct requests must be between 1 and {REQUESTS_MAX}");
        let mut rng = StdRng::seed_from_u64(seed);
        let mut requests = Vec::with_capacity(count);
        let mut total_bytes = 0;
        for _ in 0..count {
            let request = one(target, token, mix, listed, &mut rng)?;
            total_bytes += request.bytes.len();
            ensure!(total_bytes <= SET_BYTES_MAX, "the requests need more than {SET_BYTES_MAX} bytes: use fewer");
            requests.push(request);
        }
        Ok(Self { requests, batch: mix.batch.is_some() })
    }

    /// The request of an ever-growing index.
    pub(crate) fn get(&self, index: usize) -> &Request {
        &self.requests[index % self.requests.len()]
    }

    pub(crate) fn is_batch(&self) -> bool {
        self.batch
    }
}

fn one(
    target: &Target,
    token: Option<&str>,
    mix: &Mix,
    listed: &[ListedCard],
    rng: &mut StdRng,
) -> anyhow::Result<Request> {
    let items = mix.batch.map_or(1, |size| rng.random_range(size.items_min..=size.items_max));
    let mut body = String::new();
    let mut hits = 0;
    if mix.batch.is_some() {
        body.push_str("{\"checks\":[");
    }
    for item in 0..items {
        if item > 0 {
            body.push(',');
        }
        hits += u32::from(check(&mut body, mix, listed, rng)?);
    }
    if mix.batch.is_some() {
        body.push_str("]}");
    }
    let authorization = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    let bytes = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\n{authorization}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        mix.path(),
        target.authority(),
        body.len(),
    );
    Ok(Request { bytes: bytes.into_bytes().into_boxed_slice(), items, listed: hits })
}

/// Appends one check; says whether its number is known to be listed.
fn check(body: &mut String, mix: &Mix, listed: &[ListedCard], rng: &mut StdRng) -> anyhow::Result<bool> {
    let hit = !listed.is_empty() && rng.random_bool(mix.hit_share);
    let (id_number, lost_card_from) = if hit {
        let card = &listed[rng.random_range(0..listed.len())];
        (card.id_number.clone(), card.card_valid_from.clone())
    } else {
        (id_number::random(rng), None)
    };
    write!(body, "{{\"id_number\":\"{id_number}\"")?;
    if rng.random_bool(mix.card_valid_from_share) {
        let from = if hit && rng.random_bool(mix.newer_card_share) {
            NEWER_CARD_FROM.to_owned()
        } else {
            lost_card_from.unwrap_or_else(|| id_number::random_valid_from(rng))
        };
        write!(body, ",\"card_valid_from\":\"{from}\"")?;
    }
    write!(body, ",\"purpose\":\"{}\"", mix.purpose.name())?;
    if mix.sites > 0 {
        write!(body, ",\"site\":\"site-{}\"", rng.random_range(0..mix.sites))?;
    }
    if mix.client_ref {
        write!(body, ",\"client_ref\":\"folio-{}\"", rng.random_range(0..1_000_000_u32))?;
    }
    if !mix.receipt {
        body.push_str(",\"receipt\":false");
    }
    body.push('}');
    Ok(hit)
}

#[cfg(test)]
mod tests {
    use super::super::listed::ListedCard;
    use super::super::mix::{BatchSize, Mix, Purpose};
    use super::RequestSet;
    use crate::wire::Target;

    fn mix(batch: Option<BatchSize>) -> Mix {
        Mix {
            purpose: Purpose::Lodging,
            hit_share: 0.5,
            newer_card_share: 0.5,
            card_valid_from_share: 0.5,
            receipt: false,
            sites: 3,
            client_ref: true,
            batch,
        }
    }

    fn listed() -> Vec<ListedCard> {
        vec![ListedCard { id_number: "11010519491231002X".to_owned(), card_valid_from: Some("2016-05-01".to_owned()) }]
    }

    fn body(bytes: &[u8]) -> (String, serde_json::Value) {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
        (head.to_owned(), serde_json::from_str(body).unwrap())
    }

    #[test]
    fn rendered_checks_count_their_hits_and_repeat_with_the_seed() {
        let target = Target::parse("http://127.0.0.1:8080").unwrap();
        let set = RequestSet::render(&target, Some("t"), &mix(None), &listed(), 200, 3).unwrap();
        let again = RequestSet::render(&target, Some("t"), &mix(None), &listed(), 200, 3).unwrap();
        for index in 0..200 {
            let request = set.get(index);
            assert_eq!(request.bytes, again.get(index + 200).bytes);
            let (head, check) = body(&request.bytes);
            assert!(head.starts_with("POST /v1/checks HTTP/1.1\r\n") && head.contains("Authorization: Bearer t"));
            assert_eq!(check["id_number"] == "11010519491231002X", request.listed == 1);
            assert_eq!(check["receipt"], false);
        }
    }

    #[test]
    fn batches_keep_within_their_size() {
        let target = Target::parse("http://127.0.0.1:8080").unwrap();
        let size = BatchSize { items_min: 2, items_max: 9 };
        let set = RequestSet::render(&target, None, &mix(Some(size)), &[], 50, 3).unwrap();
        for index in 0..50 {
            let request = set.get(index);
            let (_, batch) = body(&request.bytes);
            assert_eq!(batch["checks"].as_array().unwrap().len(), usize::try_from(request.items).unwrap());
            assert!((2..=9).contains(&request.items));
            assert_eq!(request.listed, 0);
        }
    }
}
