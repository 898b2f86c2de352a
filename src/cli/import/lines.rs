//! The lines of a file, one at a time, none longer than the bound: a quote or an object that does not end spoils its own line
//! and no other. That is why a CSV file may not have line breaks in its cells, which no value of a report could hold anyway.

use std::io::{self, Read};

use memchr::memchr2;

/// As long as the body of a single request may be.
pub(crate) const LINE_BYTES_MAX: usize = 256 * 1024;
const BUFFER_BYTES: usize = 1 << 20;

/// Why a line is no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineError {
    TooLong,
    WrongEncoding,
}

impl LineError {
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::TooLong => "line_too_long",
            Self::WrongEncoding => "wrong_encoding",
        }
    }

    pub(crate) fn detail(self) -> &'static str {
        match self {
            Self::TooLong => "a line has at most 256 KiB",
            Self::WrongEncoding => "the line is not in the encoding of the file: --encoding names another",
        }
    }
}

/// Reads line after line: each lies in the buffer.
pub(crate) struct Lines {
    source: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// What of the buffer is not given out yet.
    at: usize,
    end: usize,
    is_end: bool,
    number: u64,
}

impl Lines {
    pub(crate) fn new(source: Box<dyn Read + Send>) -> Self {
        Self { source, buffer: vec![0; BUFFER_BYTES], at: 0, end: 0, is_end: false, number: 0 }
    }

    /// The number of the last line read, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The next line, without its end (LF, CR, CRLF or CR CR LF); none at the end of the file.
    pub(crate) fn next(&mut self) -> io::Result<Option<Result<&str, LineError>>> {
        let Some(length) = self.find_end()? else { return Ok(None) };
        let line = self.at..self.at + length;
        self.number += 1;
        self.at = line.end;
        if length > LINE_BYTES_MAX {
            self.skip_line()?;
            self.skip_end()?;
            return Ok(Some(Err(LineError::TooLong)));
        }
        // The end may lie in what the buffer does not hold yet, and then the line moves.
        let moved = self.skip_end()?;
        let mut bytes = &self.buffer[line.start - moved..line.end - moved];
        if self.number == 1 {
            // A byte order mark, as spreadsheet programs write it; each program that a file passed may have put one.
            while let Some(rest) = bytes.strip_prefix(b"\xEF\xBB\xBF") {
                bytes = rest;
            }
        }
        // DOS ends a text with Ctrl-Z, and so do programs of its time.
        if self.is_end && self.at == self.end && bytes == b"\x1A" {
            return Ok(None);
        }
        Ok(Some(std::str::from_utf8(bytes).map_err(|_| LineError::WrongEncoding)))
    }

    /// The length of the next line, or more than the bound; none where nothing is left.
    fn find_end(&mut self) -> io::Result<Option<usize>> {
        let mut searched = 0;
        loop {
            if let Some(found) = memchr2(b'\n', b'\r', &self.buffer[self.at + searched..self.end]) {
                return Ok(Some(searched + found));
            }
            searched = self.end - self.at;
            if searched > LINE_BYTES_MAX {
                return Ok(Some(searched));
            }
            if self.fill(0)? == 0 {
                return Ok(Some(searched).filter(|length| *length > 0));
            }
        }
    }

    /// What is left of a line that is too long.
    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            if let Some(found) = memchr2(b'\n', b'\r', &self.buffer[self.at..self.end]) {
                self.at += found;
                return Ok(());
            }
            self.at = self.end;
            if self.fill(0)? == 0 {
                return Ok(());
            }
        }
    }

    /// Passes the end of the line that was given out. Returns by how much the buffer's content moved to its beginning.
    fn skip_end(&mut self) -> io::Result<usize> {
        let mut moved = 0;
        if self.end - self.at < 3 && !self.is_end {
            // The line before stays: it is not read yet.
            let keep = self.at.min(LINE_BYTES_MAX);
            let before = self.at;
            while self.end - self.at < 3 && self.fill(keep)? > 0 {}
            moved = before - self.at;
        }
        self.at += match self.buffer[self.at..self.end] {
            [b'\r', b'\r', b'\n', ..] => 3,
            [b'\r', b'\n', ..] => 2,
            [b'\r' | b'\n', ..] => 1,
            _ => 0,
        };
        Ok(moved)
    }

    /// Reads more, keeping so many bytes before the place; how many came.
    fn fill(&mut self, keep: usize) -> io::Result<usize> {
        if self.is_end {
            return Ok(0);
        }
        let from = self.at - keep;
        if self.end == self.buffer.len() {
            self.buffer.copy_within(from..self.end, 0);
            (self.at, self.end) = (self.at - from, self.end - from);
        }
        let read = loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.end += read;
        self.is_end = read == 0;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives out so many bytes at a time.
    struct Pieces(io::Cursor<Vec<u8>>, usize);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(self.1);
            self.0.read(&mut buffer[..count])
        }
    }

    fn read_in(bytes: &[u8], piece: usize) -> Vec<(u64, Result<String, LineError>)> {
        let mut lines = Lines::new(Box::new(Pieces(io::Cursor::new(bytes.to_vec()), piece)));
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            let line = line.map(str::to_owned);
            all.push((lines.number(), line));
        }
        all
    }

    fn read(bytes: &[u8]) -> Vec<(u64, Result<String, LineError>)> {
        let all = read_in(bytes, 7);
        assert_eq!(all, read_in(bytes, usize::MAX));
        all
    }

    #[test]
    fn lines_end_as_any_system_ends_them() {
        let ok = |number, text: &str| (number, Ok(text.to_owned()));
        assert_eq!(read(b""), []);
        assert_eq!(read(b"\xEF\xBB\xBFa\r\n\nb\rc"), [ok(1, "a"), ok(2, ""), ok(3, "b"), ok(4, "c")]);
        assert_eq!(read(b"a\r\r\nb\r\r\n"), [ok(1, "a"), ok(2, "b")]);
        assert_eq!(read(b"a\r\rb\r"), [ok(1, "a"), ok(2, ""), ok(3, "b")]);
        assert_eq!(read(b"\n\n"), [ok(1, ""), ok(2, "")]);
        assert_eq!(read(b"\xEF\xBB\xBF\xEF\xBB\xBFa\n\xEF\xBB\xBFb"), [ok(1, "a"), ok(2, "\u{FEFF}b")]);
        for end in ["\x1A", "\x1A\n", "\x1A\r\n"] {
            assert_eq!(read(format!("a\r\n{end}").as_bytes()), [ok(1, "a")]);
        }
        assert_eq!(read(b"\x1A\nb\x1A"), [ok(1, "\x1A"), ok(2, "b\x1A")]);
    }

    #[test]
    fn a_bad_line_spoils_only_itself() {
        let longest = "x".repeat(LINE_BYTES_MAX);
        for end in ["\n", "\r\n", "\r", "\r\r\n"] {
            let text = format!("{longest}{end}{longest}y{end}{longest}{longest}{longest}{longest}{longest}{end}z");
            let all = read_in(text.as_bytes(), usize::MAX);
            assert_eq!(all[0], (1, Ok(longest.clone())));
            assert_eq!(all[1..3], [(2, Err(LineError::TooLong)), (3, Err(LineError::TooLong))]);
            assert_eq!(all[3..], [(4, Ok("z".to_owned()))]);
        }
        let all = read(b"a\n\xFF\xFE\nb");
        assert_eq!(all, [(1, Ok("a".to_owned())), (2, Err(LineError::WrongEncoding)), (3, Ok("b".to_owned()))]);
    }

    #[test]
    fn lines_beyond_the_buffer_are_whole() {
        for length in [1, 2, 99, 4093, 4096, 4097] {
            for end in ["\n", "\r\n", "\r\r\n"] {
                let line = "y".repeat(length);
                let count = (BUFFER_BYTES * 2) / (length + end.len()) + 3;
                let count = count.min(40_000).max(BUFFER_BYTES / (length + end.len()) + 3);
                let all = read_in(format!("{line}{end}").repeat(count).as_bytes(), usize::MAX);
                assert_eq!(all.len(), count);
                assert!(all.iter().all(|(_, text)| text.as_ref() == Ok(&line)), "{length}");
            }
        }
    }

    proptest! {
        #[test]
        fn lines_are_the_same_in_pieces_of_any_size(
            parts in proptest::collection::vec("[ab]{0,3}(\n|\r\n|\r\r\n|\r)", 0..20), piece in 1usize..9,
        ) {
            let text = parts.concat();
            prop_assert_eq!(read_in(text.as_bytes(), piece), read_in(text.as_bytes(), usize::MAX));
        }
    }
}
