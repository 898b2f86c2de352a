//! The form of records that version 0.1 wrote: what it left in the journal is moved by this one.

use serde::Deserialize;
use zeroize::Zeroizing;

use super::Sighting;
use crate::crypto::digest::IdDigest;
use crate::crypto::seal::Sealer;
use crate::domain::ids::{CheckId, OrganizationId};
use crate::domain::instant::UnixMs;
use crate::domain::report::Label;
use crate::domain::sequence::Sequence;
use crate::domain::verdict::{Purpose, Verdict};

pub(super) const MAGIC: [u8; 16] = *b"lostcard seen 1\n";
const DIGEST_BYTES: usize = 32;

/// The part of a record that is not the digest.
#[derive(Deserialize)]
struct Facts<'a> {
    check_id: CheckId,
    organization: OrganizationId,
    card_valid_from: Option<String>,
    site: Option<&'a str>,
    purpose: &'a str,
    verdict: &'a str,
    sequence: Sequence,
    seen_at_ms: UnixMs,
}

/// The sighting of the record at a place.
pub(super) fn read(opener: &Sealer, at: usize, sealed: &[u8]) -> Option<Sighting> {
    let plain = Zeroizing::new(opener.open(&(at as u64).to_le_bytes(), sealed).ok()?);
    let (digest, facts) = plain.split_first_chunk::<DIGEST_BYTES>()?;
    let facts: Facts<'_> = serde_json::from_slice(facts).ok()?;
    Some(Sighting {
        check_id: facts.check_id,
        organization: facts.organization,
        client: None,
        digest: IdDigest::from_bytes(*digest),
        card_valid_from: facts.card_valid_from.map(|date| date.parse()).transpose().ok()?,
        site: facts.site.map(|site| Label::parse(site).ok_or(())).transpose().ok()?,
        purpose: Purpose::parse(facts.purpose)?,
        verdict: Verdict::parse(facts.verdict)?,
        sequence: facts.sequence,
        seen_at_ms: facts.seen_at_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_version_0_1_is_read() {
        let key = Sealer::new(&[1; 32]).unwrap();
        let facts = r#"{"check_id":"00000000-0000-0000-0000-000000000001","organization":"00000000-0000-0000-0000-000000000002","card_valid_from":"2016-05-01","site":"west","purpose":"lodging","verdict":"card_listed","sequence":7,"seen_at_ms":9}"#;
        let plain = [&[4; DIGEST_BYTES], facts.as_bytes()].concat();
        let sealed = key.seal(&76_u64.to_le_bytes(), &plain).unwrap();
        let sighting = read(&key, 76, &sealed).unwrap();
        assert_eq!(sighting.digest, IdDigest::from_bytes([4; 32]));
        assert_eq!((sighting.client, sighting.sequence.get(), sighting.seen_at_ms.get()), (None, 7, 9));
        assert_eq!(sighting.site, Label::parse("west"));
        assert!(read(&key, 77, &sealed).is_none(), "it opens in its own place only");
    }
}
