//! A sighting as bytes, before they are sealed: written on the way of a check that hits, so that it must cost little.
//! Form: digest, check, organization, client, sequence, time, start of the card (days; the greatest number: not read), purpose,
//! verdict, length of the site, site. Numbers are little-endian.

use jiff::civil::Date;

use super::Sighting;
use crate::crypto::digest::IdDigest;
use crate::domain::ids::{CheckId, ClientId, OrganizationId};
use crate::domain::instant::UnixMs;
use crate::domain::report::Label;
use crate::domain::sequence::Sequence;
use crate::domain::verdict::{Purpose, Verdict};

const DIGEST_BYTES: usize = 32;
const ID_BYTES: usize = 16;
/// Days of a card's start are counted from here.
const FIRST_DAY: Date = Date::constant(1970, 1, 1);
const NO_DAY: i32 = i32::MAX;

/// Adds a sighting's bytes.
pub(super) fn write(out: &mut Vec<u8>, sighting: &Sighting) {
    out.extend_from_slice(sighting.digest.expose());
    out.extend_from_slice(sighting.check_id.as_bytes());
    out.extend_from_slice(sighting.organization.as_bytes());
    out.extend_from_slice(sighting.client.unwrap_or(ClientId::nil()).as_bytes());
    out.extend_from_slice(&sighting.sequence.get().to_le_bytes());
    out.extend_from_slice(&sighting.seen_at_ms.get().to_le_bytes());
    out.extend_from_slice(&sighting.card_valid_from.map_or(NO_DAY, days).to_le_bytes());
    let site = sighting.site.as_ref().map_or("", Label::as_str);
    out.extend_from_slice(&[place(Purpose::ALL, &sighting.purpose), place(Verdict::ALL, &sighting.verdict)]);
    out.push(u8::try_from(site.len()).unwrap_or(0));
    out.extend_from_slice(
        site.get(..usize::from(u8::try_from(site.len()).unwrap_or(0))).unwrap_or_default().as_bytes(),
    );
}

/// The sighting of such bytes.
pub(super) fn read(bytes: &[u8]) -> Option<Sighting> {
    let (digest, rest) = bytes.split_first_chunk::<DIGEST_BYTES>()?;
    let (check_id, rest) = rest.split_first_chunk::<ID_BYTES>()?;
    let (organization, rest) = rest.split_first_chunk::<ID_BYTES>()?;
    let (client, rest) = rest.split_first_chunk::<ID_BYTES>()?;
    let (sequence, rest) = rest.split_first_chunk()?;
    let (seen_at_ms, rest) = rest.split_first_chunk()?;
    let (start, rest) = rest.split_first_chunk()?;
    let ([purpose, verdict, length], site) = rest.split_first_chunk()?;
    let site = std::str::from_utf8(site).ok().filter(|site| site.len() == usize::from(*length))?;
    Some(Sighting {
        check_id: CheckId::from_bytes(*check_id),
        organization: OrganizationId::from_bytes(*organization),
        client: Some(ClientId::from_bytes(*client)).filter(|client| *client != ClientId::nil()),
        digest: IdDigest::from_bytes(*digest),
        card_valid_from: match i32::from_le_bytes(*start) {
            NO_DAY => None,
            days => Some(FIRST_DAY.checked_add(jiff::Span::new().try_days(days).ok()?).ok()?),
        },
        site: if site.is_empty() { None } else { Some(Label::parse(site)?) },
        purpose: *Purpose::ALL.get(usize::from(*purpose))?,
        verdict: *Verdict::ALL.get(usize::from(*verdict))?,
        sequence: Sequence::new(u64::from_le_bytes(*sequence)),
        seen_at_ms: UnixMs::new(i64::from_le_bytes(*seen_at_ms)),
    })
}

fn days(date: Date) -> i32 {
    i32::try_from(FIRST_DAY.duration_until(date).as_hours() / 24).unwrap_or(NO_DAY)
}

/// Words keep their places: a journal may be read by a later version.
fn place<T: PartialEq>(all: &[T], one: &T) -> u8 {
    all.iter().position(|other| other == one).and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_that_is_cut() {
        let whole = Sighting {
            check_id: CheckId::from_u128(1),
            organization: OrganizationId::from_u128(2),
            client: Some(ClientId::from_u128(3)),
            digest: IdDigest::from_bytes([4; 32]),
            card_valid_from: Some(jiff::civil::date(1984, 4, 6)),
            site: Label::parse("west"),
            purpose: Purpose::Telecom,
            verdict: Verdict::NumberListed,
            sequence: Sequence::new(u64::MAX),
            seen_at_ms: UnixMs::new(1_800_000_000_000),
        };
        let bare = Sighting { client: None, card_valid_from: None, site: None, ..whole.clone() };
        for sighting in [whole, bare] {
            let mut bytes = Vec::new();
            write(&mut bytes, &sighting);
            assert_eq!(read(&bytes).as_ref(), Some(&sighting));
            assert!((0..bytes.len()).all(|length| read(&bytes[..length]).is_none()));
            bytes.push(0);
            assert!(read(&bytes).is_none());
        }
    }
}
