//! Pairing: a code that somebody reads out or scans, by which a page becomes a device of an organization.

use std::fmt;
use std::time::Duration;

use super::client::{Scope, Scopes};
use super::redacted::SecretText;

words!(
    /// Where a pairing is in its life.
    PairingState {
        /// Its code is good.
        Waiting = "waiting",
        /// Its code was not used in time, or was guessed at too often.
        Expired = "expired",
        /// A page has registered its key.
        Paired = "paired",
        /// Its PIN was missed too often.
        Locked = "locked",
        Ended = "ended",
    }
);

/// How long a code is good.
pub const CODE_LIVES: Duration = Duration::from_mins(10);
/// So many wrong codes are taken for one pairing.
pub const GUESSES_MAX: u32 = 5;
/// So often may a PIN be missed, one time after the other.
pub const PINS_MISSED_MAX: u32 = 5;

/// What a device may be given: what the pages of desks and stations need.
pub fn device_scopes() -> Scopes {
    [Scope::Checks, Scope::Registry, Scope::Blind].into_iter().collect()
}

/// `XXXX-XXXX`: the first half names the pairing, the second one is what there is to guess. Letters and digits of Crockford's base 32,
/// in which none looks like another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PairingCode([u8; 8]);

/// Its characters.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

impl PairingCode {
    /// A code of eight random bytes: five bits of each count.
    pub fn of_random(bytes: [u8; 8]) -> Self {
        Self(bytes.map(|byte| ALPHABET.get(usize::from(byte & 31)).copied().unwrap_or_default()))
    }

    /// As it is given out, and no other way.
    pub fn parse(text: &str) -> Option<Self> {
        let (first, second) = text.split_once('-').filter(|(first, second)| first.len() == 4 && second.len() == 4)?;
        let mut code = [0; 8];
        for (place, byte) in code.iter_mut().zip(first.bytes().chain(second.bytes())) {
            *place = byte;
        }
        code.iter().all(|byte| ALPHABET.contains(byte)).then_some(Self(code))
    }

    /// For who is to have it.
    pub fn to_text(&self) -> SecretText {
        let text = String::from_utf8_lossy(&self.0);
        let (first, second) = text.split_at_checked(4).unwrap_or_default();
        format!("{first}-{second}").into()
    }

    /// The half that names the pairing.
    pub fn name(&self) -> &[u8] {
        self.0.split_at(4).0
    }

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Who has it becomes a device.
impl fmt::Debug for PairingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairingCode(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_written_in_one_way() {
        let code = PairingCode::of_random([0, 31, 32, 33, 9, 10, 18, 255]);
        assert_eq!(code.to_text().expose(), "0Z01-9AJZ");
        assert_eq!(PairingCode::parse("0Z01-9AJZ"), Some(code));
        assert_eq!(code.name(), b"0Z01");
        assert_eq!(format!("{code:?}"), "PairingCode(redacted)");
        for bad in
            ["", "0Z019AJZ", "0z01-9ajz", "0Z01-9AJI", "0Z01-9AJZ ", "0Z0-19AJZ", "OZ01-9AJZ", "0Z01--9AJ", "０Z01-9AJ"]
        {
            assert_eq!(PairingCode::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_character_is_drawn() {
        let drawn: std::collections::BTreeSet<_> =
            (0..=255).flat_map(|byte| PairingCode::of_random([byte; 8]).bytes().to_vec()).collect();
        assert_eq!(drawn.len(), 32);
    }
}
