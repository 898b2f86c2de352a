//! An identity number by standard input: others can read a command line.

use std::io::Read;

use anyhow::Context;
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::crypto::digest::IdDigest;
use crate::domain::id_number::IdNumber;

/// The longest line that is read: a number and what may be around it.
const NUMBER_BYTES_MAX: u64 = 1024;

/// Reads the one number that standard input holds.
pub(super) fn read_digest() -> anyhow::Result<IdDigest> {
    let mut text = Zeroizing::new(String::new());
    std::io::stdin().take(NUMBER_BYTES_MAX).read_to_string(&mut text).context("standard input")?;
    let number = IdNumber::parse(text.trim(), Clock::System.today());
    let number = number.context("standard input must hold one identity number of 18 characters")?;
    Ok(IdDigest::of(&number))
}
