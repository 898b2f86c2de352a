//! The Merkle tree of RFC 9162, 2.1: hashes of leaves and nodes, ranges of leaves as complete subtrees, verification of proofs.
//! Which subtrees a proof is made of is in `proof`; where they lie is in `tile`.

use sha2::{Digest, Sha256};

/// What every node of the tree is.
pub type Hash = [u8; 32];

/// The hash of a leaf (2.1.1).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(entry).finalize().into()
}

/// The hash of a node of two.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root of a tree without leaves.
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// The root over the hashes of leaves.
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(1 << (leaves.len() - 1).ilog2());
            node_hash(&root(left), &root(right))
        }
    }
}

/// The largest power of two that is smaller than `size`, which is at least 2: where a tree of that size divides.
pub(super) fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// The hash of neighbouring complete subtrees of falling size, from the left: that of a range as the tree divides.
pub fn fold(subtrees: &[Hash]) -> Option<Hash> {
    let (last, before) = subtrees.split_last()?;
    Some(before.iter().rev().fold(*last, |right, left| node_hash(left, &right)))
}

/// Whether a leaf's hash is at `index` of the tree of `size` leaves with this root (2.1.3.2).
pub fn is_included(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for step in path {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(step, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, step);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether the tree of `old_size` leaves is the beginning of that of `new_size` (2.1.4.2). From nothing, and to the same size, the
/// proof is empty.
pub fn is_consistent(old_size: u64, new_size: u64, old_root: &Hash, new_root: &Hash, proof: &[Hash]) -> bool {
    if old_size > new_size {
        return false;
    }
    if old_size == 0 {
        return proof.is_empty() && *old_root == empty_root();
    }
    if old_size == new_size {
        return proof.is_empty() && old_root == new_root;
    }
    // The asker has the old root: it is not in the proof where it is a node of the new tree.
    let first = old_size.is_power_of_two().then_some(*old_root);
    let whole: Vec<_> = first.into_iter().chain(proof.iter().copied()).collect();
    old_root_in(old_size, new_size, new_root, &whole).as_ref() == Some(old_root)
}

/// The root that the first `old_size` leaves of a tree have, from a proof that has all of its nodes; none where the proof does not give the
/// root of that tree, so that it shows nothing.
pub fn old_root_in(old_size: u64, new_size: u64, new_root: &Hash, proof: &[Hash]) -> Option<Hash> {
    let (first, rest) = proof.split_first().filter(|_| (1..new_size).contains(&old_size))?;
    let (first, rest) = (*first, rest);
    let (mut node, mut last) = (old_size - 1, new_size - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut of_old, mut of_new) = (first, first);
    for step in rest {
        if last == 0 {
            return None;
        }
        if node & 1 == 1 || node == last {
            of_old = node_hash(step, &of_old);
            of_new = node_hash(step, &of_new);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            of_new = node_hash(&of_new, step);
        }
        node >>= 1;
        last >>= 1;
    }
    (last == 0 && of_new == *new_root).then_some(of_old)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The leaves and roots that implementations of Certificate Transparency are tested with.
    #[test]
    fn roots_are_those_of_certificate_transparency() {
        let leaves =
            ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
        let leaves: Vec<_> = leaves.iter().map(|leaf| leaf_hash(&hex::decode(leaf).unwrap())).collect();
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        for (size, wanted) in roots.iter().enumerate() {
            assert_eq!(hex::encode(root(&leaves[..size])), *wanted, "{size}");
        }
    }

    #[test]
    fn a_range_divides_below_its_size() {
        assert_eq!([2, 3, 4, 5, 8, 9, 1 << 40, u64::MAX].map(split), [1, 2, 2, 4, 4, 8, 1 << 39, 1 << 63]);
    }
}
