//! The Chinese words that offices have for the codes of a report. A word that is none of these stays as it is, and is judged as the
//! code that it is not.

use super::row::Column;

/// Each code with the words for it.
const REASONS: &[(&str, &[&str])] = &[
    ("lost", &["丢失", "遗失", "丢", "失落", "遗落"]),
    ("stolen", &["被盗", "失窃", "被偷", "被窃", "盗窃", "偷窃", "被盗窃"]),
];
const REPORTERS: &[(&str, &[&str])] = &[
    ("holder", &["本人", "持证人", "持证人本人", "本人申报", "本人办理", "是"]),
    ("guardian", &["监护人", "法定监护人", "监护人代办", "监护人代为申报"]),
    ("agent", &["代办", "代办人", "代理", "代理人", "他人代办", "委托代办", "受托人", "被委托人", "否"]),
];
const CHANNELS: &[(&str, &[&str])] = &[
    ("station", &["派出所", "派出所窗口", "户籍窗口", "户籍派出所"]),
    ("hall", &["大厅", "办事大厅", "服务大厅", "政务大厅", "政务服务大厅", "办证大厅", "户政大厅", "政务服务中心"]),
    ("online", &["网上", "线上", "在线", "网络", "互联网", "网上办理", "网上申报"]),
];

/// The code that a cell stands for.
pub(super) fn code_of(column: Column, text: &str) -> &str {
    let words = match column {
        Column::Reason => REASONS,
        Column::Reporter => REPORTERS,
        Column::Channel => CHANNELS,
        _ => return text,
    };
    words.iter().find(|(_, words)| words.contains(&text)).map_or(text, |(code, _)| code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::report::{Channel, Reason, Reporter};

    #[test]
    fn every_word_stands_for_one_code_of_the_contract() {
        for (column, words, is_code) in [
            (Column::Reason, REASONS, (|code| Reason::parse(code).is_some()) as fn(&str) -> bool),
            (Column::Reporter, REPORTERS, |code| Reporter::parse(code).is_some()),
            (Column::Channel, CHANNELS, |code| Channel::parse(code).is_some()),
        ] {
            let mut all: Vec<&str> = words.iter().flat_map(|(_, words)| words.iter().copied()).collect();
            let count = all.len();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), count, "{column:?}");
            for (code, words) in words {
                assert!(is_code(code), "{code}");
                assert_eq!(code_of(column, code), *code);
                assert!(words.iter().all(|word| code_of(column, word) == *code), "{code}");
            }
            assert_eq!(code_of(column, "别的"), "别的");
        }
        assert_eq!(code_of(Column::Office, "本人"), "本人", "an office has no codes");
    }
}
