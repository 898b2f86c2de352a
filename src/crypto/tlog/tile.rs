//! Tiles (C2SP tlog-tiles): their names, what of the tree lies in which, and bundles of entries.

use std::fmt;

use super::proof::Subtree;
use super::tree::{Hash, root};

/// How many hashes a full tile has, and how many entries a full bundle.
pub const WIDTH: u64 = 256;
/// So many levels of the tree are one level of tiles.
const HEIGHT: u32 = 8;
/// A log of 2^56 leaves has no more.
pub const LEVEL_MAX: u8 = 63;

/// What a tile is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Hashes(u8),
    Entries,
}

/// A tile as its path names it: everything behind `tile/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TileName {
    pub level: Level,
    pub index: u64,
    /// From 1 to 256; below 256 the tile is a partial one.
    pub width: u64,
}

impl TileName {
    /// Reads `0/x001/234`, `1/000.p/17`, `entries/x001/234.p/17`. One text for each tile: no other zeros, no other case.
    pub fn parse(path: &str) -> Option<Self> {
        let (level, rest) = path.split_once('/')?;
        let level = match level {
            "entries" => Level::Entries,
            digits => Level::Hashes(decimal(digits).and_then(|level| u8::try_from(level).ok())?),
        };
        if matches!(level, Level::Hashes(level) if level > LEVEL_MAX) {
            return None;
        }
        let (number, width) = match rest.split_once(".p/") {
            None => (rest, WIDTH),
            Some((number, width)) => (number, decimal(width).filter(|width| (1..WIDTH).contains(width))?),
        };
        let mut index = 0_u64;
        let mut parts = number.split('/').peekable();
        while let Some(part) = parts.next() {
            let digits = if parts.peek().is_some() { part.strip_prefix('x')? } else { part };
            let is_three = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
            let value = is_three.then(|| digits.parse::<u64>().ok()).flatten()?;
            index = index.checked_mul(1000)?.checked_add(value)?;
        }
        let name = Self { level, index, width };
        // A leading `x000` would be a second name.
        (name.to_string() == path).then_some(name)
    }

    /// Whether a tree of so many leaves has all that is in it.
    pub fn is_within(self, size: u64) -> bool {
        let level = match self.level {
            Level::Hashes(level) => u32::from(level),
            Level::Entries => 0,
        };
        let there = size.checked_shr(HEIGHT * level).unwrap_or(0);
        self.index.checked_mul(WIDTH).and_then(|start| start.checked_add(self.width)).is_some_and(|end| end <= there)
    }
}

impl fmt::Display for TileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Level::Hashes(level) => write!(f, "{level}/")?,
            Level::Entries => f.write_str("entries/")?,
        }
        let mut parts = vec![format!("{:03}", self.index % 1000)];
        let mut rest = self.index / 1000;
        while rest > 0 {
            parts.push(format!("x{:03}", rest % 1000));
            rest /= 1000;
        }
        parts.reverse();
        f.write_str(&parts.join("/"))?;
        if self.width < WIDTH { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

/// A decimal as it is written: no sign, no further zeros.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    is_plain.then(|| text.parse().ok()).flatten()
}

/// Where a complete subtree lies: the tile, and the hashes in it that it spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub level: u8,
    pub index: u64,
    start: usize,
    end: usize,
}

impl Place {
    /// The place of a subtree.
    pub fn of(subtree: Subtree) -> Self {
        let inside = subtree.height % HEIGHT;
        let first = subtree.index << inside;
        let start = (first % WIDTH) as usize;
        // Heights are below 64.
        let level = u8::try_from(subtree.height / HEIGHT).unwrap_or(LEVEL_MAX);
        Self { level, index: first / WIDTH, start, end: start + (1 << inside) }
    }

    /// The subtree's hash, from the tile's hashes, if there are enough.
    pub fn read(self, hashes: &[Hash]) -> Option<Hash> {
        hashes.get(self.start..self.end).map(root)
    }
}

/// The hashes of a tile's bytes; none where they are not whole hashes.
pub fn hashes(bytes: &[u8]) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| hashes.to_vec())
}

/// Appends an entry to a bundle. Entries have at most 65,535 bytes; a longer one is left out and `false`.
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> bool {
    let Ok(length) = u16::try_from(entry.len()) else { return false };
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    true
}

/// The entries of a bundle; none where it does not end with one.
pub fn entries(mut bundle: &[u8]) -> Option<Vec<&[u8]>> {
    let mut found = Vec::new();
    while !bundle.is_empty() {
        let (length, rest) = bundle.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        found.push(entry);
        bundle = rest;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_specification_and_no_others() {
        let hashes = |level, index, width| TileName { level: Level::Hashes(level), index, width };
        let names = [
            ("0/x001/x234/067", hashes(0, 1_234_067, 256)),
            ("0/x001/234.p/17", hashes(0, 1234, 17)),
            ("1/000", hashes(1, 0, 256)),
            ("63/999.p/255", hashes(63, 999, 255)),
            ("entries/x001/000.p/1", TileName { level: Level::Entries, index: 1000, width: 1 }),
        ];
        for (text, name) in names {
            assert_eq!((TileName::parse(text), name.to_string()), (Some(name), text.to_owned()));
        }
        let others = "0 0/ 0/1 0/01 0/0001 00/001 64/001 -1/001 +0/001 0/x000/001 0/001/002 0/x001 0/x01/002 0/001.p/0 0/001.p/256 0/001.p/01 \
             0/001.p/ 0/001/ /001 entries entries/1 Entries/001 0/001.p/+1 0/X001/002 0/٠٠١ 0/x999/x999/x999/x999/x999/x999/x999/999";
        for text in others.split_whitespace() {
            assert_eq!(TileName::parse(text), None, "{text}");
        }
        assert_eq!(TileName::parse(""), None);
    }

    /// The example of the specification: 70,000 leaves.
    #[test]
    fn a_tree_has_the_tiles_of_its_size() {
        let has = |text: &str| TileName::parse(text).unwrap().is_within(70_000);
        for there in ["0/272", "0/273.p/112", "entries/273.p/112", "1/000", "1/001.p/17", "2/000.p/1"] {
            assert!(has(there), "{there}");
        }
        for missing in
            ["0/273", "0/273.p/113", "entries/273", "1/001", "1/001.p/18", "2/000.p/2", "3/000.p/1", "63/000.p/1"]
        {
            assert!(!has(missing), "{missing}");
        }
    }

    #[test]
    fn a_bundle_gives_back_its_entries() {
        let (mut bundle, all) = (Vec::new(), [vec![1; 20], vec![], vec![2; 65_535]]);
        assert!(all.iter().all(|entry| push_entry(&mut bundle, entry)));
        assert_eq!(entries(&bundle).unwrap(), all);
        assert!(!push_entry(&mut bundle, &vec![0; 65_536]));
        assert_eq!(entries(&bundle[..bundle.len() - 1]), None);
        assert_eq!(entries(&[0]), None);
    }

    #[test]
    fn a_subtree_is_read_from_its_tile() {
        let leaves: Vec<Hash> = (0..=255).map(|byte| [byte; 32]).collect();
        let read = |height, index| Place::of(Subtree { height, index });
        assert_eq!(read(0, 5).read(&leaves), Some([5; 32]));
        assert_eq!(read(2, 1).read(&leaves), Some(root(&leaves[4..8])));
        assert_eq!(read(2, 1).read(&leaves[..7]), None);
        let (eighth, next) = (read(8, 300), read(7, 3));
        assert_eq!((eighth.level, eighth.index, eighth.read(&leaves)), (1, 1, Some([44; 32])));
        assert_eq!((next.level, next.index, next.read(&leaves)), (0, 1, Some(root(&leaves[128..]))));
    }
}
