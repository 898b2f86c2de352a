//! What follows the header of a saved file: a filter's fingerprints (little-endian), or the entries of exact listings byte for
//! byte. Until the MAC is read a header is not believed: memory is taken only for what the file is long enough to hold.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xorf::{BinaryFuse16, Descriptor};

use super::disk_file::{Authenticated, Header, MAC_BYTES, Refusal};
use super::exact::{ENTRY_BYTES, Exact, PARTS, Part};
use super::filter::Filter;
use super::snapshot::Base;
use crate::crypto::pepper::KeyVersions;

/// What is in hand at a time between file, MAC and memory.
const CHUNK_BYTES: usize = 1 << 16;

/// The descriptor of a part's fuse filter. Its other members follow from these.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FilterPart {
    seed: u64,
    segment_length: u32,
    segment_count_length: u32,
}

/// How many listings a part holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct ExactPart(u32);

impl FilterPart {
    fn of(fuse: &BinaryFuse16) -> Self {
        let Descriptor { seed, segment_length, segment_count_length, .. } = fuse.descriptor;
        Self { seed, segment_length, segment_count_length }
    }

    /// A look-up goes at most two segments beyond the last one that it starts in.
    fn fingerprints(&self) -> u64 {
        u64::from(self.segment_count_length) + 2 * u64::from(self.segment_length)
    }

    fn with(&self, fingerprints: Box<[u16]>) -> BinaryFuse16 {
        let descriptor = Descriptor {
            seed: self.seed,
            segment_length: self.segment_length,
            segment_length_mask: self.segment_length.saturating_sub(1),
            segment_count_length: self.segment_count_length,
        };
        BinaryFuse16 { descriptor, fingerprints }
    }
}

pub(super) fn of_filter(filter: &Filter) -> Vec<FilterPart> {
    filter.parts().iter().map(FilterPart::of).collect()
}

pub(super) fn of_exact(exact: &Exact) -> Vec<ExactPart> {
    let count = |part: &Arc<Part>| ExactPart(u32::try_from(part.bytes().len() / ENTRY_BYTES).unwrap_or(u32::MAX));
    exact.parts().iter().map(count).collect()
}

pub(super) fn read_filter(file: &mut Authenticated<File>, header: &Header<FilterPart>) -> Result<Base, Refusal> {
    let bytes = header.parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(part.fingerprints().checked_mul(2)?));
    expect_left(file, bytes)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut parts = Vec::with_capacity(header.parts.len());
    for part in &header.parts {
        let length = usize::try_from(part.fingerprints()).map_err(|_| Refusal::Damaged)?;
        let mut fingerprints = vec![0_u16; length].into_boxed_slice();
        for some in fingerprints.chunks_mut(CHUNK_BYTES / 2) {
            let bytes = &mut chunk[..some.len() * 2];
            file.fill(bytes)?;
            let (pairs, _) = bytes.as_chunks();
            some.iter_mut().zip(pairs).for_each(|(to, pair)| *to = u16::from_le_bytes(*pair));
        }
        parts.push(part.with(fingerprints));
    }
    Ok(Base::Filter(Filter::from_parts(parts, header.keys, header.built_at).into()))
}

pub(super) fn read_exact(file: &mut Authenticated<File>, header: &Header<ExactPart>) -> Result<Base, Refusal> {
    let counts = header.parts.iter().map(|ExactPart(count)| u64::from(*count));
    let (all, is_whole) = (counts.sum::<u64>(), header.parts.len() == PARTS);
    expect_left(file, Some(all.saturating_mul(ENTRY_BYTES as u64)).filter(|_| is_whole && all == header.keys))?;
    let mut parts = Vec::with_capacity(PARTS);
    for ExactPart(count) in &header.parts {
        let mut bytes = vec![0; *count as usize * ENTRY_BYTES];
        for some in bytes.chunks_mut(CHUNK_BYTES) {
            file.fill(some)?;
        }
        parts.push(Arc::new(Part::new(bytes)));
    }
    let versions = KeyVersions { current: header.key_version, previous: None };
    Ok(Base::Exact(Exact::new(parts, header.built_at, versions).into()))
}

/// Refuses a header that names more or less than the file has.
fn expect_left(file: &mut Authenticated<File>, bytes: Option<u64>) -> Result<(), Refusal> {
    let left = file.file.metadata()?.len().saturating_sub(file.file.stream_position()?);
    let named = bytes.and_then(|bytes| bytes.checked_add(MAC_BYTES as u64));
    if named == Some(left) { Ok(()) } else { Err(Refusal::Damaged) }
}

pub(super) fn write_filter(file: &mut Authenticated<impl Write>, filter: &Filter) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    for part in filter.parts() {
        for some in part.fingerprints.chunks(CHUNK_BYTES / 2) {
            let bytes = &mut chunk[..some.len() * 2];
            let (pairs, _) = bytes.as_chunks_mut();
            some.iter().zip(pairs).for_each(|(from, pair)| *pair = from.to_le_bytes());
            file.put(bytes)?;
        }
    }
    Ok(())
}

pub(super) fn write_exact(file: &mut Authenticated<impl Write>, exact: &Exact) -> io::Result<()> {
    exact.parts().iter().try_for_each(|part| part.bytes().chunks(CHUNK_BYTES).try_for_each(|some| file.put(some)))
}
