//! Who forwarded a request for whom, as `Forwarded` (RFC 7239) and `X-Forwarded-For` say it: one hop for each proxy, the nearest
//! last. A field that is malformed anywhere is malformed. Whom to believe is not judged here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use actix_web::http::header::{HeaderMap, HeaderName};

pub(super) const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// For whom a proxy asked: an address, or somebody that it does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hop {
    From(IpAddr),
    Unnamed,
}

/// More hops are malformed: a field is read as a whole, on the event loop and before anybody is known.
const HOPS_MAX: usize = 64;
/// The same of what an element says: RFC 7239 knows four names.
const PAIRS_MAX: usize = 16;

/// The field is not as its form has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// The hops of a field, in order; none where the field is absent. Several fields are one list (RFC 9110, 5.3).
pub(super) fn hops(headers: &HeaderMap, name: &HeaderName) -> Result<Vec<Hop>, Malformed> {
    let mut hops = Vec::new();
    for value in headers.get_all(name) {
        read(name, value.to_str().map_err(|_| Malformed)?, &mut hops)?;
    }
    Ok(hops)
}

/// Whether a field's one value has its form, so that nobody's answer depends on it.
pub(super) fn is_well_formed(name: &HeaderName, value: &[u8]) -> bool {
    let text = std::str::from_utf8(value)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)));
    text.is_some_and(|text| read(name, text, &mut Vec::new()).is_ok())
}

/// Adds the hops of one field: a list of at least one (RFC 7239, 4).
fn read(name: &HeaderName, value: &str, hops: &mut Vec<Hop>) -> Result<(), Malformed> {
    let before = hops.len();
    if before >= HOPS_MAX {
        return Err(Malformed);
    }
    if *name == FORWARDED { read_forwarded(value, hops) } else { read_x_forwarded_for(value, hops) }?;
    if hops.len() == before { Err(Malformed) } else { Ok(()) }
}

/// Addresses with commas between them. No standard has it; ports are real proxies' own.
fn read_x_forwarded_for(value: &str, hops: &mut Vec<Hop>) -> Result<(), Malformed> {
    for element in value.split(',').map(trim).filter(|element| !element.is_empty()) {
        if hops.len() >= HOPS_MAX {
            return Err(Malformed);
        }
        let bare = element.parse::<Ipv6Addr>().map(|v6| Hop::From(v6.into()));
        hops.push(match bare {
            Ok(hop) => hop,
            Err(_) => read_node(element)?,
        });
    }
    Ok(())
}

/// `forwarded-element`s: pairs with semicolons between them (RFC 7239, 4). Blanks around those are passed over.
fn read_forwarded(value: &str, hops: &mut Vec<Hop>) -> Result<(), Malformed> {
    let mut rest = trim_start(value);
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix(',') {
            // Empty elements are none (RFC 9110, 5.6.1.2).
            rest = trim_start(tail);
            continue;
        }
        if hops.len() >= HOPS_MAX {
            return Err(Malformed);
        }
        let (hop, tail) = read_element(rest)?;
        hops.push(hop);
        rest = tail;
    }
    Ok(())
}

/// One element, and what follows it: a comma or nothing.
fn read_element(text: &str) -> Result<(Hop, &str), Malformed> {
    let mut names: Vec<&str> = Vec::new();
    let mut hop = Hop::Unnamed;
    let mut rest = text;
    loop {
        if !rest.starts_with([';', ',']) && !rest.is_empty() {
            let (name, tail) = read_token(rest).ok_or(Malformed)?;
            let (value, tail) = read_value(tail.strip_prefix('=').ok_or(Malformed)?).ok_or(Malformed)?;
            let is_known = names.iter().any(|known| known.eq_ignore_ascii_case(name));
            if is_known || names.len() >= PAIRS_MAX {
                return Err(Malformed);
            }
            if name.eq_ignore_ascii_case("for") {
                hop = read_node(&value)?;
            }
            names.push(name);
            rest = trim_start(tail);
        }
        match rest.strip_prefix(';') {
            Some(tail) => rest = trim_start(tail),
            None if rest.is_empty() || rest.starts_with(',') => return Ok((hop, rest)),
            None => return Err(Malformed),
        }
    }
}

/// A token (RFC 9110, 5.6.2), and what follows it.
fn read_token(text: &str) -> Option<(&str, &str)> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let length = text.bytes().take_while(|byte| is_token(*byte)).count();
    (length > 0).then(|| text.split_at(length))
}

/// A token or a quoted string without its quotes (RFC 9110, 5.6.4), and what follows it.
fn read_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        return read_token(text).map(|(token, rest)| (token.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            plain => value.push(plain),
        }
    }
    None
}

/// A node (RFC 7239, 6): an address, `unknown` or a name that its proxy made up; perhaps with a port.
fn read_node(text: &str) -> Result<Hop, Malformed> {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or(Malformed)?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_port = match port.strip_prefix(':') {
        Some(port) => {
            is_made_up(port) || (matches!(port.len(), 1..=5) && port.bytes().all(|byte| byte.is_ascii_digit()))
        }
        None => port.is_empty(),
    };
    if !is_port {
        return Err(Malformed);
    }
    if text.starts_with('[') {
        return name.parse::<Ipv6Addr>().map(|v6| Hop::From(v6.into())).map_err(|_| Malformed);
    }
    if name.eq_ignore_ascii_case("unknown") || is_made_up(name) {
        return Ok(Hop::Unnamed);
    }
    name.parse::<Ipv4Addr>().map(|v4| Hop::From(v4.into())).map_err(|_| Malformed)
}

/// `obfnode` and `obfport` (RFC 7239, 6.3).
fn is_made_up(text: &str) -> bool {
    let is_inside = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.strip_prefix('_').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(is_inside))
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

fn trim_start(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn read(name: &HeaderName, values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        let show = |hop: &Hop| match hop {
            Hop::From(address) => address.to_string(),
            Hop::Unnamed => "-".to_owned(),
        };
        hops(&headers, name).ok().map(|hops| hops.iter().map(show).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_has_it() {
        for (values, hops) in [
            (&[][..], ""),
            (&["for=192.0.2.60;proto=http;by=203.0.113.43"], "192.0.2.60"),
            (&["For=\"[2001:db8:cafe::17]:4711\""], "2001:db8:cafe::17"),
            (&["for=192.0.2.43, for=198.51.100.17"], "192.0.2.43 198.51.100.17"),
            (&["for=192.0.2.43", "for=\"198.51.100.17:80\",proto=https"], "192.0.2.43 198.51.100.17 -"),
            (&["for=_hidden, for=_SEVKISEK;by=unknown , for=unknown, for=\"unknown:_a\""], "- - - -"),
            (&[", for=192.0.2.1;;proto=http; ,,"], "192.0.2.1"),
            (&["secret=\"a,b;c=\\\"for=1\";for=\"192\\.0.2.1\""], "192.0.2.1"),
        ] {
            assert_eq!(read(&FORWARDED, values).as_deref(), Some(hops), "{values:?}");
        }
        for bad in [
            "",
            ",",
            "192.0.2.1",
            "for",
            "for=",
            "for=192.0.2.1:80",
            "for=2001:db8::1",
            "for=[2001:db8::1]",
            "for=\"2001:db8::1\"",
            "for=192.0.2",
            "for=192.0.2.1.1",
            "for=\"192.0.2.1:123456\"",
            "for=\"192.0.2.1:\"",
            "for=\"192.0.2.1",
            "for=\"192.0.2.1, for=192.0.2.2",
            "for=192.0.2.1 proto=http",
            "for=192.0.2.1;for=192.0.2.2",
            "for =192.0.2.1",
            "for= 192.0.2.1",
            "for=name",
            "for=_",
            "for=192.0.2.1, x",
            "for=\"[192.0.2.1]\"",
            "=1",
        ] {
            assert_eq!(read(&FORWARDED, &[bad]), None, "{bad}");
        }
    }

    #[test]
    fn a_field_of_more_than_any_proxy_writes_is_malformed() {
        let pairs = |count: usize| (0..count).map(|at| format!("a{at}=1")).collect::<Vec<_>>().join(";");
        assert_eq!(read(&FORWARDED, &[&pairs(PAIRS_MAX)]).as_deref(), Some("-"));
        assert_eq!(read(&FORWARDED, &[&pairs(PAIRS_MAX + 1)]), None);
        for (name, element) in [(FORWARDED, "for=192.0.2.1"), (X_FORWARDED_FOR, "192.0.2.1")] {
            let list = |count: usize| vec![element; count].join(",");
            assert!(read(&name, &[&list(HOPS_MAX)]).is_some());
            assert_eq!(read(&name, &[&list(HOPS_MAX + 1)]), None, "{name}");
            assert_eq!(read(&name, &[&list(HOPS_MAX), element]), None, "{name} twice");
        }
    }

    #[test]
    fn addresses_of_x_forwarded_for_may_have_ports() {
        for (values, hops) in [
            (&["192.0.2.1"][..], "192.0.2.1"),
            (
                &["192.0.2.1, 2001:db8::1,192.0.2.2:4711 , [2001:db8::2]:80, [2001:db8::3]"],
                "192.0.2.1 2001:db8::1 192.0.2.2 2001:db8::2 2001:db8::3",
            ),
            (&["unknown, 192.0.2.1", "192.0.2.2"], "- 192.0.2.1 192.0.2.2"),
        ] {
            assert_eq!(read(&X_FORWARDED_FOR, values).as_deref(), Some(hops), "{values:?}");
        }
        for bad in [
            "",
            " , ",
            "localhost",
            "192.0.2.1 192.0.2.2",
            "192.0.2.1;192.0.2.2",
            "192.0.2.256",
            "192.0.2.1:x",
            "::1:",
            "[::1",
            "fe80::1%eth0",
            "for=192.0.2.1",
            "a, 192.0.2.1",
            "192.0.2.01",
        ] {
            assert_eq!(read(&X_FORWARDED_FOR, &[bad]), None, "{bad}");
        }
    }
}
