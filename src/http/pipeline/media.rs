//! The type and encoding that a body says it has. A type that stands twice is refused, for two readers of it could differ;
//! parameters that mean nothing for the type are passed over, as real clients send them (RFC 8259, 11).

use actix_web::HttpRequest;
use actix_web::http::header::{self, Accept, Header, HeaderMap, Quality};

use crate::http::contract::problem::{self, Problem};

/// What an operation takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    Json,
    /// What is to change of an object (RFC 7396).
    MergePatch,
    Form,
}

impl Media {
    fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::MergePatch => "application/merge-patch+json",
            Self::Form => "application/x-www-form-urlencoded",
        }
    }

    /// Character sets by which it is UTF-8: all that a form holds is ASCII.
    fn takes_charset(self, name: &str) -> bool {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        is("utf-8") || is("utf8") || is("us-ascii") || (self == Self::Form && is("iso-8859-1"))
    }
}

/// Which of two types an answer has (RFC 9110, 12.5.1): the one of the higher weight; of the same, the one that was named more exactly;
/// else, and where neither is accepted, the first.
pub fn preferred(request: &HttpRequest, offered: [&'static str; 2]) -> &'static str {
    let accepted = Accept::parse(request).map_or_else(|_| Vec::new(), |Accept(accepted)| accepted);
    let rank = |name: &str| {
        let of_type = name.split('/').next().map(|first| format!("{first}/*")).unwrap_or_default();
        // The most exact range that takes it says its weight.
        let ranges = ["*/*", of_type.as_str(), name];
        let weights = accepted.iter().filter_map(|range| {
            let is_range = |text: &&str| text.eq_ignore_ascii_case(range.item.essence_str());
            Some((ranges.iter().position(is_range)?, range.quality))
        });
        weights.max().map(|(exactness, weight)| (weight, exactness)).filter(|(weight, _)| *weight > Quality::ZERO)
    };
    let [first, second] = offered;
    if rank(second) > rank(first) { second } else { first }
}

/// Whether a body is of this type, in UTF-8 and unencoded.
pub fn expect_type(headers: &HeaderMap, media: Media) -> Result<(), Problem> {
    let refuse = |detail: &'static str| Err(Problem::new(problem::UNSUPPORTED_MEDIA_TYPE, detail));
    let mut types = headers.get_all(header::CONTENT_TYPE);
    let (first, second) = (types.next(), types.next());
    if second.is_some() {
        return Err(Problem::new(problem::MALFORMED_REQUEST, "the Content-Type header stands twice"));
    }
    // Several fields are one list (RFC 9110, 5.3).
    let mut encodings =
        headers.get_all(header::CONTENT_ENCODING).flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let is_plain = |coding: &[u8]| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity");
    if !encodings.all(|coding| is_plain(coding.trim_ascii())) {
        return refuse("encoded bodies are not taken");
    }
    let Some(value) = first.and_then(|value| value.to_str().ok()) else {
        return refuse("the Content-Type header is missing");
    };
    let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
    if !essence.trim().eq_ignore_ascii_case(media.name()) {
        return refuse("the Content-Type is not the one this operation takes");
    }
    let mut charsets = parameters_of(parameters).into_iter().filter(|(name, _)| name.eq_ignore_ascii_case("charset"));
    match (charsets.next(), charsets.next()) {
        (None, _) => Ok(()),
        (Some((_, charset)), None) if media.takes_charset(&charset) => Ok(()),
        _ => refuse("only UTF-8 is taken, and its name once"),
    }
}

/// Names and values of parameters (RFC 9110, 5.6.6); empty ones are none.
fn parameters_of(text: &str) -> Vec<(&str, String)> {
    let mut all = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find([';', '=']).unwrap_or(rest.len());
        let name = rest[..end].trim();
        if !rest[end..].starts_with('=') {
            rest = rest.get(end + 1..).unwrap_or("");
            continue;
        }
        let (value, tail) = value_of(&rest[end + 1..]);
        all.push((name, value));
        rest = tail;
    }
    all
}

/// A value, unquoted, and what follows its semicolon.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.trim_start().strip_prefix('"') else {
        let (value, rest) = text.split_once(';').unwrap_or((text, ""));
        return (value.trim().to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => {
                let (behind, rest) = quoted[at + 1..].split_once(';').unwrap_or((&quoted[at + 1..], ""));
                // Text behind the quotes belongs to no value: it makes the value one that nothing knows.
                value.push_str(behind.trim());
                return (value, rest);
            }
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            plain => value.push(plain),
        }
    }
    // Without its closing quote it is no value at all.
    ("\"".to_owned(), "")
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn status(media: Media, fields: &[(&'static str, &str)]) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        expect_type(&headers, media).map_or_else(|problem| problem.kind().status.as_u16(), |()| 200)
    }

    #[test]
    fn types_are_taken_with_what_real_clients_add() {
        for good in [
            "application/json",
            "Application/JSON;",
            "application/json; charset=utf-8;",
            "application/json;charset=UTF8",
            "application/json; charset=us-ascii",
            "application/json;charset=\"UTF-8\"",
            "application/json ; Charset = utf-8",
            "application/json; odata.metadata=minimal; charset=utf-8",
            "application/json; q=\"a;charset=utf-16\"",
            "application/json; charset=\"ut\\f-8\"",
            "application/json; version",
        ] {
            assert_eq!(status(Media::Json, &[("content-type", good)]), 200, "{good}");
        }
        for bad in [
            "",
            "text/plain",
            "application/json-patch+json",
            "application/json, text/plain",
            "application/json; charset=utf-16",
            "application/json; charset=iso-8859-1",
            "application/json; charset=charset=utf-8",
            "application/json; charset=",
            "application/json; charset=utf-8; charset=utf-16",
            "application/json; charset=utf-8; charset=utf-8",
            "application/json; charset=\"utf-8\"x",
            "application/json; charset=\"utf-8",
            "application/json; charset='utf-8'",
        ] {
            assert_eq!(status(Media::Json, &[("content-type", bad)]), 415, "{bad}");
        }
        for charset in ["", "; charset=ISO-8859-1", "; charset=us-ascii", "; charset=utf8", ";charset=UTF-8"] {
            let form = format!("application/x-www-form-urlencoded{charset}");
            assert_eq!(status(Media::Form, &[("content-type", &form)]), 200, "{form}");
        }
        let form = "application/x-www-form-urlencoded; charset=gbk";
        assert_eq!((status(Media::Form, &[("content-type", form)]), status(Media::Json, &[])), (415, 415));
    }

    #[test]
    fn two_types_are_malformed_and_two_encodings_are_a_list() {
        let json = ("content-type", "application/json");
        assert_eq!(status(Media::Json, &[json, json]), 400);
        assert_eq!(status(Media::Json, &[json, ("content-type", "text/plain")]), 400);
        let encoding = |value| ("content-encoding", value);
        assert_eq!(status(Media::Json, &[json, encoding("identity"), encoding("Identity, identity")]), 200);
        for bad in [&["gzip"][..], &["identity", "gzip"], &["gzip", "identity"], &["identity, br"], &["x"]] {
            let fields: Vec<_> = std::iter::once(json).chain(bad.iter().map(|value| encoding(value))).collect();
            assert_eq!(status(Media::Json, &fields), 415, "{bad:?}");
        }
    }
}
