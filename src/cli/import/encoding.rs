//! In which encoding a file is written, and its reading as UTF-8. What does not belong to the encoding becomes a byte that UTF-8
//! never has, so that it spoils its own line and no other.

use std::io::{self, Read};

use clap::ValueEnum;
use encoding_rs::{Decoder, DecoderResult, GB18030, UTF_16BE, UTF_16LE};

/// How the characters of a file are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Encoding {
    #[value(name = "utf-8")]
    Utf8,
    #[value(name = "gb18030")]
    Gb18030,
    #[value(name = "utf-16le")]
    Utf16Le,
    #[value(name = "utf-16be")]
    Utf16Be,
}

impl Encoding {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Gb18030 => "gb18030",
            Self::Utf16Le => "utf-16le",
            Self::Utf16Be => "utf-16be",
        }
    }

    /// By the byte order mark that a file begins with.
    pub(crate) fn of_mark(beginning: &[u8]) -> Option<Self> {
        match beginning {
            [0xEF, 0xBB, 0xBF, ..] => Some(Self::Utf8),
            [0xFF, 0xFE, ..] => Some(Self::Utf16Le),
            [0xFE, 0xFF, ..] => Some(Self::Utf16Be),
            [0x84, 0x31, 0x95, 0x33, ..] => Some(Self::Gb18030),
            _ => None,
        }
    }

    /// Without a mark, every other byte of plain text in UTF-16 is zero.
    pub(crate) fn looks_like_utf_16(beginning: &[u8]) -> Option<Self> {
        let zeros = |odd: usize| beginning.chunks_exact(2).filter(|pair| pair[odd] == 0).count() * 2;
        let most = beginning.len().max(8) * 9 / 10;
        match (zeros(0) >= most, zeros(1) >= most) {
            (true, false) => Some(Self::Utf16Be),
            (false, true) => Some(Self::Utf16Le),
            _ => None,
        }
    }

    fn decoder(self) -> Option<Decoder> {
        match self {
            Self::Utf8 => None,
            Self::Gb18030 => Some(GB18030.new_decoder_without_bom_handling()),
            Self::Utf16Le => Some(UTF_16LE.new_decoder_without_bom_handling()),
            Self::Utf16Be => Some(UTF_16BE.new_decoder_without_bom_handling()),
        }
    }

    /// The file as UTF-8.
    pub(crate) fn read<R: Read + Send + 'static>(self, source: R) -> Box<dyn Read + Send> {
        match self.decoder() {
            None => Box::new(source),
            Some(decoder) => Box::new(Transcoded {
                source,
                decoder,
                input: vec![0; CHUNK_BYTES],
                filled: 0..0,
                is_end: false,
                output: Vec::with_capacity(CHUNK_BYTES * 4),
                given: 0,
            }),
        }
    }
}

const CHUNK_BYTES: usize = 64 * 1024;
/// No text in UTF-8 has this byte.
const NEVER_IN_UTF8: u8 = 0xFF;

struct Transcoded<R> {
    source: R,
    decoder: Decoder,
    input: Vec<u8>,
    /// What of `input` is not decoded yet.
    filled: std::ops::Range<usize>,
    is_end: bool,
    output: Vec<u8>,
    /// How much of `output` was given out.
    given: usize,
}

impl<R: Read> Transcoded<R> {
    fn refill(&mut self) -> io::Result<()> {
        self.output.clear();
        self.given = 0;
        while self.output.is_empty() && !(self.is_end && self.filled.is_empty()) {
            if self.filled.is_empty() {
                let read = self.source.read(&mut self.input)?;
                self.filled = 0..read;
                self.is_end = read == 0;
            }
            self.decode();
            if self.is_end {
                break;
            }
        }
        Ok(())
    }

    fn decode(&mut self) {
        loop {
            let room = self.output.len();
            let input = &self.input[self.filled.clone()];
            // A character of two bytes can become three.
            self.output.resize(room + input.len() * 3 + 16, 0);
            let (result, read, written) =
                self.decoder.decode_to_utf8_without_replacement(input, &mut self.output[room..], self.is_end);
            self.filled.start += read;
            self.output.truncate(room + written);
            match result {
                DecoderResult::InputEmpty => return,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => self.output.push(NEVER_IN_UTF8),
            }
        }
    }
}

impl<R: Read> Read for Transcoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.output.len() {
            self.refill()?;
        }
        let rest = &self.output[self.given..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        Ok(count)
    }
}

/// Whether all that passes is valid in an encoding.
pub(crate) struct Validity {
    decoder: Decoder,
    output: Vec<u8>,
    is_valid: bool,
}

impl Validity {
    pub(crate) fn of_utf8() -> Self {
        Self::new(encoding_rs::UTF_8.new_decoder_without_bom_handling())
    }

    pub(crate) fn of_gb18030() -> Self {
        Self::new(GB18030.new_decoder_without_bom_handling())
    }

    fn new(decoder: Decoder) -> Self {
        Self { decoder, output: vec![0; CHUNK_BYTES * 4], is_valid: true }
    }

    pub(crate) fn take(&mut self, mut bytes: &[u8], is_end: bool) {
        while self.is_valid {
            let (result, read, _) = self.decoder.decode_to_utf8_without_replacement(bytes, &mut self.output, is_end);
            bytes = &bytes[read..];
            match result {
                DecoderResult::InputEmpty => return,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => self.is_valid = false,
            }
        }
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.is_valid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
        // A reader that gives little at a time cuts characters in two.
        struct Slow(Vec<u8>, usize);
        impl Read for Slow {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let count = (self.0.len() - self.1).min(3).min(buffer.len());
                buffer[..count].copy_from_slice(&self.0[self.1..self.1 + count]);
                self.1 += count;
                Ok(count)
            }
        }
        let mut out = Vec::new();
        encoding.read(Slow(bytes.to_vec(), 0)).read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn every_encoding_becomes_utf_8() {
        let text = "公民身份号码\t长期\r\n𠀀,A\n".repeat(5000);
        let utf16 = |swap: bool| -> Vec<u8> {
            text.encode_utf16().flat_map(|unit| if swap { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
        };
        assert_eq!(read(Encoding::Utf8, text.as_bytes()), text.as_bytes());
        assert_eq!(read(Encoding::Utf16Le, &utf16(false)), text.as_bytes());
        assert_eq!(read(Encoding::Utf16Be, &utf16(true)), text.as_bytes());
        assert_eq!(read(Encoding::Gb18030, &GB18030.encode(&text).0), text.as_bytes());
        assert_eq!(read(Encoding::Gb18030, b""), b"");
    }

    #[test]
    fn what_is_malformed_spoils_its_own_line() {
        let bytes = [&GB18030.encode("有效\n").0[..], b"\xFF\xFF\n", &GB18030.encode("期\n").0].concat();
        let out = read(Encoding::Gb18030, &bytes);
        let lines: Vec<_> = out.split(|byte| *byte == b'\n').map(std::str::from_utf8).collect();
        assert!(lines[0] == Ok("有效") && lines[1].is_err() && lines[2] == Ok("期"), "{lines:?}");
        // Half a character at the end.
        assert!(std::str::from_utf8(&read(Encoding::Utf16Le, b"a\0b")).is_err());
    }

    #[test]
    fn a_mark_or_zeros_tell_the_encoding() {
        assert_eq!(Encoding::of_mark(b"\xEF\xBB\xBFa"), Some(Encoding::Utf8));
        assert_eq!(Encoding::of_mark(b"\xFF\xFEa\0"), Some(Encoding::Utf16Le));
        assert_eq!(Encoding::of_mark(b"\xFE\xFF\0a"), Some(Encoding::Utf16Be));
        assert_eq!(Encoding::of_mark(b"id_number"), None);
        assert_eq!(Encoding::looks_like_utf_16(b"i\0d\0_\0n\0u\0m\0b\0"), Some(Encoding::Utf16Le));
        assert_eq!(Encoding::looks_like_utf_16(b"\0i\0d\0_\0n\0u\0m\0b"), Some(Encoding::Utf16Be));
        assert_eq!(Encoding::looks_like_utf_16(b"id_number,reason"), None);
        assert_eq!(Encoding::looks_like_utf_16(b""), None);
    }

    #[test]
    fn validity_is_told_over_all_chunks() {
        for (bytes, utf8, gb18030) in [
            ("公民".as_bytes().to_vec(), true, true),
            (GB18030.encode("公民").0.to_vec(), false, true),
            (b"plain".to_vec(), true, true),
            (b"\xFF\xFFx".to_vec(), false, false),
            (b"\xB9".to_vec(), false, false),
        ] {
            for (mut validity, expected) in [(Validity::of_utf8(), utf8), (Validity::of_gb18030(), gb18030)] {
                for byte in &bytes {
                    validity.take(&[*byte], false);
                }
                validity.take(b"", true);
                assert_eq!(validity.is_valid(), expected, "{bytes:?}");
            }
        }
    }
}
