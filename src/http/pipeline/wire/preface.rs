//! What a proxy says of a connection before the first byte of its client: the PROXY protocol, versions 1 and 2. Not a byte behind
//! it is taken, so that what follows may be read by anybody. Which peers send one is not known here.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use proxy_header::{ParseConfig, ProxyHeader};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::framing::HeadFault;

const TEXT: &[u8] = b"PROXY ";
/// The longest of version 1, with its line's end.
const TEXT_BYTES_MAX: usize = 107;
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Of version 2: signature, version, family, and the length of what follows.
const BINARY_HEAD_BYTES: usize = 16;
/// Addresses, and more remarks (TLV) than any proxy makes.
const BINARY_BYTES_MAX: usize = 4096;
/// Enough to tell the versions apart and to know how long one of version 2 is.
const PEEKED_BYTES: usize = TEXT_BYTES_MAX;

/// The address for which a proxy has opened a connection; none where it asks for itself or does not say.
pub type Source = Option<IpAddr>;

/// Reads a preface, which may take so long. An error is the connection's, or that nothing came in time.
pub async fn read_preface(io: &mut TcpStream, within: Duration) -> io::Result<Result<Source, HeadFault>> {
    let mut preface = Vec::new();
    match timeout(within, take(io, &mut preface)).await {
        Ok(taken) => Ok(if taken? { parse(&preface) } else { Err(HeadFault::Preface) }),
        Err(_) if preface.is_empty() => Err(io::ErrorKind::TimedOut.into()),
        Err(_) => Ok(Err(HeadFault::TooSlow)),
    }
}

/// Takes what belongs to a preface off the connection, and nothing else. False: what has come is none.
async fn take(io: &mut TcpStream, preface: &mut Vec<u8>) -> io::Result<bool> {
    let mut peeked = [0; PEEKED_BYTES];
    loop {
        let length = io.peek(&mut peeked).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(Part { length, is_last }) = part(preface, peeked.get(..length).unwrap_or_default()) else {
            return Ok(false);
        };
        let from = preface.len();
        preface.resize(from + length, 0);
        io.read_exact(preface.get_mut(from..).unwrap_or_default()).await?;
        if is_last {
            return Ok(true);
        }
    }
}

struct Part {
    length: usize,
    is_last: bool,
}

/// How much of what has come belongs to the preface whose beginning was taken; none where it can be no preface.
fn part(taken: &[u8], come: &[u8]) -> Option<Part> {
    let begins = |with: &[u8]| taken.iter().chain(come).zip(with).all(|(byte, expected)| byte == expected);
    if begins(TEXT) {
        let end = memchr::memchr(b'\n', come);
        let length = end.map_or(come.len(), |at| at + 1);
        return (taken.len() + length <= TEXT_BYTES_MAX).then_some(Part { length, is_last: end.is_some() });
    }
    if !begins(BINARY) {
        return None;
    }
    let head: Vec<u8> = taken.iter().chain(come).copied().take(BINARY_HEAD_BYTES).collect();
    let Ok([.., high, low]) = <[u8; BINARY_HEAD_BYTES]>::try_from(head) else {
        return Some(Part { length: come.len(), is_last: false });
    };
    let whole = BINARY_HEAD_BYTES + usize::from(u16::from_be_bytes([high, low]));
    let length = whole.checked_sub(taken.len())?;
    (whole <= BINARY_BYTES_MAX).then_some(Part { length, is_last: true })
}

fn parse(preface: &[u8]) -> Result<Source, HeadFault> {
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    match ProxyHeader::parse(preface, config) {
        Ok((header, length)) if length == preface.len() => {
            Ok(header.proxied_address().map(|address| address.source.ip()))
        }
        _ => Err(HeadFault::Preface),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes from pieces as they would come, and says what is left.
    fn read(pieces: &[&[u8]]) -> Option<(Option<String>, Vec<u8>)> {
        let (mut preface, mut come) = (Vec::new(), Vec::new());
        for piece in pieces {
            come.extend_from_slice(piece);
            while !come.is_empty() {
                let Part { length, is_last } = part(&preface, &come[..come.len().min(PEEKED_BYTES)])?;
                if length > come.len() {
                    break;
                }
                preface.extend(come.drain(..length));
                if is_last {
                    let source = parse(&preface).ok()?;
                    return Some((source.map(|ip| ip.to_string()), come));
                }
            }
        }
        None
    }

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [BINARY, &[command, family], &length, rest].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 1, 2, 3, 4];

    #[test]
    fn a_preface_names_its_source_wherever_reads_are_cut() {
        let v6 = [&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[1], &[0; 16], &[1, 2, 3, 4]].concat();
        let long = [&V4[..], &[4, 3, 0xe8], &[0; 1000]].concat();
        for (preface, source) in [
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n".to_vec(), Some("192.0.2.1")),
            (b"PROXY TCP6 2001:db8::1 ::1 56324 443\r\n".to_vec(), Some("2001:db8::1")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ::1 1 2\r\n".to_vec(), None),
            (binary(0x21, 0x11, &V4), Some("192.0.2.1")),
            (binary(0x21, 0x21, &v6), Some("2001:db8::1")),
            (binary(0x21, 0x11, &long), Some("192.0.2.1")),
            (binary(0x20, 0x00, &[]), None),
            (binary(0x20, 0x11, &V4), None),
            (binary(0x21, 0x31, &[0; 216]), None),
        ] {
            let sent = [&preface[..], b"GET / HTTP/1.1\r\n"].concat();
            let expected = Some((source.map(str::to_owned), b"GET / HTTP/1.1\r\n".to_vec()));
            assert_eq!(read(&[&sent]), expected, "{preface:?}");
            for cut in 1..preface.len() {
                let (one, two) = sent.split_at(cut);
                assert_eq!(read(&[one, two]), expected, "{preface:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn what_is_no_preface_is_told_from_one() {
        for bad in [
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            b"PROXYTCP4 192.0.2.1 192.0.2.2 1 2\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n".to_vec(),
            b"PROXY TCP4 2001:db8::1 ::1 1 2\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n".to_vec(),
            b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n".to_vec(),
            [b"PROXY UNKNOWN ", &[b'a'; 100][..], b"\r\n"].concat(),
            b"\r\n\r\n\0\r\nQUIX\n!!!!".to_vec(),
            binary(0x11, 0x11, &V4),
            binary(0x22, 0x11, &V4),
            binary(0x21, 0x11, &V4[..11]),
            binary(0x21, 0x41, &V4),
            binary(0x21, 0x11, &[0; 5000]),
        ] {
            assert_eq!(read(&[&bad]), None, "{}", String::from_utf8_lossy(&bad));
        }
    }
}
