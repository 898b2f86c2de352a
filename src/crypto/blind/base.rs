//! The base: every listing of one moment, in 4.2 to 4.5 bytes, in parts of 2,000 to 4,000 that are fetched by range. It tells
//! nobody more than how many listings there are, unless a number was evaluated.
//!
//! Bytes, all numbers with the high end first: `LCB1`, log2 of the parts, 28, 16, 18, u64 sequence; for each part u32 offset from
//! the beginning of the file and SHA-256; the parts. A part: u16 count, the tags as Golomb-Rice coded differences to the one
//! before (the first to 0), then the words, then zeros up to the next byte.

use sha2::{Digest, Sha256};

use super::bits::{BitReader, BitWriter};
use super::entry::BlindStatus;
use super::key::Evaluated;

const BASE_LABEL: &[u8] = b"lostcard:blind:base:v1:";
const MAGIC: &[u8; 4] = b"LCB1";
const TAG_BITS: u32 = 28;
const RICE_BITS: u32 = 16;
const WORD_BITS: u32 = 18;
/// Of the header, up to the index.
pub const HEADER_BYTES: usize = 16;
/// Of one part in the index.
pub const INDEX_BYTES: usize = 36;
/// The most listings of a part on average.
const PART_LISTINGS_MAX: usize = 4096;
/// More parts do not fit in with tag and word into 64 bits: a thousand million listings.
const PARTS_LOG2_MAX: u32 = u64::BITS - TAG_BITS - WORD_BITS;

/// A base cannot be made of so much, or is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BaseError {
    #[error("there are more listings than a base holds")]
    TooMany,
    #[error("not a base of this form")]
    Malformed,
    #[error("the part is not the one of the index")]
    OtherPart,
}

/// Takes listings in any order.
#[derive(Debug)]
pub struct BaseBuilder {
    sequence: u64,
    /// The first bits of the placement, and the hidden word in the last 18.
    packed: Vec<u64>,
}

/// A finished base.
#[derive(Debug)]
pub struct Base {
    pub bytes: Vec<u8>,
    /// SHA-256 of header and index, which has those of the parts.
    pub manifest: [u8; 32],
}

/// One listing as the base will have it; made where there is a core to spare.
#[derive(Debug, Clone, Copy)]
pub struct BaseItem(u64);

impl BaseItem {
    /// Of a number that is listed at the base's sequence.
    pub fn of(evaluated: &Evaluated, status: BlindStatus, base_sequence: u64) -> Self {
        let word = status.to_word() ^ pad_of(evaluated, base_sequence);
        Self(((evaluated.placement() >> WORD_BITS) << WORD_BITS) | u64::from(word))
    }
}

impl BaseBuilder {
    /// A base of what is listed at `sequence`.
    pub fn new(sequence: u64) -> Self {
        Self { sequence, packed: Vec::new() }
    }

    pub fn push(&mut self, item: BaseItem) {
        self.packed.push(item.0);
    }

    /// Sorts what was taken, and writes it.
    pub fn finish(mut self) -> Result<Base, BaseError> {
        let parts_log2 = parts_log2(self.packed.len());
        if parts_log2 > PARTS_LOG2_MAX {
            return Err(BaseError::TooMany);
        }
        self.packed.sort_unstable();
        let parts = 1_usize << parts_log2;
        let mut bytes = Vec::with_capacity(HEADER_BYTES + parts * INDEX_BYTES + self.packed.len() * 9 / 2);
        bytes.extend_from_slice(MAGIC);
        for bits in [parts_log2, TAG_BITS, RICE_BITS, WORD_BITS] {
            let [.., byte] = bits.to_be_bytes();
            bytes.push(byte);
        }
        bytes.extend_from_slice(&self.sequence.to_be_bytes());
        bytes.resize(HEADER_BYTES + parts * INDEX_BYTES, 0);
        let mut rest = self.packed.as_slice();
        for part in 0..parts {
            let (own, later) = rest.split_at(rest.partition_point(|item| part_of(*item, parts_log2) <= part));
            rest = later;
            let coded = code(own, parts_log2)?;
            let offset = u32::try_from(bytes.len()).map_err(|_| BaseError::TooMany)?;
            let place = HEADER_BYTES + part * INDEX_BYTES;
            bytes[place..place + 4].copy_from_slice(&offset.to_be_bytes());
            bytes[place + 4..place + INDEX_BYTES].copy_from_slice(&Sha256::digest(&coded));
            bytes.extend_from_slice(&coded);
        }
        let manifest = Sha256::digest(&bytes[..HEADER_BYTES + parts * INDEX_BYTES]).into();
        Ok(Base { bytes, manifest })
    }
}

/// `max(0, ceil(log2(n / 4096)))`
fn parts_log2(listings: usize) -> u32 {
    listings.div_ceil(PART_LISTINGS_MAX).next_power_of_two().trailing_zeros()
}

fn part_of(placement: u64, parts_log2: u32) -> usize {
    let part = placement.checked_shr(u64::BITS - parts_log2).unwrap_or(0);
    usize::try_from(part).unwrap_or(usize::MAX)
}

fn tag_of(placement: u64, parts_log2: u32) -> u32 {
    let tag = (placement << parts_log2) >> (u64::BITS - TAG_BITS);
    u32::try_from(tag).unwrap_or(u32::MAX)
}

fn pad_of(evaluated: &Evaluated, base_sequence: u64) -> u32 {
    let pad = evaluated.pad(BASE_LABEL, base_sequence);
    let first = pad.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    first >> (u32::BITS - WORD_BITS)
}

fn code(items: &[u64], parts_log2: u32) -> Result<Vec<u8>, BaseError> {
    let count = u16::try_from(items.len()).map_err(|_| BaseError::TooMany)?;
    let mut bits = BitWriter::default();
    bits.push(u32::from(count), u16::BITS);
    let mut before = 0;
    for item in items {
        let tag = tag_of(*item, parts_log2);
        bits.push_unary((tag - before) >> RICE_BITS);
        bits.push(tag - before, RICE_BITS);
        before = tag;
    }
    for item in items {
        let [.., high, middle, low] = item.to_be_bytes();
        bits.push(u32::from_be_bytes([0, high, middle, low]), WORD_BITS);
    }
    Ok(bits.finish())
}

/// Header and index of a base, by which parts are found and known.
#[derive(Debug, Clone)]
pub struct BaseIndex {
    sequence: u64,
    parts_log2: u32,
    parts: Vec<(u32, [u8; 32])>,
}

impl BaseIndex {
    /// What tells how long the index is.
    pub const HEADER_BYTES: usize = HEADER_BYTES;

    /// How long header and index are, from the header.
    pub fn length(header: &[u8]) -> Result<usize, BaseError> {
        Ok(HEADER_BYTES + (1_usize << read_header(header)?.0) * INDEX_BYTES)
    }

    /// Reads both; what follows them is not looked at.
    pub fn parse(bytes: &[u8]) -> Result<Self, BaseError> {
        let (parts_log2, sequence) = read_header(bytes)?;
        let index = bytes.get(HEADER_BYTES..Self::length(bytes)?).ok_or(BaseError::Malformed)?;
        let (entries, _) = index.as_chunks::<INDEX_BYTES>();
        let parts = entries.iter().map(|entry| {
            let (offset, hash) = entry.split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
            let hash = hash.try_into().map_err(|_| BaseError::Malformed)?;
            Ok((u32::from_be_bytes(*offset), hash))
        });
        Ok(Self { sequence, parts_log2, parts: parts.collect::<Result<_, _>>()? })
    }

    /// The sequence at which everything in it was listed.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Whether a whole base is what its index says.
    pub fn is_of(&self, base: &[u8]) -> bool {
        let place = |at: u32| usize::try_from(at).unwrap_or(usize::MAX);
        let ends = self.parts.iter().skip(1).map(|(offset, _)| place(*offset)).chain([base.len()]);
        let is_part = |((offset, hash), end): (&(u32, [u8; 32]), usize)| {
            base.get(place(*offset)..end).is_some_and(|part| Sha256::digest(part).as_slice() == hash)
        };
        self.parts.iter().zip(ends).all(is_part)
    }

    /// Where the part of a number lies: number of the part, first byte, and the byte after the last, none for that of the file.
    pub fn part(&self, evaluated: &Evaluated) -> (usize, u32, Option<u32>) {
        let part = part_of(evaluated.placement(), self.parts_log2);
        let begin = |part: usize| self.parts.get(part).map(|(offset, _)| *offset);
        (part, begin(part).unwrap_or(0), begin(part + 1))
    }

    /// What a part says of a number: nothing, or what each entry with its tag says. At most one is its own.
    pub fn read(&self, evaluated: &Evaluated, part: &[u8]) -> Result<Vec<BlindStatus>, BaseError> {
        let (number, ..) = self.part(evaluated);
        let hash = self.parts.get(number).map(|(_, hash)| hash).ok_or(BaseError::Malformed)?;
        if Sha256::digest(part).as_slice() != hash {
            return Err(BaseError::OtherPart);
        }
        let tag = tag_of(evaluated.placement(), self.parts_log2);
        let places = places_of(part, tag).ok_or(BaseError::Malformed)?;
        let pad = pad_of(evaluated, self.sequence);
        Ok(places.into_iter().map(|word| BlindStatus::from_word(word ^ pad)).collect())
    }
}

fn read_header(bytes: &[u8]) -> Result<(u32, u64), BaseError> {
    let header = bytes.first_chunk::<HEADER_BYTES>().ok_or(BaseError::Malformed)?;
    let [b'L', b'C', b'B', b'1', parts_log2, 28, 16, 18, sequence @ ..] = header else {
        return Err(BaseError::Malformed);
    };
    if u32::from(*parts_log2) > PARTS_LOG2_MAX {
        return Err(BaseError::Malformed);
    }
    Ok((u32::from(*parts_log2), u64::from_be_bytes(*sequence)))
}

/// The words beside a tag.
fn places_of(part: &[u8], wanted: u32) -> Option<Vec<u32>> {
    let mut bits = BitReader::new(part);
    let count = bits.take(u16::BITS)?;
    let (mut tag, mut found) = (0_u32, Vec::new());
    for place in 0..count {
        let delta = bits.take_unary()?.checked_shl(RICE_BITS)? | bits.take(RICE_BITS)?;
        tag = tag.checked_add(delta)?;
        if tag == wanted {
            found.push(place);
        }
    }
    let word = |place: &u32| {
        let mut at = bits;
        at.skip(usize::try_from(place * WORD_BITS).ok()?);
        at.take(WORD_BITS)
    };
    found.iter().map(word).collect()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::card::Threshold;
    use crate::domain::verdict::{Listing, ListingKind};

    /// F of a number: bytes that a key would make, without the 50 us of making them.
    fn evaluated(of: u32) -> Evaluated {
        let (one, two) = (Sha256::digest(of.to_be_bytes()), Sha256::digest([of.to_be_bytes(), [1; 4]].concat()));
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&one);
        bytes[32..].copy_from_slice(&two);
        Evaluated::from_bytes(bytes)
    }

    fn status(of: u32) -> BlindStatus {
        let day = date(1990, 1, 1).checked_add(jiff::Span::new().days(of % 12_000)).unwrap();
        BlindStatus::of(Some(&Listing {
            threshold: (!of.is_multiple_of(5)).then_some(Threshold::of_lost_card(day)),
            card_unknown: of.is_multiple_of(5),
            kind: if of.is_multiple_of(3) { ListingKind::Superseded } else { ListingKind::Reported },
            since: day,
        }))
    }

    fn base_of(numbers: std::ops::Range<u32>) -> Base {
        let mut builder = BaseBuilder::new(77);
        for of in numbers {
            builder.push(BaseItem::of(&evaluated(of), status(of), 77));
        }
        builder.finish().unwrap()
    }

    fn look_up(base: &[u8], evaluated: &Evaluated) -> Result<Vec<BlindStatus>, BaseError> {
        let index = BaseIndex::parse(base)?;
        let (_, from, to) = index.part(evaluated);
        let to = to.map_or(base.len(), |to| to as usize);
        index.read(evaluated, base.get(from as usize..to).ok_or(BaseError::Malformed)?)
    }

    #[test]
    fn each_listing_is_found_and_others_hardly_ever() {
        for count in [0, 1, 2, 4_096, 4_097, 20_000] {
            let base = base_of(0..count);
            let index = BaseIndex::parse(&base.bytes).unwrap();
            assert_eq!(
                (index.sequence(), index.parts.len()),
                (77, (count as usize).div_ceil(4_096).next_power_of_two().max(1))
            );
            for of in (0..count).step_by(7) {
                let found = look_up(&base.bytes, &evaluated(of)).unwrap();
                assert!(found.contains(&status(of)), "{of} of {count}");
            }
            let strangers =
                (count..count + 500).filter(|of| !look_up(&base.bytes, &evaluated(*of)).unwrap().is_empty());
            assert!(strangers.count() < 3, "one of 65,000 is a chance");
        }
    }

    #[test]
    fn a_listing_takes_at_most_4_6_bytes() {
        for count in [4_096, 20_000, 40_000] {
            let bytes = base_of(0..count).bytes.len();
            assert!(bytes * 10 <= 46 * count as usize, "{bytes} for {count}");
        }
    }

    #[test]
    fn equal_tags_both_stand() {
        let mut builder = BaseBuilder::new(77);
        let twice = evaluated(1);
        builder.push(BaseItem::of(&twice, status(1), 77));
        builder.push(BaseItem::of(&twice, status(2), 77));
        let base = builder.finish().unwrap();
        let found = look_up(&base.bytes, &twice).unwrap();
        assert!(found.len() == 2 && found.contains(&status(1)) && found.contains(&status(2)));
    }

    #[test]
    fn the_bytes_are_those_of_the_document() {
        let base = base_of(0..2).bytes;
        assert_eq!(base[..16], *b"LCB1\0\x1c\x10\x12\0\0\0\0\0\0\0\x4d");
        assert_eq!(base[16..20], 52_u32.to_be_bytes());
        assert_eq!(base[20..52], *Sha256::digest(&base[52..]));
        assert_eq!(base[52..54], [0, 2]);
        assert_eq!(base_of(0..2).manifest, *Sha256::digest(&base[..52]));
        // The tags, bit by bit.
        let mut tags = [0, 1].map(|of| evaluated(of).placement() >> 36);
        tags.sort_unstable();
        let coded = |delta: u64| format!("{}0{:016b}", "1".repeat((delta >> 16) as usize), delta & 0xffff);
        let expected = coded(tags[0]) + &coded(tags[1] - tags[0]);
        let bits = base[54..].iter().map(|byte| format!("{byte:08b}")).collect::<Vec<_>>().concat();
        assert!(bits.starts_with(&expected));
        assert_eq!(bits.len(), (expected.len() + 36).div_ceil(8) * 8);
    }

    #[test]
    fn parts_are_as_many_as_the_document_says() {
        for (listings, log2) in [(0, 0), (4_096, 0), (4_097, 1), (8_192, 1), (8_193, 2), (10_000_000, 12)] {
            assert_eq!(parts_log2(listings), log2, "{listings}");
        }
    }

    proptest! {
        #[test]
        fn damage_is_noticed_and_nothing_panics(at: prop::sample::Index, bit in 0..8_u32, of in 0..300_u32) {
            let mut bytes = base_of(0..300).bytes;
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            // The sequence is the manifest's affair.
            if !(8..16).contains(&at) {
                prop_assert!(look_up(&bytes, &evaluated(of)).is_err());
            }
        }

        #[test]
        fn nonsense_is_no_part(bytes in proptest::collection::vec(any::<u8>(), 0..400), tag in 0..1_u32 << 28) {
            if let Some(found) = places_of(&bytes, tag) {
                prop_assert!(found.len() <= bytes.len() * 8);
            }
            let _ = BaseIndex::parse(&bytes);
        }
    }
}
