//! Who a person is that acts, and what of the service's administration is theirs.

use std::fmt;

use jiff::civil::Date;

use super::label::{holds_id_number, is_line, is_shown};

words!(
    /// What a person of the operator may do: each role has those before it.
    Role {
        /// Look.
        Viewer = "viewer",
        /// Make and change; what needs a second person is asked for.
        Operator = "operator",
        /// Approve what another one has asked for.
        Security = "security",
    }
);

/// A name of at most 64 bytes. It is kept in its place, so that an actor is copied without memory of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShortName {
    bytes: [u8; Self::BYTES_MAX],
    length: u8,
}

impl ShortName {
    pub const BYTES_MAX: usize = 64;

    /// Visible text of 1 to 64 bytes of UTF-8 without an identity number; spaces around it are dropped.
    pub fn parse(text: &str, today: Date) -> Option<Self> {
        let text = text.trim();
        Self::stored(text).filter(|_| is_shown(text, Self::BYTES_MAX) && !holds_id_number(text, today))
    }

    /// What was judged before.
    pub fn stored(text: &str) -> Option<Self> {
        let is_name = text.len() <= Self::BYTES_MAX && is_line(text, Self::BYTES_MAX);
        let mut bytes = [0; Self::BYTES_MAX];
        bytes.get_mut(..text.len()).filter(|_| is_name)?.copy_from_slice(text.as_bytes());
        Some(Self { bytes, length: u8::try_from(text.len()).ok()? })
    }

    pub fn as_str(&self) -> &str {
        // UTF-8 by construction: the default is never reached.
        self.bytes.get(..usize::from(self.length)).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }
}

/// It names a person.
impl fmt::Debug for ShortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShortName(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Date = Date::constant(2026, 11, 23);

    #[test]
    fn a_short_name_is_visible_text_of_bounded_length_without_a_number() {
        let (longest, too_long) = ("x".repeat(64), "王".repeat(22));
        for (text, kept) in [
            ("Wang Fang", Some("Wang Fang")),
            (" 王芳 ", Some("王芳")),
            (&longest, Some(longest.as_str())),
            (&too_long, None),
            ("", None),
            ("  ", None),
            ("a\nb", None),
            ("gnaw\u{202E}", None),
            ("\u{ffa0}", None),
            ("wang\u{206a}", None),
            ("１１０１０５１９４９１２３１００２Ｘ", None),
            ("11010519491231002X", None),
            ("clerk 110105-19491231-002x", None),
        ] {
            assert_eq!(ShortName::parse(text, TODAY).as_ref().map(ShortName::as_str), kept, "{text}");
        }
        let name = ShortName::parse("Wang Fang", TODAY);
        assert!(!format!("{name:?}").contains("Wang"));
    }
}
