//! Which ranges of leaves a proof is made of (RFC 9162, 2.1.3.1 and 2.1.4.1), and which complete subtrees a range is: what a maker
//! of proofs has to read.

use super::tree::{Hash, fold, split};

/// A complete subtree: the leaves from `index << height`, `1 << height` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subtree {
    pub height: u32,
    pub index: u64,
}

/// Leaves from `start` to before `end`, as a tree divides them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub start: u64,
    pub end: u64,
}

impl Range {
    /// The complete subtrees of it, from the left. Where trees divide, each begins at a multiple of its size.
    pub fn subtrees(self) -> Vec<Subtree> {
        let (mut start, mut found) = (self.start, Vec::new());
        while start < self.end {
            let height = (self.end - start).ilog2();
            found.push(Subtree { height, index: start >> height });
            start += 1 << height;
        }
        found
    }

    fn halves(self) -> (Self, Self) {
        let middle = self.start + split(self.end - self.start);
        (Self { end: middle, ..self }, Self { start: middle, ..self })
    }

    fn size(self) -> u64 {
        self.end - self.start
    }
}

/// The path of a leaf, from below. Empty where there is no such leaf.
pub fn inclusion(index: u64, size: u64) -> Vec<Range> {
    let (mut range, mut path) = (Range { start: 0, end: size }, Vec::new());
    while index < size && range.size() > 1 {
        let (left, right) = range.halves();
        let (inside, beside) = if index < left.end { (left, right) } else { (right, left) };
        path.push(beside);
        range = inside;
    }
    path.reverse();
    path
}

/// The proof that a tree continues an older one; empty from nothing and to the same size.
pub fn consistency(old_size: u64, new_size: u64) -> Vec<Range> {
    if old_size == 0 || old_size >= new_size {
        return Vec::new();
    }
    let (mut range, mut proof) = (Range { start: 0, end: new_size }, Vec::new());
    // Until the range is one that the old tree had whole.
    while range.end != old_size {
        let (left, right) = range.halves();
        let (inside, beside) = if old_size <= left.end { (left, right) } else { (right, left) };
        proof.push(beside);
        range = inside;
    }
    // The asker has the old root: it is not told where it is the range itself.
    if range.start > 0 {
        proof.push(range);
    }
    proof.reverse();
    proof
}

/// The same with every node of it: also the old tree as one, where it is a node of the new one.
pub fn whole_consistency(old_size: u64, new_size: u64) -> Vec<Range> {
    let mut proof = consistency(old_size, new_size);
    if old_size.is_power_of_two() && old_size < new_size {
        proof.insert(0, Range { start: 0, end: old_size });
    }
    proof
}

/// The hashes of a proof's ranges, from what is known of subtrees; none where one is not known.
pub fn hashes(ranges: &[Range], mut subtree: impl FnMut(Subtree) -> Option<Hash>) -> Option<Vec<Hash>> {
    let mut hash = |range: &Range| fold(&range.subtrees().into_iter().map(&mut subtree).collect::<Option<Vec<_>>>()?);
    ranges.iter().map(&mut hash).collect()
}

#[cfg(test)]
mod tests {
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::tlog::tree::{is_consistent, is_included, leaf_hash, old_root_in, root};

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|leaf| leaf_hash(&leaf.to_be_bytes())).collect()
    }

    fn of_leaves(leaves: &[Hash]) -> impl FnMut(Subtree) -> Option<Hash> + '_ {
        |subtree| {
            let start = usize::try_from(subtree.index << subtree.height).ok()?;
            leaves.get(start..start + (1 << subtree.height)).map(root)
        }
    }

    /// Another implementation's tree of the same leaves.
    fn other(count: u64) -> MemoryBackedTree<sha2::Sha256, Vec<u8>> {
        let mut tree = MemoryBackedTree::new();
        (0..count).for_each(|leaf| tree.push(leaf.to_be_bytes().to_vec()));
        tree
    }

    /// Who finds that a proof does not give the new root knows nothing; who finds that it gives another old one knows a fork.
    #[test]
    fn a_whole_proof_tells_another_beginning_from_wrong_nodes() {
        let all = leaves(40);
        for (old, new) in [(1, 2), (4, 9), (8, 40), (5, 9), (13, 40), (32, 33), (39, 40)] {
            let known = &all[..usize::try_from(new).unwrap()];
            let proof = hashes(&whole_consistency(old, new), of_leaves(known)).unwrap();
            let (old_root, new_root) = (root(&all[..usize::try_from(old).unwrap()]), root(known));
            assert_eq!(old_root_in(old, new, &new_root, &proof), Some(old_root), "{old} {new}");
            for at in 0..proof.len() {
                let mut wrong = proof.clone();
                wrong[at][3] ^= 1;
                assert_eq!(old_root_in(old, new, &new_root, &wrong), None, "{old} {new} {at}");
            }
            assert_eq!(old_root_in(old, new, &[7; 32], &proof), None);
            assert_eq!(old_root_in(old, new, &new_root, &proof[1..]), None);
        }
        assert_eq!(old_root_in(0, 4, &root(&all[..4]), &[]), None);
    }

    #[test]
    fn every_leaf_and_every_beginning_of_small_trees_is_proven_and_nothing_else() {
        for size in 0..40 {
            let (all, whole) = (leaves(size), root(&leaves(size)));
            for index in 0..size {
                let path = hashes(&inclusion(index, size), of_leaves(&all)).unwrap();
                let is_at =
                    |at, size, path: &[Hash]| is_included(&leaf_hash(&index.to_be_bytes()), at, size, path, &whole);
                assert!(is_at(index, size, &path));
                assert!(!is_at(index ^ 1, size, &path) && !is_at(size + index, size, &path));
                assert!(path.is_empty() || !is_at(index, size, &path[1..]));
                assert!(!is_at(index, size, &[path.as_slice(), &[[0; 32]]].concat()));
            }
            for old in 0..=size {
                let before = root(&leaves(old));
                let proof = hashes(&consistency(old, size), of_leaves(&all)).unwrap();
                assert!(is_consistent(old, size, &before, &whole, &proof), "{old} {size}");
                let wrong = [7; 32];
                assert!(!is_consistent(old, size, &wrong, &whole, &proof), "{old} {size}");
                assert!(old == 0 || !is_consistent(old, size, &before, &wrong, &proof), "{old} {size}");
                assert!(!is_consistent(old, size, &before, &whole, &[proof.as_slice(), &[wrong]].concat()));
                assert!(proof.is_empty() || !is_consistent(old, size, &before, &whole, &proof[1..]));
                assert!(!is_consistent(size + 1, old, &before, &whole, &proof));
            }
        }
    }

    proptest! {
        #[test]
        fn roots_and_proofs_are_those_of_another_implementation(new in 1_u64..3000, old in 0.0..1.0_f64, at in 0.0..1.0_f64) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "drawn within bounds")]
            let of = |share: f64| (new as f64 * share) as u64;
            let (old, index) = (of(old).max(1), of(at));
            let (tree, all) = (other(new), leaves(new));
            prop_assert_eq!(tree.root().as_bytes().to_vec(), root(&all).to_vec());
            let path = hashes(&inclusion(index, new), of_leaves(&all)).unwrap();
            let theirs = tree.prove_inclusion(usize::try_from(index).unwrap());
            prop_assert_eq!(theirs.as_bytes(), path.concat());
            if old < new {
                let proof = hashes(&consistency(old, new), of_leaves(&all)).unwrap();
                let theirs = tree.prove_consistency(usize::try_from(new - old).unwrap());
                prop_assert_eq!(theirs.as_bytes(), proof.concat());
            }
        }
    }
}
