//! Bits in a row, from the high end of each byte.

/// Writes them.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// What does not fill a byte yet, at the low end.
    rest: u64,
    count: u32,
}

impl BitWriter {
    /// The last `count` bits of `bits`, 32 at most.
    pub(super) fn push(&mut self, bits: u32, count: u32) {
        self.rest = (self.rest << count) | (u64::from(bits) & ((1 << count) - 1));
        self.count += count;
        while self.count >= 8 {
            self.count -= 8;
            let [.., byte] = (self.rest >> self.count).to_be_bytes();
            self.bytes.push(byte);
        }
    }

    /// Ones, and a zero behind them.
    pub(super) fn push_unary(&mut self, mut ones: u32) {
        while ones >= 31 {
            self.push(u32::MAX, 31);
            ones -= 31;
        }
        self.push(((1 << ones) - 1) << 1, ones + 1);
    }

    /// The bytes, the last one filled with zeros.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.push(0, 8 - self.count);
        }
        self.bytes
    }
}

/// Reads them; nothing beyond the end.
#[derive(Debug, Clone, Copy)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next `count` bits, 32 at most.
    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        let mut bits = 0;
        for _ in 0..count {
            bits = (bits << 1) | u32::from(self.bit()?);
        }
        Some(bits)
    }

    /// How many ones there are before the next zero.
    pub(super) fn take_unary(&mut self) -> Option<u32> {
        let mut ones = 0;
        while self.bit()? {
            ones += 1;
        }
        Some(ones)
    }

    /// Skips bits.
    pub(super) fn skip(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }

    fn bit(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = (byte >> (7 - self.at % 8)) & 1;
        self.at += 1;
        Some(bit == 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bits_come_back(written in proptest::collection::vec((any::<u32>(), 1..=32_u32, 0..100_u32), 0..50)) {
            let mut writer = BitWriter::default();
            for (bits, count, ones) in &written {
                writer.push(*bits, *count);
                writer.push_unary(*ones);
            }
            let bytes = writer.finish();
            let mut reader = BitReader::new(&bytes);
            for (bits, count, ones) in written {
                let kept = u32::try_from(u64::from(bits) & ((1_u64 << count) - 1)).unwrap();
                prop_assert_eq!(reader.take(count), Some(kept));
                prop_assert_eq!(reader.take_unary(), Some(ones));
            }
        }
    }

    #[test]
    fn the_high_end_comes_first() {
        let mut writer = BitWriter::default();
        writer.push(1, 1);
        writer.push_unary(2);
        writer.push(0b11, 2);
        assert_eq!(writer.finish(), [0b1110_1100]);
        let mut reader = BitReader::new(&[0xff]);
        assert_eq!(reader.take_unary(), None, "no end");
        assert_eq!(BitReader::new(&[0xff]).take(9), None);
    }
}
