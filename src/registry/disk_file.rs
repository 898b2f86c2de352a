//! The form of a saved file but for its parts: what it begins with, and that all of it goes through a MAC.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::crypto::pepper::Fingerprint;
use crate::domain::sequence::Sequence;
use crate::store::feed::Mark;

const FORMAT: u32 = 1;
/// Magic, format, length of the header.
pub(super) const PREAMBLE_BYTES: usize = 24;
pub(super) const MAC_BYTES: usize = 32;
/// 80 bytes describe a part, so this is enough for 10^10 numbers.
const HEADER_BYTES_MAX: u32 = 1 << 20;

/// A kind of file.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) magic: [u8; 16],
    pub(super) label: &'static str,
}

/// Why a file is not started from.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("it cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    #[error("it is no file of this version")]
    Format,
    #[error("it is keyed with another version of the pepper")]
    KeyVersion,
    #[error("it is damaged, or was not written with these keys")]
    Damaged,
    #[error("it is of another store, or from before the store's epoch")]
    Epoch,
    #[error("the store was restored since and has a different history")]
    History,
    #[error("too much has changed since")]
    Old,
}

impl Refusal {
    /// The word in metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Format => "format",
            Self::KeyVersion => "key_version",
            Self::Damaged => "damaged",
            Self::Epoch => "epoch",
            Self::History => "history",
            Self::Old => "old",
        }
    }
}

/// A file that ends early is damaged; one that the system does not give is unreadable.
impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        if error.kind() == ErrorKind::UnexpectedEof { Self::Damaged } else { Self::Unreadable(error) }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header<P> {
    pub(super) epoch: String,
    pub(super) built_at: Sequence,
    pub(super) mark: Mark,
    pub(super) key_version: u32,
    pub(super) keys: u64,
    pub(super) parts: Vec<P>,
}

/// A file all of whose bytes go through the MAC.
pub(super) struct Authenticated<F> {
    pub(super) file: F,
    pub(super) mac: Fingerprint,
}

impl<F: Read> Authenticated<F> {
    pub(super) fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact(bytes)?;
        self.mac.update(bytes);
        Ok(())
    }
}

impl<F: Write> Authenticated<F> {
    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.mac.update(bytes);
        self.file.write_all(bytes)
    }
}

pub(super) fn read_header<P: DeserializeOwned>(
    file: &mut Authenticated<File>,
    kind: &Kind,
) -> Result<Header<P>, Refusal> {
    let mut preamble = [0; PREAMBLE_BYTES];
    file.fill(&mut preamble)?;
    let (magic, rest) = preamble.split_at(kind.magic.len());
    let (format, length) = rest.split_at(4);
    if magic != kind.magic || format != FORMAT.to_le_bytes() {
        return Err(Refusal::Format);
    }
    let length = u32::from_le_bytes(length.try_into().map_err(|_| Refusal::Format)?);
    if length > HEADER_BYTES_MAX {
        return Err(Refusal::Damaged);
    }
    let mut header = vec![0; length as usize];
    file.fill(&mut header)?;
    serde_json::from_slice(&header).map_err(|_| Refusal::Damaged)
}

pub(super) fn write_header<P: Serialize>(
    file: &mut Authenticated<&File>,
    kind: &Kind,
    header: &Header<P>,
) -> io::Result<()> {
    let header = serde_json::to_vec(header)?;
    let length = u32::try_from(header.len()).ok().filter(|length| *length <= HEADER_BYTES_MAX);
    let length = length.ok_or(ErrorKind::FileTooLarge)?;
    file.put(&kind.magic)?;
    file.put(&FORMAT.to_le_bytes())?;
    file.put(&length.to_le_bytes())?;
    file.put(&header)
}
