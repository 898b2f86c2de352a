//! What the committed bytes of an epoch say of a receipt: the log's entries of its number, and the base behind them. The same rule for
//! the service, which answers by it, and for the auditor, who believes nobody.

use jiff::civil::Date;

use super::entry::{BlindEntry, BlindStatus, ENTRY_BYTES};
use super::key::Evaluated;
use crate::crypto::act_receipt::Act;
use crate::crypto::receipt::{Claims, Says};
use crate::domain::verdict::Verdict;

/// What came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Consistent,
    Contradicted,
    CannotTell,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Consistent => "consistent",
            Self::Contradicted => "contradicted",
            Self::CannotTell => "cannot_tell",
        }
    }
}

/// The outcome, and why in a sentence.
pub type Judged = (Outcome, &'static str);

/// An entry with the tag of the number, and its place in the log.
pub type Tagged = (u64, [u8; ENTRY_BYTES]);

/// What a base says of the number: nothing, or what each word with its tag says.
#[derive(Debug, Clone)]
pub struct BaseSays {
    /// At which everything in it was listed.
    pub sequence: u64,
    pub statuses: Vec<BlindStatus>,
}

/// What is committed of one number in one epoch.
#[derive(Debug)]
pub struct Committed<'a> {
    /// The sequence at which the epoch began.
    pub s0: u64,
    /// By their places: all of them up to the receipt's sequence and the base's, and what is known behind.
    pub entries: &'a [Tagged],
    /// None where there is none to be read.
    pub base: Option<BaseSays>,
}

/// Judges the receipt of a check or a write; of a blind one only the sender knows what it was answered.
pub fn judge(claims: &Claims, start: Option<Date>, evaluated: &Evaluated, committed: &Committed<'_>) -> Judged {
    let seq = claims.seq.get();
    // At its begin what was listed is the base's to say; a change has a leaf of its own behind it.
    if seq < committed.s0 || (seq == committed.s0 && claims.says.act().is_some()) {
        return (Outcome::CannotTell, "the log began after the receipt");
    }
    let is_sound = |(index, entry): &Tagged| {
        let status = BlindEntry::from_bytes(*entry).read(evaluated, committed.s0 + index + 1);
        status.is_none_or(BlindStatus::is_sound)
    };
    if !committed.entries.iter().all(is_sound) {
        return (Outcome::CannotTell, "an entry of the number is not what it should be: the log began elsewhere");
    }
    match &claims.says {
        Says::Act(act) => judge_act(*act, seq, start, evaluated, committed),
        Says::Verdict { verdict, .. } => {
            let judged = judge_verdict(verdict, seq, start, evaluated, committed);
            if claims.cp.is_none() && judged.0 == Outcome::Contradicted {
                return (
                    Outcome::CannotTell,
                    "the receipt names no checkpoint of the log: it may be older, or of a time without entries",
                );
            }
            judged
        }
        Says::Blind { .. } => (Outcome::CannotTell, "a blind receipt has no verdict"),
    }
}

/// The last entry of the number, and its sequence.
pub fn last_of(evaluated: &Evaluated, committed: &Committed<'_>) -> Option<(u64, BlindStatus)> {
    let (index, entry) = committed.entries.last()?;
    let sequence = committed.s0 + index + 1;
    Some((sequence, BlindEntry::from_bytes(*entry).read(evaluated, sequence)?))
}

fn judge_act(act: Act, seq: u64, start: Option<Date>, evaluated: &Evaluated, committed: &Committed<'_>) -> Judged {
    let at = seq.checked_sub(committed.s0 + 1);
    let entry = committed.entries.iter().find(|(index, _)| Some(*index) == at);
    let Some(status) = entry.and_then(|(_, entry)| BlindEntry::from_bytes(*entry).read(evaluated, seq)) else {
        return (Outcome::Contradicted, "the log has no entry of this number at the place of the receipt");
    };
    let lists = match act {
        Act::Report => matches!(status.decide(start), Verdict::CardListed | Verdict::NumberListed),
        Act::Replacement | Act::Correction => status.is_listed(),
        // Others may list it still.
        Act::Withdrawal => true,
    };
    if lists {
        (Outcome::Consistent, "the log has the change at its place")
    } else {
        (Outcome::Contradicted, "the log's entry at the place of the receipt does not list the card")
    }
}

fn judge_verdict(
    verdict: &str,
    seq: u64,
    start: Option<Date>,
    evaluated: &Evaluated,
    committed: &Committed<'_>,
) -> Judged {
    let sequence_of = |index: u64| committed.s0 + index + 1;
    let mut known = committed.entries.iter().filter_map(|(index, entry)| {
        let sequence = sequence_of(*index);
        BlindEntry::from_bytes(*entry).read(evaluated, sequence).map(|status| (sequence, status))
    });
    let says = |status: &BlindStatus| status.decide(start).as_str() == verdict;
    if let Some((_, status)) = known.clone().rfind(|(sequence, _)| *sequence <= seq) {
        return if says(&status) {
            (Outcome::Consistent, "the last entry of the number up to the receipt says the same")
        } else {
            (Outcome::Contradicted, "the last entry of the number up to the receipt says otherwise")
        };
    }
    let Some(base) = &committed.base else {
        return (Outcome::CannotTell, "this log has no entry of the number, and its base cannot be read");
    };
    if known.any(|(sequence, _)| sequence <= base.sequence) {
        return (Outcome::CannotTell, "the number was changed between the receipt and the base of its epoch");
    }
    match base.statuses.as_slice() {
        [] if verdict == Verdict::NotListed.as_str() => (Outcome::Consistent, "neither log nor base know the number"),
        [] => (Outcome::Contradicted, "neither log nor base know the number"),
        all if all.iter().any(says) => (Outcome::Consistent, "the base says the same"),
        _ => (Outcome::CannotTell, "only the base says otherwise, and its tags are short: that may be chance"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::domain::card::Threshold;
    use crate::domain::verdict::{Listing, ListingKind};

    const START: Date = date(2016, 5, 1);

    fn number() -> Evaluated {
        Evaluated::from_bytes(std::array::from_fn(|at| u8::try_from(at).unwrap()))
    }

    fn status(listed: bool) -> BlindStatus {
        let listing = Listing {
            threshold: Some(Threshold::of_lost_card(START)),
            card_unknown: false,
            kind: ListingKind::Reported,
            since: START,
        };
        BlindStatus::of(listed.then_some(&listing))
    }

    fn claims(says: &str, seq: u64, cp: bool) -> Claims {
        let json = format!(
            r#"{{"iss":"x","aud":"01993c5e-0000-7000-8000-000000000000","iat":1,"jti":"01993c5e-0000-7000-8000-000000000001","seq":{seq},"cm":"",{says}}}"#
        );
        let claims: Claims = serde_json::from_str(&json).unwrap();
        Claims { cp: cp.then(String::new), ..claims }
    }

    fn entry(listed: bool, index: u64) -> Tagged {
        (index, *BlindEntry::of(&number(), status(listed), 100 + index + 1).as_bytes())
    }

    fn outcome(says: &str, seq: u64, entries: &[Tagged], base: Option<(u64, Vec<BlindStatus>)>) -> Outcome {
        let base = base.map(|(sequence, statuses)| BaseSays { sequence, statuses });
        judge(&claims(says, seq, true), Some(START), &number(), &Committed { s0: 100, entries, base }).0
    }

    #[test]
    fn the_last_entry_up_to_the_receipt_decides() {
        let (listed, not) = (r#""verdict":"card_listed","as_of":"x""#, r#""verdict":"not_listed","as_of":"x""#);
        let entries = [entry(true, 4), entry(false, 9)];
        for (says, seq, wanted) in [
            (listed, 105, Outcome::Consistent),
            (listed, 109, Outcome::Consistent),
            (not, 109, Outcome::Contradicted),
            (not, 110, Outcome::Consistent),
            (listed, 110, Outcome::Contradicted),
            (r#""verdict":"number_listed","as_of":"x""#, 105, Outcome::Contradicted),
            (not, 104, Outcome::CannotTell),
        ] {
            assert_eq!(outcome(says, seq, &entries, None), wanted, "{says} at {seq}");
        }
        let unnamed = claims(not, 109, false);
        let committed = Committed { s0: 100, entries: &entries, base: None };
        assert_eq!(
            judge(&unnamed, Some(START), &number(), &committed).0,
            Outcome::CannotTell,
            "it names no checkpoint"
        );
    }

    #[test]
    fn the_base_decides_alone_only_where_it_knows_nothing_or_says_the_same() {
        let (listed, not) = (r#""verdict":"card_listed","as_of":"x""#, r#""verdict":"not_listed","as_of":"x""#);
        let known = || Some((103, vec![status(true)]));
        assert_eq!(outcome(not, 110, &[], Some((103, vec![]))), Outcome::Consistent);
        assert_eq!(outcome(listed, 110, &[], Some((103, vec![]))), Outcome::Contradicted);
        assert_eq!(outcome(listed, 110, &[], known()), Outcome::Consistent);
        assert_eq!(outcome(not, 110, &[], known()), Outcome::CannotTell);
        assert_eq!(outcome(not, 101, &[entry(true, 1)], known()), Outcome::CannotTell, "changed before the base was");
        assert_eq!(outcome(listed, 101, &[], known()), Outcome::Consistent);
    }

    #[test]
    fn a_log_that_began_later_or_elsewhere_says_nothing() {
        let not = r#""verdict":"not_listed","as_of":"x""#;
        let empty = || Some((103, vec![]));
        assert_eq!(outcome(not, 100, &[], empty()), Outcome::Consistent, "the base has what was listed at the begin");
        assert_eq!(outcome(not, 99, &[], empty()), Outcome::CannotTell);
        // Entries that open to flags which nobody writes: another begin gives them other pads.
        let bent = |index: u64| {
            let (at, mut bytes) = entry(false, index);
            bytes[19] ^= 8;
            (at, bytes)
        };
        assert_eq!(outcome(not, 110, &[bent(4)], empty()), Outcome::CannotTell);
        assert_eq!(outcome(r#""act":"withdrawal""#, 105, &[bent(4)], None), Outcome::CannotTell);
    }

    #[test]
    fn a_write_has_its_entry_at_its_place() {
        let (report, withdrawal) = (r#""act":"report""#, r#""act":"withdrawal""#);
        for (says, seq, entries, wanted) in [
            (report, 105, vec![entry(true, 4)], Outcome::Consistent),
            (report, 106, vec![entry(true, 4)], Outcome::Contradicted),
            (report, 105, vec![], Outcome::Contradicted),
            (report, 105, vec![entry(false, 4)], Outcome::Contradicted),
            (withdrawal, 105, vec![entry(false, 4)], Outcome::Consistent),
            (r#""act":"replacement""#, 105, vec![entry(false, 4)], Outcome::Contradicted),
            (r#""act":"correction""#, 105, vec![entry(true, 4)], Outcome::Consistent),
            (r#""act":"correction""#, 105, vec![entry(false, 4)], Outcome::Contradicted),
            (report, 100, vec![entry(true, 4)], Outcome::CannotTell),
        ] {
            assert_eq!(outcome(says, seq, &entries, None), wanted, "{says} at {seq}");
        }
    }
}
