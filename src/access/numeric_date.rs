//! `NumericDate` (RFC 7519, 2): seconds since 1970, which may have a fraction. Every instant of a JWT is read here.

use serde::{Deserialize, Deserializer};

pub(super) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float too large for seconds becomes the largest: years away"
    )]
    let whole = || number.as_f64().map(|seconds| seconds.floor() as i64);
    number.as_i64().or_else(whole).ok_or_else(|| serde::de::Error::custom("not an instant"))
}

/// Of a member that may be absent, and is not null where it is there.
pub(super) fn seconds_if_there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    seconds(deserializer).map(Some)
}
