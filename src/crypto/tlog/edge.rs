//! The right edge of a growing tree: the tiles that are not full, which is all that appending needs and the root is made of.

use super::proof::Range;
use super::tile::{Level, Place, TileName, WIDTH};
use super::tree::{Hash, empty_root, fold, root};

/// A tile that has been filled, or changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Tile {
    pub level: u8,
    pub index: u64,
    pub hashes: Vec<Hash>,
}

/// The partial tiles of a tree, by level.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// The partial tiles that a tree of so many leaves has: these have to be read to continue it.
    pub fn tiles_of(size: u64) -> Vec<TileName> {
        let partial = |level: u8| {
            let there = size.checked_shr(u32::from(level) * 8).filter(|there| *there > 0)?;
            Some(TileName { level: Level::Hashes(level), index: there / WIDTH, width: there % WIDTH })
        };
        (0..8).map_while(partial).filter(|tile| tile.width > 0).collect()
    }

    /// The edge of a tree of `size` leaves, whose partial tiles are these; none where they are not.
    pub fn of(size: u64, tiles: Vec<Tile>) -> Option<Self> {
        let wanted = Self::tiles_of(size);
        let mut edge = Self { size, levels: Vec::new() };
        if wanted.len() != tiles.len() {
            return None;
        }
        for (name, tile) in wanted.iter().zip(tiles) {
            let is_it = name.level == Level::Hashes(tile.level) && name.index == tile.index;
            if !is_it || tile.hashes.len() as u64 != name.width {
                return None;
            }
            edge.levels.resize(usize::from(tile.level) + 1, Vec::new());
            edge.levels[usize::from(tile.level)] = tile.hashes;
        }
        Some(edge)
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf's hash; gives the tiles that it filled, which are not kept here any more.
    pub fn push(&mut self, leaf: Hash) -> Vec<Tile> {
        self.size += 1;
        let (mut carried, mut filled) = (leaf, Vec::new());
        for level in 0_u8.. {
            let at = usize::from(level);
            if self.levels.len() <= at {
                self.levels.push(Vec::new());
            }
            self.levels[at].push(carried);
            if (self.levels[at].len() as u64) < WIDTH {
                break;
            }
            let hashes = std::mem::take(&mut self.levels[at]);
            carried = root(&hashes);
            filled.push(Tile { level, index: (self.size >> (8 * (u32::from(level) + 1))) - 1, hashes });
        }
        filled
    }

    /// The tiles that are not full, lowest first.
    pub fn partial(&self) -> Vec<Tile> {
        let tile = |(name, hashes): (TileName, &Vec<Hash>)| {
            let Level::Hashes(level) = name.level else { return None };
            Some(Tile { level, index: name.index, hashes: hashes.clone() })
        };
        Self::tiles_of(self.size)
            .into_iter()
            .zip(self.levels.iter().filter(|hashes| !hashes.is_empty()))
            .filter_map(tile)
            .collect()
    }

    /// The root of the whole tree.
    pub fn root(&self) -> Hash {
        let read = |subtree| {
            let place = Place::of(subtree);
            place.read(self.levels.get(usize::from(place.level))?)
        };
        let subtrees = Range { start: 0, end: self.size }.subtrees().into_iter().map(read).collect::<Option<Vec<_>>>();
        subtrees.and_then(|subtrees| fold(&subtrees)).unwrap_or_else(empty_root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::tlog::tree::leaf_hash;

    /// Far enough for a full tile of level 1.
    #[test]
    fn an_edge_has_the_root_of_its_tree_at_every_size_and_survives_its_tiles() {
        let (mut edge, mut leaves, mut full) = (Edge::default(), Vec::new(), 0);
        assert_eq!(edge.root(), root(&[]));
        for size in 1..=66_000_u64 {
            let leaf = leaf_hash(&size.to_be_bytes());
            leaves.push(leaf);
            for tile in edge.push(leaf) {
                assert_eq!(tile.hashes.len(), 256);
                let span = 256_usize.pow(u32::from(tile.level));
                let start = usize::try_from(tile.index).unwrap() * 256 * span;
                assert_eq!(tile.hashes[7], root(&leaves[start + 7 * span..start + 8 * span]));
                full += 1;
            }
            let is_near = |edge: u64| size.abs_diff(edge) < 3;
            if size < 600 || is_near(65_536) || size % 4099 == 0 {
                assert_eq!(edge.root(), root(&leaves), "{size}");
                let again = Edge::of(size, edge.partial()).unwrap();
                assert_eq!((again.root(), again.size()), (edge.root(), size));
                assert_eq!(Edge::of(size + 1, edge.partial()), None);
            }
        }
        assert_eq!(full, 257 + 1);
    }
}
