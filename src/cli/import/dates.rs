//! Days and instants as files write them: the forms of offices and spreadsheets that have one reading. What has two, or none, is
//! refused by a name of its own. Pure; no value is repeated in a refusal.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

use super::row::BLANKS;
use crate::domain::instant::UnixMs;

/// Why a text is no day or instant: a code of the rejects file, and a sentence.
pub(crate) type Refusal = (&'static str, &'static str);

const MALFORMED_DATE: Refusal =
    ("malformed_date", "a date is written 2016-05-01, 20160501, 2016.05.01, 2016/5/1 or 2016年5月1日, and must exist");
const SERIAL_NUMBER: Refusal =
    ("date_as_number", "a spreadsheet's serial number is no date: give the column a date format, or save it as text");
const AMBIGUOUS: Refusal = ("ambiguous_date", "day and month could be either: write the year first, 2016-05-01");
const TIME_OF_DAY: Refusal = ("time_in_date", "a date has no time of day, but midnight");
pub(crate) const PLACEHOLDER: Refusal = ("placeholder", "where nothing is known leave the cell empty");
const MALFORMED_INSTANT: Refusal =
    ("malformed_instant", "an instant is a date, a blank or T, and a time: 2026-11-01T08:30:00+08:00");

/// A day; a time of midnight behind it is dropped.
pub(crate) fn read_day(text: &str) -> Result<Date, Refusal> {
    let (date, rest) = match take_date(text) {
        Ok(taken) => taken,
        Err(_) if text.trim_matches(is_blank).len() != text.len() => return read_day(text.trim_matches(is_blank)),
        Err(refusal) => return Err(refusal),
    };
    if rest.is_empty() {
        return Ok(date);
    }
    match take_time(rest.trim_end_matches(is_blank)) {
        // A zone would move the day: only the one that all offices live by leaves it where it is.
        Some((time, zone)) if zone.is_none_or(|zone| zone == BEIJING) => {
            if time == Time::midnight() {
                Ok(date)
            } else {
                Err(TIME_OF_DAY)
            }
        }
        Some(_) => Err(TIME_OF_DAY),
        None if rest.chars().all(is_blank) => Ok(date),
        None => Err(MALFORMED_DATE),
    }
}

/// The end of a card's validity: none for a long-term card, however that is written.
pub(crate) fn read_end(text: &str) -> Result<Option<Date>, Refusal> {
    let is_long_term = |day: Date| day == Date::MAX || day == LAST_OF_2099;
    let text = text.trim_matches(is_blank);
    match read_day(text) {
        Ok(day) => Ok(Some(day).filter(|day| !is_long_term(*day))),
        Err(_) if is_long_term_word(text) => Ok(None),
        // The last instant that a database knows: no time of day says anything there.
        Err(refusal) => match take_date(text) {
            Ok((day, rest)) if is_long_term(day) && take_time(rest).is_some() => Ok(None),
            _ => Err(refusal),
        },
    }
}

/// Systems that must write an end write the last day that they know.
const LAST_OF_2099: Date = Date::constant(2099, 12, 31);
pub(crate) const BEIJING: Offset = Offset::constant(8);

fn is_long_term_word(text: &str) -> bool {
    let words = ["long-term", "long term", "longterm", "long_term", "permanent"];
    let chinese = ["长期", "长期有效", "永久", "永久有效", "長期", "長期有效"];
    words.iter().any(|word| text.eq_ignore_ascii_case(word)) || chinese.contains(&text) || is_day_of_zeros(text)
}

/// `0000-00-00`, in any form of a date and with any time behind it.
fn is_day_of_zeros(text: &str) -> bool {
    let date = text.split_once([' ', 'T']).map_or(text, |(date, _)| date);
    date.bytes().filter(u8::is_ascii_digit).count() == 8
        && date.chars().all(|c| matches!(c, '0' | '-' | '/' | '.' | '年' | '月' | '日'))
}

/// What programs write for "nothing": never taken for a value, nor for an absent one.
pub(crate) fn is_placeholder(text: &str) -> bool {
    let text = text.trim_matches(is_blank);
    let words = ["null", "\\n", "n/a", "#n/a", "na", "nan", "nil", "none", "nat", "(null)", "<null>", "undefined"];
    let signs = |c: char| matches!(c, '-' | '—' | '–' | '－' | '/' | '*' | '?' | '.');
    (!text.is_empty() && text.chars().all(signs))
        || words.iter().any(|word| text.eq_ignore_ascii_case(word))
        || ["无", "無", "空", "不详", "未知"].contains(&text)
}

/// An instant in milliseconds since the Unix epoch; without a zone of its own, in `zone`.
pub(crate) fn read_instant(text: &str, zone: Offset) -> Result<UnixMs, Refusal> {
    let text = text.trim_matches(is_blank);
    let named = |refusal: Refusal| if refusal == MALFORMED_DATE { MALFORMED_INSTANT } else { refusal };
    let (date, time, own) = if let Some((date, time)) = take_run_of_digits(text) {
        (date, time, None)
    } else {
        let (date, rest) = take_date(text).map_err(named)?;
        let spoken = || take_spoken_time(rest).map(|time| (time, None));
        let (time, own) = match rest {
            "" => (Time::midnight(), None),
            rest => take_time(rest).or_else(spoken).ok_or(MALFORMED_INSTANT)?,
        };
        (date, time, own)
    };
    let instant = own.unwrap_or(zone).to_timestamp(DateTime::from_parts(date, time)).map_err(|_| MALFORMED_INSTANT)?;
    Ok(UnixMs::new(instant.as_millisecond()))
}

/// `Z`, `+08:00`, `+0800` or `+08`.
pub(crate) fn read_zone(text: &str) -> Option<Offset> {
    if text.eq_ignore_ascii_case("z") || text.eq_ignore_ascii_case("utc") {
        return Some(Offset::UTC);
    }
    let sign = match text.bytes().next()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = &text[1..];
    let (hours, minutes) = match digits.len() {
        5 if digits.as_bytes()[2] == b':' => (&digits[..2], &digits[3..]),
        4 => (digits.get(..2)?, digits.get(2..)?),
        2 => (digits, "00"),
        _ => return None,
    };
    let (hours, minutes) = (number(hours.as_bytes())?, number(minutes.as_bytes())?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

fn is_blank(c: char) -> bool {
    BLANKS.contains(&c)
}

/// The date that a text begins with, and what follows it.
fn take_date(text: &str) -> Result<(Date, &str), Refusal> {
    // What a database has where it knows no day.
    take_some_date(text)
        .map_err(|refusal| if is_day_of_zeros(text.trim_matches(is_blank)) { PLACEHOLDER } else { refusal })
}

fn take_some_date(text: &str) -> Result<(Date, &str), Refusal> {
    let bytes = text.as_bytes();
    let leading = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if leading == 8 {
        return date_of([&bytes[..4], &bytes[4..6], &bytes[6..8]]).map(|date| (date, &text[8..]));
    }
    if leading != 4 {
        return Err(refusal_of(text, leading));
    }
    let (year, rest) = text.split_at(4);
    let Some(separator) = rest.chars().next() else { return Err(SERIAL_NUMBER) };
    let (between, after) = match separator {
        '-' | '.' | '/' => (separator, None),
        '年' => ('月', Some('日')),
        _ => return Err(MALFORMED_DATE),
    };
    let (month, rest) = take_digits(&rest[separator.len_utf8()..]).ok_or(MALFORMED_DATE)?;
    let rest = rest.strip_prefix(between).ok_or(MALFORMED_DATE)?;
    let (day, rest) = take_digits(rest).ok_or(MALFORMED_DATE)?;
    let rest = match after {
        Some(after) => rest.strip_prefix(after).ok_or(MALFORMED_DATE)?,
        None => rest,
    };
    date_of([year.as_bytes(), month.as_bytes(), day.as_bytes()]).map(|date| (date, rest))
}

/// One or two digits.
fn take_digits(text: &str) -> Option<(&str, &str)> {
    let count = text.bytes().take_while(u8::is_ascii_digit).count();
    (1..=2).contains(&count).then(|| text.split_at(count))
}

fn date_of([year, month, day]: [&[u8]; 3]) -> Result<Date, Refusal> {
    let parts = || {
        let (year, month, day) = (number(year)?, number(month)?, number(day)?);
        Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
    };
    parts().filter(|date| date.year() > 0).ok_or(MALFORMED_DATE)
}

fn number(digits: &[u8]) -> Option<i32> {
    let all = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    all.then(|| digits.iter().fold(0, |value, byte| value * 10 + i32::from(byte - b'0')))
}

/// The name of what begins with so many digits and is no date.
fn refusal_of(text: &str, leading: usize) -> Refusal {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && text.bytes().filter(|byte| *byte == b'.').count() <= 1;
    let parts = text.split(['/', '-', '.']).count();
    match leading {
        1..=2 if parts >= 3 && text[leading..].starts_with(['/', '-', '.']) => AMBIGUOUS,
        1..=7 if is_number => SERIAL_NUMBER,
        _ if is_placeholder(text) => PLACEHOLDER,
        _ => MALFORMED_DATE,
    }
}

/// A time of day behind `T` or blanks, and its zone if it has one.
fn take_time(text: &str) -> Option<(Time, Option<Offset>)> {
    let text = match text.strip_prefix(['T', 't']) {
        Some(text) => text,
        None => text.strip_prefix(is_blank)?.trim_start_matches(is_blank),
    };
    let (hour, rest) = take_digits(text)?;
    let (minute, rest) = take_pair(rest)?;
    let (second, rest) = if rest.starts_with(':') { take_pair(rest)? } else { (0, rest) };
    let (nanosecond, rest) = match rest.strip_prefix('.') {
        Some(fraction) => take_fraction(fraction)?,
        None => (0, rest),
    };
    let rest = rest.trim_start_matches(is_blank);
    let zone = if rest.is_empty() { None } else { Some(read_zone(rest)?) };
    // RFC 3339, 5.7: a leap second is written as the 60th.
    let second = if second == 60 { 59 } else { second };
    let hour = i8::try_from(number(hour.as_bytes())?).ok()?;
    Time::new(hour, minute, second, nanosecond).ok().map(|time| (time, zone))
}

/// `20261102083000`, as systems of offices number what they take in.
fn take_run_of_digits(text: &str) -> Option<(Date, Time)> {
    let is_run = text.len() == 14 && text.bytes().all(|byte| byte.is_ascii_digit());
    let (date, time) = is_run.then(|| text.split_at(8))?;
    let pair = |at: usize| i8::try_from(number(&time.as_bytes()[at..at + 2])?).ok();
    Some((take_date(date).ok()?.0, Time::new(pair(0)?, pair(2)?, pair(4)?, 0).ok()?))
}

/// `8时30分` or `8时30分20秒`, with or without a blank before it.
fn take_spoken_time(text: &str) -> Option<Time> {
    let (hour, rest) = take_digits(text.trim_start_matches(is_blank))?;
    let rest = rest.strip_prefix('时').or_else(|| rest.strip_prefix('時'))?;
    let (minute, rest) = take_counted(rest, '分')?;
    let (second, rest) = take_counted(rest, '秒')?;
    let hour = i8::try_from(number(hour.as_bytes())?).ok()?;
    rest.is_empty().then(|| Time::new(hour, minute, second, 0).ok())?
}

/// So many of a unit; none where the text ends before.
fn take_counted(text: &str, unit: char) -> Option<(i8, &str)> {
    if text.is_empty() {
        return Some((0, text));
    }
    let (digits, rest) = take_digits(text)?;
    Some((i8::try_from(number(digits.as_bytes())?).ok()?, rest.strip_prefix(unit)?))
}

/// A colon and two digits.
fn take_pair(text: &str) -> Option<(i8, &str)> {
    let rest = text.strip_prefix(':')?;
    let pair = number(rest.as_bytes().get(..2)?)?;
    Some((i8::try_from(pair).ok()?, &rest[2..]))
}

/// Up to nine digits of a second.
fn take_fraction(text: &str) -> Option<(i32, &str)> {
    let count = text.bytes().take_while(u8::is_ascii_digit).count();
    if !(1..=9).contains(&count) {
        return None;
    }
    let missing = 10_i32.pow(u32::try_from(9 - count).ok()?);
    Some((number(&text.as_bytes()[..count])? * missing, &text[count..]))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_day_has_many_forms_and_one_reading() {
        let day = date(2016, 5, 1);
        for text in [
            "2016-05-01",
            "2016-5-1",
            "20160501",
            "2016.05.01",
            "2016.5.1",
            "2016/5/1",
            "2016/05/01",
            "2016年5月1日",
            "2016年05月01日",
            "2016-05-01 00:00:00",
            "2016-05-01T00:00:00",
            "2016/5/1 0:00",
            "2016/5/1 0:00:00",
            "2016-05-01T00:00:00.000",
            "2016-05-01T00:00:00+08:00",
            "20160501 00:00:00",
            " 2016-05-01 ",
        ] {
            assert_eq!(read_day(text), Ok(day), "{text}");
        }
        assert_eq!(read_day("2016-12-31"), Ok(date(2016, 12, 31)));
    }

    #[test]
    fn what_is_no_day_is_refused_by_name() {
        for (text, code) in [
            ("42491", "date_as_number"),
            ("42491.0", "date_as_number"),
            ("42491.5", "date_as_number"),
            ("2016", "date_as_number"),
            ("01/05/2016", "ambiguous_date"),
            ("1/5/2016", "ambiguous_date"),
            ("1.5.2016", "ambiguous_date"),
            ("01-05-2016", "ambiguous_date"),
            ("01/05/16", "ambiguous_date"),
            ("16-05-01", "ambiguous_date"),
            ("31/12/2016 00:00", "ambiguous_date"),
            ("2016-05-01 08:30:00", "time_in_date"),
            ("2016-05-01T00:00:00Z", "time_in_date"),
            ("-", "placeholder"),
            ("NULL", "placeholder"),
            ("n/a", "placeholder"),
            ("\\N", "placeholder"),
            ("2016-02-30", "malformed_date"),
            ("20160230", "malformed_date"),
            ("2016-05/01", "malformed_date"),
            ("2016-05", "malformed_date"),
            ("2016-05-001", "malformed_date"),
            ("201605011", "malformed_date"),
            ("2016-05-01x", "malformed_date"),
            ("２０１６-05-01", "malformed_date"),
            ("0000-00-00", "placeholder"),
            ("00000000", "placeholder"),
            (" 0000/00/00 00:00:00", "placeholder"),
            ("0000年00月00日", "placeholder"),
            ("0000-00-01", "malformed_date"),
            ("2016年5月1", "malformed_date"),
            ("5月1日", "malformed_date"),
            ("May 1, 2016", "malformed_date"),
            ("", "malformed_date"),
        ] {
            assert_eq!(read_day(text).map_err(|refusal| refusal.0), Err(code), "{text}");
        }
    }

    #[test]
    fn long_term_has_many_forms() {
        for text in [
            "长期",
            " 长期 ",
            "长期有效",
            "00000000",
            "0000-00-00",
            "0000/00/00",
            "0000-00-00 00:00:00",
            "9999-12-31",
            "9999.12.31",
            "99991231",
            "9999/12/31",
            "9999年12月31日",
            "9999-12-31 00:00:00",
            "9999-12-31 23:59:59",
            "9999-12-31T23:59:59.997",
            "9999-12-31T15:59:59Z ",
            "2099-12-31 23:59:59",
            "0000年00月00日",
            "2099-12-31",
            "20991231",
            "long-term",
            "LONG TERM",
        ] {
            assert_eq!(read_end(text), Ok(None), "{text}");
        }
        assert_eq!(read_end("2036/5/1"), Ok(Some(date(2036, 5, 1))));
        for text in ["-", "--", "NULL", "null", "N/A", "\\N", "无", "#N/A"] {
            assert_eq!(read_end(text), Err(PLACEHOLDER), "{text}");
        }
        for text in ["2036-05-01 23:59:59", "9999-12-31 25:00", "9999-12-31 x"] {
            assert!(read_end(text).is_err(), "{text}");
        }
        assert_eq!(read_end("0").map_err(|refusal| refusal.0), Err("date_as_number"));
    }

    #[test]
    fn an_instant_is_any_date_with_a_time() {
        let at = 1_793_577_600_000; // 2026-11-02T00:00:00Z
        for text in [
            "2026-11-02T08:00:00+08:00",
            "2026-11-02 08:00:00",
            "2026-11-02 8:00",
            "2026-11-02T8:00",
            "2026/11/2 8:00:00",
            "2026/11/2   08:00",
            "20261102 08:00:00",
            "20261102T08:00",
            "2026.11.02 08:00:00",
            "2026年11月2日 8:00",
            "2026年11月2日 8时00分",
            "2026年11月2日8时0分0秒",
            "2026-11-02 8时",
            "20261102080000",
            "2026-11-02T00:00:00Z",
            "2026-11-02T00:00:00.000Z",
            "2026-11-02 00:00:00 +00:00",
            "2026-11-02T00:00:00+0000",
            "2026-11-02T02:00:00+02",
        ] {
            assert_eq!(read_instant(text, BEIJING), Ok(UnixMs::new(at)), "{text}");
        }
        assert_eq!(read_instant("2026-11-02", BEIJING), Ok(UnixMs::new(at - 8 * 3_600_000)));
        assert_eq!(read_instant("2026-11-02 00:00", Offset::UTC), Ok(UnixMs::new(at)));
        assert_eq!(read_instant("2026-11-02T00:00:00.123456789-00:30", BEIJING), Ok(UnixMs::new(at + 1_800_123)));
        for (text, code) in [
            ("46328.33", "date_as_number"),
            ("02/11/2026 08:00", "ambiguous_date"),
            ("2026-11-02 25:00", "malformed_instant"),
            ("2026-11-02 08:60", "malformed_instant"),
            ("2026-11-02T", "malformed_instant"),
            ("2026-11-02T08", "malformed_instant"),
            ("20261102250000", "malformed_instant"),
            ("2026110208000", "malformed_instant"),
            ("2026年11月2日 8时30", "malformed_instant"),
            ("2026年11月2日 25时", "malformed_instant"),
            ("2026年11月2日 8时30分x", "malformed_instant"),
            ("2026-11-02T08:00:00 CST", "malformed_instant"),
            ("2026-11-02T08:00:00Z[UTC]", "malformed_instant"),
            ("yesterday", "malformed_instant"),
            ("NULL", "placeholder"),
            ("0000-00-00", "placeholder"),
            ("0000-00-00 00:00:00", "placeholder"),
            ("00000000T00:00:00Z", "placeholder"),
        ] {
            assert_eq!(read_instant(text, BEIJING).map_err(|refusal| refusal.0), Err(code), "{text}");
        }
    }

    #[test]
    fn zones_are_offsets() {
        for (text, seconds) in
            [("+08:00", 28_800), ("-0330", -12_600), ("Z", 0), ("UTC", 0), ("+08", 28_800), ("+00:00", 0)]
        {
            assert_eq!(read_zone(text).map(Offset::seconds), Some(seconds), "{text}");
        }
        for text in ["", "8", "08:00", "+8", "+8:00", "+24:00", "+08:60", "Asia/Shanghai", "+é8:00", "+éé"] {
            assert_eq!(read_zone(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_day_is_read_in_every_form(year in 1i16..=9998, month in 1i8..=12, day in 1i8..=28) {
            let expected = date(year, month, day);
            for text in [
                format!("{year:04}-{month:02}-{day:02}"),
                format!("{year:04}{month:02}{day:02}"),
                format!("{year:04}.{month:02}.{day:02}"),
                format!("{year:04}/{month}/{day}"),
                format!("{year:04}年{month}月{day}日"),
                format!("{year:04}-{month}-{day} 0:00"),
            ] {
                prop_assert_eq!(read_day(&text), Ok(expected));
            }
            let other_way = format!("{day:02}/{month:02}/{year:04}");
            prop_assert_eq!(read_day(&other_way).map_err(|refusal| refusal.0), Err("ambiguous_date"));
        }

        #[test]
        fn instants_come_back(at_s in 0i64..4_000_000_000, minutes in -720i32..=720) {
            let zone = Offset::from_seconds(minutes * 60).unwrap();
            let written = jiff::Timestamp::from_second(at_s).unwrap().display_with_offset(zone).to_string();
            prop_assert_eq!(read_instant(&written, BEIJING), Ok(UnixMs::from_seconds(at_s)));
            let plain = zone.to_datetime(jiff::Timestamp::from_second(at_s).unwrap()).to_string();
            prop_assert_eq!(read_instant(&plain, zone), Ok(UnixMs::from_seconds(at_s)));
        }

        #[test]
        fn no_text_is_a_panic(text in "\\PC*") {
            let _ = (read_day(&text), read_end(&text), read_instant(&text, BEIJING), read_zone(&text));
        }

        #[test]
        fn no_near_date_is_a_panic(text in "[0-9年月日/.T: +Z-]{0,24}") {
            let _ = (read_day(&text), read_end(&text), read_instant(&text, BEIJING), read_zone(&text));
        }
    }
}
