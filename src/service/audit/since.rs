//! Heads that somebody kept where those who change the database cannot reach: whether they fit together, and whether a log goes
//! through every one of them.

use std::collections::BTreeMap;

use crate::clock::Rfc3339;
use crate::crypto::audit::{End, Head, HeadError, Place};
use crate::crypto::signing::PublicKey;
use crate::domain::ids::SeriesId;
use crate::domain::instant::UnixMs;

/// What is wrong with heads, or with a log that they are of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadsError {
    #[error("line {line}: {error}")]
    NotOurs { line: usize, error: HeadError },
    #[error("no signed head is in what --since gives")]
    None,
    #[error("heads {first} to {last} of the series {series} are missing")]
    Missing { series: SeriesId, first: u64, last: u64 },
    #[error(
        "head {number} of the series {series} was signed twice, and differently: the node continued from an older state"
    )]
    SignedTwice { series: SeriesId, number: u64 },
    #[error("head {number} of the series {series} does not name the one before it: heads were exchanged")]
    Exchanged { series: SeriesId, number: u64 },
    #[error(
        "head {number} of the series {series} is of entry {of}, behind one of entry {before}: the log was set back"
    )]
    SetBack { series: SeriesId, number: u64, of: u64, before: u64 },
    #[error("two heads of entry {sequence} differ: there were two logs")]
    Forked { sequence: u64 },
    #[error(
        "at entry {sequence} the log is not the one of the head of {signed_at}: it was rewritten, or an older one was continued"
    )]
    Rewritten { sequence: u64, signed_at: String },
    #[error(
        "the log ends at entry {last}, and a head of {signed_at} is of entry {of}: its end was cut off, or an older one was put in its place"
    )]
    CutOff { last: u64, of: u64, signed_at: String },
}

/// Heads that fit together.
#[derive(Debug)]
pub struct Kept {
    by_sequence: BTreeMap<u64, Anchor>,
    /// How many.
    pub count: usize,
    pub newest: Head,
}

#[derive(Debug, Clone, Copy)]
struct Anchor {
    end: End,
    signed_at_s: i64,
}

impl Kept {
    /// Reads heads out of lines, as a node writes them into a file or sends them, and as a collector of syslog keeps them. A line
    /// without a signed head is passed over; one with a head that is not the service's is not.
    pub fn read<'a>(lines: impl Iterator<Item = &'a str>, keys: &[PublicKey]) -> Result<Self, HeadsError> {
        let mut heads = Vec::new();
        for (line, text) in (1..).zip(lines) {
            for jws in signed_texts(text) {
                let head = Head::verify(jws, keys).map_err(|error| HeadsError::NotOurs { line, error })?;
                heads.push((head, Head::digest(jws)));
            }
        }
        judge_series(&heads)?;
        let newest = heads.iter().map(|(head, _)| head).max_by_key(|head| (head.end.sequence, head.issued_at_s));
        let newest = newest.cloned().ok_or(HeadsError::None)?;
        let mut by_sequence = BTreeMap::new();
        for (head, _) in &heads {
            let sequence = head.end.sequence;
            let anchor = Anchor { end: head.end, signed_at_s: head.issued_at_s };
            let known = by_sequence.entry(sequence).or_insert(anchor);
            if known.end.hash != head.end.hash {
                return Err(HeadsError::Forked { sequence });
            }
        }
        Ok(Self { by_sequence, count: heads.len(), newest })
    }

    /// Whether a log may be so at an entry.
    pub fn judge(&self, end: End) -> Result<(), HeadsError> {
        match self.by_sequence.get(&end.sequence) {
            Some(anchor) if anchor.end.hash != end.hash => {
                Err(HeadsError::Rewritten { sequence: end.sequence, signed_at: instant(anchor.signed_at_s) })
            }
            _ => Ok(()),
        }
    }

    /// Whether a log may end so.
    pub fn judge_end(&self, end: End) -> Result<(), HeadsError> {
        let (last, newest) = (end.sequence, &self.newest);
        if newest.end.sequence > last {
            let signed_at = instant(newest.issued_at_s);
            return Err(HeadsError::CutOff { last, of: newest.end.sequence, signed_at });
        }
        Ok(())
    }
}

fn instant(at_s: i64) -> String {
    Rfc3339::of(UnixMs::from_seconds(at_s)).as_str().to_owned()
}

/// What looks like a compact JWS: three parts of base64url; the first is an object.
fn signed_texts(line: &str) -> impl Iterator<Item = &str> {
    let is_of_jws = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let words = line.split(move |character| !is_of_jws(character));
    words.filter(|word| word.starts_with("eyJ") && word.split('.').count() == 3)
}

/// A head of a series: what it names before it, its entry, and by what the next one names it.
struct Placed {
    previous: [u8; 32],
    of: u64,
    digest: [u8; 32],
}

fn judge_series(heads: &[(Head, [u8; 32])]) -> Result<(), HeadsError> {
    let mut all: BTreeMap<SeriesId, BTreeMap<u64, Placed>> = BTreeMap::new();
    for (head, digest) in heads {
        let Some(place) = head.place else { continue };
        let Place { series, number, .. } = place;
        let placed = Placed { previous: place.previous, of: head.end.sequence, digest: *digest };
        let known = all.entry(series).or_default().entry(number).or_insert(placed);
        if known.digest != *digest {
            return Err(HeadsError::SignedTwice { series, number });
        }
    }
    for (series, heads) in all {
        let mut before: Option<(u64, u64, [u8; 32])> = None;
        for (number, Placed { previous, of, digest }) in heads {
            if let Some((last, of_last, digest_of_last)) = before {
                if number != last + 1 {
                    return Err(HeadsError::Missing { series, first: last + 1, last: number - 1 });
                }
                if previous != digest_of_last {
                    return Err(HeadsError::Exchanged { series, number });
                }
                if of < of_last {
                    return Err(HeadsError::SetBack { series, number, of, before: of_last });
                }
            }
            before = Some((number, of, digest));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::signing::SigningKey;

    const SERIES: SeriesId = SeriesId::from_u128(5);

    /// Heads of one series, of these entries, each with a hash of its entry's number and a letter.
    fn heads(key: &SigningKey, series: SeriesId, of: &[(u64, u8)]) -> Vec<String> {
        let mut previous = [0; 32];
        let head = |(number, &(sequence, letter)): (u64, &(u64, u8))| {
            let end = End { sequence, hash: [letter; 32] };
            let place = Some(Place { series, number, previous });
            let issued_at_s = 1_795_440_000 + i64::try_from(number).unwrap();
            let jws = Head { issuer: "http://x".to_owned(), issued_at_s, end, place }.sign(key);
            previous = Head::digest(&jws);
            jws
        };
        (1..).zip(of).map(head).collect()
    }

    fn read(key: &SigningKey, lines: &[String]) -> Result<Kept, String> {
        Kept::read(lines.iter().map(String::as_str), &[key.public().clone()]).map_err(|error| error.to_string())
    }

    #[test]
    fn heads_are_read_in_every_form_that_they_are_kept_in() {
        let key = SigningKey::generate().unwrap();
        let signed = heads(&key, SERIES, &[(1, 1), (1, 1), (4, 4)]);
        let lines = [
            "Nov 28 other lines of a collector, with eyJ and a.b.c in them".to_owned(),
            format!(r#"{{"head":"{}"}}"#, signed[0]),
            format!("<85>1 2026-11-28T18:00:00.000Z node lostcard 7 audit-head - {{\"head\":\"{}\"}}", signed[1]),
            signed[2].clone(),
            signed[2].clone(),
            String::new(),
        ];
        let kept = read(&key, &lines).unwrap();
        assert_eq!((kept.count, kept.newest.end.sequence), (4, 4), "twice the same is no fault");
        let end = |sequence, letter| End { sequence, hash: [letter; 32] };
        assert!(kept.judge(end(1, 1)).is_ok() && kept.judge(end(2, 9)).is_ok() && kept.judge(end(4, 4)).is_ok());
        assert!(matches!(kept.judge(end(4, 5)), Err(HeadsError::Rewritten { sequence: 4, .. })));
        assert!(kept.judge_end(end(4, 4)).is_ok() && kept.judge_end(end(9, 9)).is_ok());
        assert!(matches!(kept.judge_end(end(3, 3)), Err(HeadsError::CutOff { last: 3, of: 4, .. })));
    }

    #[test]
    fn heads_that_do_not_fit_together_are_named() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let good = heads(&key, SERIES, &[(1, 1), (2, 2), (3, 3), (4, 4)]);
        let changed = |change: &dyn Fn(&mut Vec<String>)| {
            let mut lines = good.clone();
            change(&mut lines);
            lines
        };
        let replayed = heads(&key, SERIES, &[(1, 1), (2, 2), (3, 9)]);
        let alone = heads(&key, SeriesId::from_u128(6), &[(3, 9)]);
        let foreign = heads(&other, SERIES, &[(1, 1)]);
        for (lines, why) in [
            (changed(&|lines| drop(lines.drain(1..3))), "heads 2 to 3 of the series"),
            (changed(&|lines| lines.push(replayed[2].clone())), "was signed twice, and differently"),
            (changed(&|lines| lines[2].clone_from(&replayed[2])), "heads were exchanged"),
            (changed(&|lines| lines.push(alone[0].clone())), "two heads of entry 3 differ"),
            (changed(&|lines| lines.push(foreign[0].clone())), "line 5: the head is signed by no key of this set"),
            (heads(&key, SERIES, &[(4, 4), (3, 3)]), "is of entry 3, behind one of entry 4: the log was set back"),
            (vec!["nothing".to_owned()], "no signed head"),
        ] {
            let said = read(&key, &lines).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
        assert!(read(&key, &good[1..]).is_ok(), "what is before the first is somewhere else");
        assert!(read(&key, &good[..3]).is_ok(), "and what is behind the last");
    }
}
