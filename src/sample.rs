//! Synthetic loss reports, for trials, load tests and documentation: valid numbers of people who do
//! not exist.
//!
//! The same seed and day give the same records, whatever the count; no number comes twice, in
//! constant memory. No I/O: the caller writes the file. The generator is not a secret source and
//! must never make keys or ids.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use crate::domain::id_number::check_character;
use crate::domain::redacted::IdNumberText;
use crate::domain::report::{Channel, Reason, Reporter};

/// One row of a registry file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleRecord {
    pub id_number: IdNumberText,
    pub card_valid_from: Date,
    /// `None` for a long-term card.
    pub card_valid_until: Option<Date>,
    pub reason: Reason,
    pub lost_on: Date,
    pub reporter: Reporter,
    pub office: String,
    pub channel: Channel,
    pub reported_at: Timestamp,
}

/// The first `count` records of the sequence that `seed` and `today` name. Holders are 16 to 90
/// years old; everything happened before `today`, so that the file can be imported at any hour of
/// that day.
///
/// Ends early only where the numbers run out (at about 2.5 thousand million), and is empty for a
/// `today` before 2005.
pub fn records(seed: u64, count: u64, today: Date) -> impl Iterator<Item = SampleRecord> {
    let people = People::new(seed, today);
    // Another stream than the permutation's keys, or the first record would be made of them.
    let mut random = Xoshiro256PlusPlus::seed_from_u64(!seed);
    let count = if today < EARLIEST_TODAY { 0 } else { count.min(people.count()) };
    (0..count).map(move |index| record(&people.at(index), today, &mut random))
}

/// Cards of the second generation have been issued since this year.
const FIRST_ISSUE_ON: Date = Date::constant(2004, 1, 1);
const EARLIEST_TODAY: Date = Date::constant(2005, 1, 1);
const UNIX_EPOCH: Date = Date::constant(1970, 1, 1);

const AGE_MIN: i32 = 16;
const AGE_MAX: i32 = 90;
/// Below this age hardly anybody has a card.
const FIRST_CARD_AGE: i32 = 10;
const REPORT_DELAY_DAYS_MAX: i32 = 10;

/// Sequence numbers 001 to 999, counted within one county and one birth day (GB 11643-1999).
const SEQUENCES: u64 = 999;

fn record(person: &Person, today: Date, random: &mut Xoshiro256PlusPlus) -> SampleRecord {
    let yesterday = plus_days(today, -1);
    let earliest = FIRST_ISSUE_ON.max(plus_years(person.born_on, FIRST_CARD_AGE));
    let card_valid_from = day_between(earliest, yesterday, random);
    let card_valid_until = valid_until(person.born_on, card_valid_from);
    let lost_by = card_valid_until.map_or(yesterday, |until| until.min(yesterday));
    let lost_on = day_between(card_valid_from, lost_by, random);
    let report_by = plus_days(lost_on, REPORT_DELAY_DAYS_MAX).min(yesterday);
    let reported_on = day_between(lost_on, report_by, random);
    let is_minor = reported_on < plus_years(person.born_on, 18);
    // Two in five reports are made away from home: that is what loss reports at any police station
    // are for.
    let region =
        if random.random_ratio(3, 5) { person.county } else { COUNTIES[random.random_range(0..COUNTIES.len())] };
    SampleRecord {
        id_number: person.id_number().into(),
        card_valid_from,
        card_valid_until,
        reason: if random.random_ratio(1, 6) { Reason::Stolen } else { Reason::Lost },
        lost_on,
        reporter: match random.random_range(0..10) {
            _ if is_minor => Reporter::Guardian,
            0 => Reporter::Agent,
            _ => Reporter::Holder,
        },
        office: office(region, random.random_range(1..=12)),
        channel: match random.random_range(0..10) {
            0..6 => Channel::Station,
            6..8 => Channel::Hall,
            _ => Channel::Online,
        },
        reported_at: office_hours(reported_on, random),
    }
}

/// Terms of validity by age at issue (Resident Identity Card Law, article 5).
fn valid_until(born_on: Date, issued_on: Date) -> Option<Date> {
    let younger_than = |age| issued_on < plus_years(born_on, age);
    let years = if younger_than(16) {
        5
    } else if younger_than(26) {
        10
    } else if younger_than(46) {
        20
    } else {
        return None;
    };
    Some(plus_years(issued_on, years))
}

fn office(region: &str, number: u8) -> String {
    let mut office = String::with_capacity(9);
    office.push_str(region);
    office.push('-');
    office.push(char::from(b'0' + number / 10));
    office.push(char::from(b'0' + number % 10));
    office
}

/// Between 08:30 and 17:30 in China, which is the same day in UTC.
fn office_hours(on: Date, random: &mut Xoshiro256PlusPlus) -> Timestamp {
    let seconds = i64::from(days_between(UNIX_EPOCH, on)) * 86_400 + random.random_range(1_800..34_200);
    // Dates and instants of jiff span the same years: the default is never reached.
    Timestamp::from_second(seconds).unwrap_or_default()
}

/// Everybody who could be in a sample: a county, a birth day and a sequence number, in an order of
/// the seed's making.
#[derive(Debug)]
struct People {
    oldest_born_on: Date,
    birth_days: u64,
    order: Permutation,
}

impl People {
    fn new(seed: u64, today: Date) -> Self {
        let oldest_born_on = plus_days(plus_years(today, -AGE_MAX - 1), 1);
        let youngest_born_on = plus_years(today, -AGE_MIN);
        let birth_days = u64::from(days_between(oldest_born_on, youngest_born_on).unsigned_abs()) + 1;
        let count = COUNTIES.len() as u64 * birth_days * SEQUENCES;
        Self { oldest_born_on, birth_days, order: Permutation::new(seed, count) }
    }

    fn count(&self) -> u64 {
        self.order.length
    }

    fn at(&self, index: u64) -> Person {
        let point = self.order.at(index);
        let (sequence, point) = (point % SEQUENCES + 1, point / SEQUENCES);
        let (birth_day, county) = (point % self.birth_days, point / self.birth_days);
        Person {
            county: COUNTIES[usize::try_from(county).unwrap_or_default()],
            born_on: plus_days(self.oldest_born_on, i32::try_from(birth_day).unwrap_or_default()),
            sequence,
        }
    }
}

#[derive(Debug)]
struct Person {
    county: &'static str,
    born_on: Date,
    sequence: u64,
}

impl Person {
    fn id_number(&self) -> String {
        let day = self.born_on;
        let birth = i64::from(day.year()) * 10_000 + i64::from(day.month()) * 100 + i64::from(day.day());
        let mut rest = birth.unsigned_abs() * 1_000 + self.sequence;
        let mut digits = [b'0'; 17];
        digits[..6].copy_from_slice(self.county.as_bytes());
        for place in digits[6..].iter_mut().rev() {
            *place = b"0123456789"[(rest % 10) as usize];
            rest /= 10;
        }
        let mut number = String::with_capacity(18);
        number.extend(digits.iter().copied().chain([check_character(&digits)]).map(char::from));
        number
    }
}

/// A bijection of `0..length` onto itself: a Feistel network of four rounds over 32 bits, walked on
/// until it falls into the range (Black and Rogaway, "Ciphers with arbitrary finite domains",
/// 2002). It needs no memory of the numbers already given, and unlike an affine step leaves no
/// pattern that a filter or a hash table could profit from.
#[derive(Debug)]
struct Permutation {
    length: u64,
    round_keys: [u32; 4],
}

impl Permutation {
    /// `length` beyond 32 bits is cut to them.
    fn new(seed: u64, length: u64) -> Self {
        let round_keys = Xoshiro256PlusPlus::seed_from_u64(seed).random();
        Self { length: length.min(1 << 32), round_keys }
    }

    /// `index` must be below `length`: only then does its cycle lead back into the range.
    fn at(&self, index: u64) -> u64 {
        let mut point = index;
        loop {
            point = self.step(point);
            if point < self.length {
                return point;
            }
        }
    }

    fn step(&self, point: u64) -> u64 {
        let (mut left, mut right) = (point >> 16 & 0xFFFF, point & 0xFFFF);
        for key in self.round_keys {
            let mixed = (right ^ u64::from(key)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
            (left, right) = (right, left ^ (mixed & 0xFFFF));
        }
        left << 16 | right
    }
}

/// Any day of the range with equal chance; the first where the range is empty.
fn day_between(first: Date, last: Date, random: &mut Xoshiro256PlusPlus) -> Date {
    plus_days(first, random.random_range(0..=days_between(first, last).max(0)))
}

fn days_between(first: Date, last: Date) -> i32 {
    i32::try_from(last.duration_since(first).as_hours() / 24).unwrap_or_default()
}

fn plus_days(date: Date, days: i32) -> Date {
    date.saturating_add(SignedDuration::from_hours(i64::from(days) * 24))
}

fn plus_years(date: Date, years: i32) -> Date {
    date.saturating_add(years.years())
}

/// Counties of every province by GB/T 2260, and the regions that residence permits name.
const COUNTIES: [&str; 93] = [
    "110101", "110105", "110108", "110112", "120101", "120102", "120104", "130102", "130203", "130602", "140105",
    "140202", "150102", "150202", "210102", "210202", "210302", "220102", "220202", "230102", "230103", "230602",
    "310101", "310104", "310115", "310118", "320102", "320106", "320505", "320583", "330102", "330106", "330203",
    "330302", "340102", "340202", "350102", "350203", "350582", "360102", "360702", "370102", "370202", "370602",
    "410102", "410105", "410302", "411302", "420102", "420106", "420502", "430102", "430103", "430202", "440103",
    "440106", "440304", "440305", "440524", "441900", "450102", "450302", "460105", "460202", "500103", "500107",
    "500112", "510104", "510105", "510107", "510703", "520102", "520103", "520302", "530102", "530103", "532901",
    "540102", "610102", "610103", "610113", "620102", "620103", "630102", "630103", "640104", "640105", "650102",
    "650103", "710000", "810000", "820000", "830000",
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::card::CardValidity;
    use crate::domain::report::{OfficeCode, check_lost_on};

    const TODAY: Date = Date::constant(2026, 11, 23);

    fn age(born_on: Date, on: Date) -> i32 {
        (0..200).take_while(|&years| plus_years(born_on, years + 1) <= on).count().try_into().unwrap()
    }

    fn assert_plausible(record: &SampleRecord, today: Date) {
        assert!(record.id_number.parse(today).is_ok(), "{record:?}");
        let born_on: Date = record.id_number.expose()[6..14].parse().unwrap();
        assert!((AGE_MIN..=AGE_MAX).contains(&age(born_on, today)), "{record:?}");

        let (from, until) = (record.card_valid_from, record.card_valid_until);
        assert!(CardValidity::new(Some(from), until, today).is_ok(), "{record:?}");
        assert!(from >= FIRST_ISSUE_ON, "{record:?}");
        let term = match age(born_on, from) {
            ..16 => Some(5),
            16..26 => Some(10),
            26..46 => Some(20),
            _ => None,
        };
        assert_eq!(until, term.map(|years| plus_years(from, years)), "{record:?}");

        assert_eq!(check_lost_on(record.lost_on, Some(from), today), Ok(()));
        assert!(until.is_none_or(|until| record.lost_on <= until), "{record:?}");
        let reported_on = TimeZone::UTC.to_datetime(record.reported_at).date();
        let delay = days_between(record.lost_on, reported_on);
        assert!((0..=REPORT_DELAY_DAYS_MAX).contains(&delay), "{record:?}");
        assert!(reported_on < today, "{record:?}");
        assert!(OfficeCode::parse(&record.office).is_some(), "{record:?}");
    }

    #[test]
    fn first_records_are_plausible_and_distinct() {
        let mut seen = HashSet::new();
        let mut provinces = HashSet::new();
        for record in records(1, 20_000, TODAY) {
            assert_plausible(&record, TODAY);
            provinces.insert(record.id_number.expose()[..2].to_owned());
            assert!(seen.insert(record.id_number.expose().to_owned()));
        }
        assert_eq!(seen.len(), 20_000);
        assert_eq!(provinces.len(), 35);
    }

    #[test]
    fn everybody_fits_into_the_permutation() {
        for today in [TODAY, EARLIEST_TODAY, Date::MAX] {
            let people = People::new(0, today);
            assert_eq!(people.count(), COUNTIES.len() as u64 * people.birth_days * SEQUENCES);
        }
        assert_eq!(COUNTIES.iter().collect::<HashSet<_>>().len(), COUNTIES.len());
        assert_eq!(age(People::new(0, TODAY).oldest_born_on, TODAY), AGE_MAX);
    }

    #[test]
    fn no_records_before_there_were_cards_to_lose() {
        assert_eq!(records(1, 10, Date::constant(2004, 12, 31)).count(), 0);
        assert_eq!(records(1, 10, Date::MIN).count(), 0);
        assert_eq!(records(1, 10, EARLIEST_TODAY).count(), 10);
        assert_eq!(records(1, 10, Date::MAX).count(), 10);
    }

    proptest! {
        #[test]
        fn count_does_not_change_the_records(seed: u64, short in 0..20_u64) {
            let prefix: Vec<_> = records(seed, short, TODAY).collect();
            let more = records(seed, 40, TODAY).take(prefix.len()).collect::<Vec<_>>();
            prop_assert_eq!(prefix.len() as u64, short);
            prop_assert_eq!(prefix, more);
        }

        #[test]
        fn records_of_any_seed_and_day_are_plausible(seed: u64, days in 0..40_000_i32) {
            let today = plus_days(EARLIEST_TODAY, days);
            for record in records(seed, 20, today) {
                assert_plausible(&record, today);
            }
        }

        #[test]
        fn permutation_gives_distinct_points_of_its_range(seed: u64, length in 1..300_u64) {
            // Long ranges only: the network is always 32 bits wide, and a short range takes long
            // walks.
            let permutation = Permutation::new(seed, (1 << 31) + length);
            let points: HashSet<_> = (0..1_000).map(|index| permutation.at(index)).collect();
            prop_assert_eq!(points.len(), 1_000);
            prop_assert!(points.iter().all(|&point| point < permutation.length));
        }

        #[test]
        fn step_of_the_permutation_is_injective(seed: u64, one: u32, other: u32) {
            let permutation = Permutation::new(seed, u64::MAX);
            let same = permutation.step(one.into()) == permutation.step(other.into());
            prop_assert_eq!(same, one == other);
        }
    }
}
