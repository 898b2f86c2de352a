//! Texts that must not be shown: what names a person or admits a client, as it came in a body, a form or a file, and as it is
//! answered. `serde` itself makes them, so that no struct with a `Debug` of its own ever holds the bare text.
//!
//! Each prints itself redacted, has no `Display` and wipes itself on drop. None is judged here: that is the `parse` of each.

use std::fmt;

use serde::{Deserialize, Deserializer};
use zeroize::Zeroize;

macro_rules! redacted_texts {
    ($($(#[$meta:meta])* $name:ident;)+) => {$(
        $(#[$meta])*
        #[derive(Clone)]
        pub struct $name(String);

        impl $name {
            /// The text itself: to judge it, to hash it, to seal it, or to hand it to the one who is to have it.
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(|text| Self(shortened(text)))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(redacted)"))
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                self.0.zeroize();
            }
        }
    )+};
}

/// No text that is read is right with more bytes than this.
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// The beginning of a text that is wrong for its length alone: the rest is wiped where it was read, not where it is dropped, for that may
/// be an event loop.
fn shortened(mut text: String) -> String {
    if text.len() <= KEPT_BYTES_MAX {
        return text;
    }
    let kept = text.get(..text.floor_char_boundary(KEPT_BYTES_MAX)).unwrap_or_default().to_owned();
    text.zeroize();
    kept
}

redacted_texts! {
    /// An identity number.
    #[derive(PartialEq, Eq)]
    IdNumberText;
    /// The digest of a number in hexadecimal: as sensitive as the number.
    DigestText;
    /// What a client proves itself by.
    #[derive(serde::Serialize)]
    SecretText;
    /// A signed token: an access token, or the assertion of a client.
    #[derive(serde::Serialize)]
    TokenText;
    /// What opens a commitment to a number, in base64url.
    #[derive(PartialEq, Eq, serde::Serialize)]
    SaltText;
    /// The credential of a temporary certificate, as text or as the picture of it: who has it can try numbers.
    #[derive(serde::Serialize)]
    CredentialText;
    /// The URL of a database, which may hold a password.
    DatabaseUrl;
    /// How to reach a person.
    PhoneText;
    /// What somebody wrote about a person.
    #[derive(serde::Serialize)]
    NarrativeText;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `serde` from a JSON string, shown to nobody, and the same text still.
    fn assert_redacted<T: fmt::Debug + for<'de> Deserialize<'de>>(name: &str, expose: impl Fn(&T) -> &str) {
        let made: T = serde_json::from_str(r#""11010519491231002X""#).unwrap();
        assert_eq!(format!("{made:?}"), format!("{name}(redacted)"));
        assert_eq!(format!("{:#?}", Some(&made)), format!("Some(\n    {name}(redacted),\n)"));
        assert_eq!(expose(&made), "11010519491231002X");
        for other in ["5", "null", "[\"1\"]", "{}"] {
            let error = serde_json::from_str::<T>(other).unwrap_err().to_string();
            assert_eq!(error, serde_json::from_str::<String>(other).unwrap_err().to_string());
        }
    }

    #[test]
    fn no_text_is_shown() {
        assert_redacted("IdNumberText", IdNumberText::expose);
        assert_redacted("DigestText", DigestText::expose);
        assert_redacted("SecretText", SecretText::expose);
        assert_redacted("TokenText", TokenText::expose);
        assert_redacted("SaltText", SaltText::expose);
        assert_redacted("CredentialText", CredentialText::expose);
        assert_redacted("DatabaseUrl", DatabaseUrl::expose);
        assert_redacted("PhoneText", PhoneText::expose);
        assert_redacted("NarrativeText", NarrativeText::expose);
    }

    /// Does not compile where one of the types can be written with `{}`: then both implementations below fit.
    macro_rules! assert_no_display {
        ($($name:ty),+ $(,)?) => {$(
            const _: fn() = || {
                trait Fits<Why> {
                    fn is_one() {}
                }
                struct Displayed;
                impl<T> Fits<()> for T {}
                impl<T: fmt::Display> Fits<Displayed> for T {}
                let _ = <$name as Fits<_>>::is_one;
            };
        )+};
    }

    assert_no_display!(
        IdNumberText,
        DigestText,
        SecretText,
        TokenText,
        SaltText,
        CredentialText,
        DatabaseUrl,
        PhoneText,
        NarrativeText,
        crate::domain::id_number::IdNumber,
        crate::domain::misuse::Narrative,
        crate::domain::report::Phone,
        crate::crypto::digest::IdDigest,
        crate::crypto::digest::LookupKey,
        crate::crypto::salt::Salt<32>,
        crate::crypto::webhook::WebhookSecret,
    );

    #[test]
    fn what_is_answered_is_answered_as_a_string() {
        let json = [
            serde_json::to_string(&TokenText::from("a".to_owned())).unwrap(),
            serde_json::to_string(&SaltText::from("a".to_owned())).unwrap(),
            serde_json::to_string(&CredentialText::from("a".to_owned())).unwrap(),
            serde_json::to_string(&NarrativeText::from("a".to_owned())).unwrap(),
        ];
        assert_eq!(json, ["\"a\""; 4]);
    }

    #[test]
    fn of_a_text_that_is_too_long_the_beginning_is_kept() {
        let read = |text: &str| serde_json::from_str::<NarrativeText>(&format!("\"{text}\"")).unwrap().expose().len();
        assert_eq!(read(&"x".repeat(KEPT_BYTES_MAX)), KEPT_BYTES_MAX);
        assert_eq!(read(&"x".repeat(200_000)), KEPT_BYTES_MAX);
        assert_eq!(read(&"宾".repeat(100_000)), KEPT_BYTES_MAX - KEPT_BYTES_MAX % 3);
    }
}
