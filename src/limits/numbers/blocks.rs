//! Marks in memory: split blocks of 64 bytes (as in the split block Bloom filters of Apache Parquet) in several generations. A look
//! costs one line of memory a generation. Says nothing of what a mark means. Invariant: a mark that was set is there until its
//! generation ends, unless two write one block at once: then one of them may be lost.

use std::sync::atomic::{AtomicU64, Ordering};

use zerocopy::FromZeros;

pub(super) const WORDS: usize = 8;
/// The lowest bits of a block's first word say its generation; the rest, and the other words, are the filter's.
const STAMP_BITS: u32 = 8;

/// What odd multipliers make of one hash: one bit for each word.
pub(super) const SALTS: [u64; WORDS] = [
    0x9E37_79B9_7F4A_7C15,
    0xBF58_476D_1CE4_E5B9,
    0x94D0_49BB_1331_11EB,
    0xD6E8_FEB8_6659_FD93,
    0xA076_1D64_78BD_642F,
    0xE703_7ED1_A0B4_28DB,
    0x8EBC_6AF0_9C88_C6E3,
    0x5899_65CC_7537_4CC3,
];

pub(super) type Block = [u64; WORDS];

/// So many generations of blocks, those of one place side by side: a look reads all. The age of the newest grows by one when the
/// oldest is forgotten.
#[derive(Debug)]
pub(super) struct Blocks<const GENERATIONS: usize> {
    bits: u32,
    words: Box<[AtomicU64]>,
}

impl<const GENERATIONS: usize> Blocks<GENERATIONS> {
    /// Each generation has 2^bits blocks.
    pub(super) fn new(bits: u32) -> Self {
        // Pages that nobody has marked stay the system's own: an array made word by word would hold them all from the start.
        #[expect(clippy::expect_used, reason = "a node without this memory cannot start")]
        let words = <[AtomicU64]>::new_box_zeroed_with_elems((GENERATIONS * WORDS) << bits).expect("memory for marks");
        Self { bits, words }
    }

    pub(super) fn bits(&self) -> u32 {
        self.bits
    }

    /// Where the block of a keyed hash is, by its highest bits.
    pub(super) fn place(&self, hash: u64) -> usize {
        usize::try_from(hash >> (64 - self.bits)).unwrap_or(0) * GENERATIONS * WORDS
    }

    pub(super) fn read(&self, at: usize, age: u64) -> Block {
        let words = self.words(at, age);
        let mut block = [0; WORDS];
        for (word, kept) in block.iter_mut().zip(words) {
            *word = kept.load(Ordering::Relaxed);
        }
        if block[0] & ((1 << STAMP_BITS) - 1) == Self::stamp(age) { block } else { [0; WORDS] }
    }

    /// Two that write one block at once may lose what one of them wrote.
    pub(super) fn write(&self, at: usize, age: u64, marks: &Block) {
        let words = self.words(at, age);
        let Some(first) = words.first() else { return };
        if first.load(Ordering::Relaxed) & ((1 << STAMP_BITS) - 1) != Self::stamp(age) {
            for word in &words[1..] {
                word.store(0, Ordering::Relaxed);
            }
            first.store(Self::stamp(age), Ordering::Relaxed);
        }
        for (word, bits) in words.iter().zip(marks) {
            if word.load(Ordering::Relaxed) & bits != *bits {
                word.fetch_or(*bits, Ordering::Relaxed);
            }
        }
    }

    fn words(&self, at: usize, age: u64) -> &[AtomicU64] {
        let at = at + usize::try_from(age % Self::count()).unwrap_or(0) * WORDS;
        self.words.get(at..at + WORDS).unwrap_or_default()
    }

    /// Blocks are not cleared when a generation ends, which would take milliseconds: one that was not written since is recognized.
    /// Stamps come again after 255 turns of all generations: what is wrongly there by that costs nothing once.
    fn stamp(age: u64) -> u64 {
        (age / Self::count()) % 255 + 1
    }

    fn count() -> u64 {
        GENERATIONS as u64
    }
}

pub(super) fn holds(block: &Block, mark: &Block) -> bool {
    block.iter().zip(mark).all(|(word, bits)| word & bits == *bits)
}

pub(super) fn add(marks: &mut Block, mark: &Block) {
    marks.iter_mut().zip(mark).for_each(|(word, bits)| *word |= bits);
}

/// One bit in each word.
pub(super) fn full(hash: u64) -> Block {
    let mut mark = [0; WORDS];
    for (at, (word, salt)) in mark.iter_mut().zip(SALTS).enumerate() {
        *word = bit(hash.wrapping_mul(salt), at);
    }
    mark
}

/// One bit in every other word.
pub(super) fn sparse(hash: u64) -> Block {
    let first = usize::from(hash & 1 == 1);
    let mut mark = [0; WORDS];
    for at in (first..WORDS).step_by(2) {
        mark[at] = bit(hash.wrapping_mul(SALTS[at]), at);
    }
    mark
}

fn bit(product: u64, at: usize) -> u64 {
    if at == 0 {
        let place = ((product >> 32) * u64::from(64 - STAMP_BITS)) >> 32;
        1 << (u64::from(STAMP_BITS) + place)
    } else {
        1 << (product >> 58)
    }
}

/// Finalizer of splitmix64 (Steele, Lea, Flood 2014).
pub(super) fn mixed(of: u64) -> u64 {
    let mut z = of.wrapping_add(SALTS[0]);
    z = (z ^ (z >> 30)).wrapping_mul(SALTS[1]);
    z = (z ^ (z >> 27)).wrapping_mul(SALTS[2]);
    z ^ (z >> 31)
}
