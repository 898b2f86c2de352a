//! The line that names the columns: in which order they stand, in which language, and what divides them. Nothing of it is
//! repeated in an error, but column numbers: a file without a header begins with a number.

use std::borrow::Cow;

use super::cells::take_cell;
use super::row::{BLANKS, Column, unwrapped};

/// In which cell each column stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// Of each cell; none for one that is ignored.
    columns: Vec<Option<Column>>,
    separator: u8,
}

/// What is wrong with a header.
pub(crate) type HeaderError = String;

/// The separators that a header is tried with.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// Names that offices use. Those of the members themselves need no row.
const OTHER_NAMES: [(Column, &[&str]); Column::COUNT] = [
    (
        Column::IdNumber,
        &[
            "公民身份号码",
            "公民身份证号码",
            "公民身份证号",
            "身份证号码",
            "身份证号",
            "身份号码",
            "居民身份证号码",
            "居民身份证号",
            "证件号码",
            "证件号",
            "证号",
        ],
    ),
    (
        Column::CardValidFrom,
        &[
            "有效期起始日期",
            "有效期开始日期",
            "有效期限起始日期",
            "有效期限起",
            "有效期起",
            "有效期自",
            "有效起始日期",
            "有效期始",
            "起始日期",
            "签发日期",
        ],
    ),
    (
        Column::CardValidUntil,
        &[
            "有效期截止日期",
            "有效期结束日期",
            "有效期终止日期",
            "有效期限截止日期",
            "有效期限止",
            "有效期止",
            "有效期至",
            "有效截止日期",
            "截止日期",
            "终止日期",
        ],
    ),
    (Column::Reason, &["挂失原因", "原因", "丢失原因", "遗失原因", "申报原因", "挂失类型"]),
    (Column::LostOn, &["丢失日期", "遗失日期", "丢失时间", "遗失时间", "被盗日期", "丢失被盗日期", "丢失或被盗日期"]),
    (
        Column::Reporter,
        &[
            "申报人",
            "挂失人",
            "报失人",
            "申请人",
            "申报人类型",
            "挂失人类型",
            "申报人身份",
            "申报人关系",
            "是否本人",
            "是否本人办理",
        ],
    ),
    (
        Column::Office,
        &["受理单位", "受理单位代码", "受理机关", "受理机构", "挂失单位", "办理单位", "受理派出所", "受理点"],
    ),
    (Column::Channel, &["渠道", "受理渠道", "挂失渠道", "申报渠道", "办理渠道", "受理方式", "挂失方式"]),
    (
        Column::ReportedAt,
        &["挂失时间", "挂失日期", "受理时间", "受理日期", "申报时间", "申报日期", "报失时间", "登记时间"],
    ),
    (
        Column::ContactPhone,
        &["联系电话", "电话", "手机号", "手机号码", "联系方式", "电话号码", "移动电话", "联系人电话", "申报人电话"],
    ),
];

impl Header {
    /// Whether a line is no header yet, but names what divides the cells: `sep=;`, as spreadsheet programs take it.
    pub(crate) fn named_separator(line: &str) -> Option<u8> {
        let line = line.trim_matches('"');
        let rest = line.get(..4).filter(|start| start.eq_ignore_ascii_case("sep=")).map(|_| &line[4..])?;
        match rest.as_bytes() {
            [separator] if SEPARATORS.contains(separator) => Some(*separator),
            // `sep=,` in a file that commas divide can have gained another one.
            [separator, again] if separator == again && SEPARATORS.contains(separator) => Some(*separator),
            _ => None,
        }
    }

    /// Reads the line that names the columns.
    pub(crate) fn read(line: &str, separator: Option<u8>, ignored: &[String]) -> Result<Self, HeaderError> {
        let separator = separator.unwrap_or_else(|| Self::separator_in(line));
        let (mut names, mut rest) = (Vec::new(), Some(line));
        while let Some(text) = rest {
            let (name, after) = take_name(text, separator);
            names.push(name);
            rest = after;
        }
        Self::of_names(names.iter().map(AsRef::as_ref), separator, ignored)
    }

    /// What divides most cells of a line.
    pub(crate) fn separator_in(line: &str) -> u8 {
        let count = |separator: u8| line.bytes().filter(|byte| *byte == separator).count();
        SEPARATORS.into_iter().rev().max_by_key(|separator| count(*separator)).unwrap_or(b',')
    }

    /// By the names in their order.
    pub(crate) fn of_names<'a>(
        names: impl Iterator<Item = &'a str>,
        separator: u8,
        ignored: &[String],
    ) -> Result<Self, HeaderError> {
        let mut header = Self { columns: Vec::new(), separator };
        let mut unused: Vec<&String> = ignored.iter().collect();
        let mut names: Vec<&str> = names.collect();
        // A spreadsheet writes columns that were in use once. Those at the end are none; one in between has lost its name.
        let end = names.iter().rposition(|name| !plain_name(name).is_empty()).map_or(1, |last| last + 1);
        if names.len() > end {
            names.truncate(end);
            unused.retain(|name| !plain_name(name).is_empty());
        }
        for (at, name) in names.into_iter().enumerate() {
            let plain = plain_name(name);
            if let Some(found) = unused.iter().position(|ignored| plain_name(ignored) == plain) {
                unused.swap_remove(found);
                header.columns.push(None);
                continue;
            }
            let Some(column) = column_of(&plain) else {
                let names = Column::ALL.map(Column::name).join(", ");
                return Err(format!(
                    "the header, column {}: not one of {names}, nor a Chinese name of one of these; \
                     --ignore-column NAME leaves a column out",
                    at + 1
                ));
            };
            if let Some(first) = header.place(column) {
                return Err(format!(
                    "the header: column {} is named twice, in columns {first} and {}",
                    column.name(),
                    at + 1
                ));
            }
            header.columns.push(Some(column));
        }
        for column in Column::REQUIRED {
            if header.place(column).is_none() {
                return Err(format!("the header: there is no column {}", column.name()));
            }
        }
        if !unused.is_empty() {
            return Err("the header: a column of --ignore-column is not in the file".to_owned());
        }
        Ok(header)
    }

    /// In which cell a column stands, from 1.
    pub(crate) fn place(&self, column: Column) -> Option<usize> {
        self.columns.iter().position(|of_cell| *of_cell == Some(column)).map(|at| at + 1)
    }

    pub(crate) fn columns(&self) -> &[Option<Column>] {
        &self.columns
    }

    pub(crate) fn separator(&self) -> u8 {
        self.separator
    }
}

/// The column that a name stands for, in either language.
pub(crate) fn column_named(name: &str) -> Option<Column> {
    column_of(&plain_name(name))
}

/// Names are compared without case and without what spreadsheets put around text, and a blank or a hyphen is as good as an underscore.
pub(crate) fn plain_name(name: &str) -> String {
    let name = name.trim_matches('\u{FEFF}').trim_matches(BLANKS);
    unwrapped(name).trim_matches(BLANKS).trim_matches('\'').to_lowercase().replace([' ', '-'], "_")
}

/// The first name of a line and what follows it. Blanks around quotes are no fault here: no name needs them.
fn take_name(text: &str, separator: u8) -> (Cow<'_, str>, Option<&str>) {
    take_cell(text, separator).unwrap_or_else(|| {
        let (name, rest) =
            text.split_once(char::from(separator)).map_or((text, None), |(name, rest)| (name, Some(rest)));
        let plain = name.trim();
        let plain = plain.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(plain);
        (Cow::Borrowed(plain), rest)
    })
}

fn column_of(plain: &str) -> Option<Column> {
    let by_member = Column::ALL.into_iter().find(|column| column.name() == plain);
    by_member.or_else(|| OTHER_NAMES.iter().find(|(_, names)| names.contains(&plain)).map(|(column, _)| *column))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGLISH: &str = "id_number,reason,reporter,office,channel";

    #[test]
    fn columns_stand_in_any_order_case_and_language() {
        for (line, separator) in [
            ("channel,office,\"reporter\",reported_at,reason,id_number", b','),
            ("CHANNEL;Office;Reporter;Reported_At;REASON;Id_Number", b';'),
            ("Channel\tOffice\tReporter\tReported At\tReason\tID-Number", b'\t'),
            ("渠道,受理单位,申报人,受理时间,挂失原因,公民身份号码", b','),
            ("受理渠道;受理机关;挂失人;挂失时间;原因;证件号码", b';'),
            (" channel , office , reporter , reported_at , reason , id_number ", b','),
            (" \"channel\" , office , reporter , reported_at , reason , \"id_number\" ", b','),
            ("=\"channel\",=\"office\",=\"reporter\",=\"reported_at\",=\"reason\",=\"id_number\"", b','),
            ("\"=\"\"channel\"\"\",\"'office\",'reporter,\"reported_at\t\",\u{A0}reason,\"=\"\"id_number\"\"\"", b','),
            ("channel,office,reporter,reported_at,reason,id_number,,", b','),
            ("channel;office;reporter;reported_at;reason;id_number;\"\"; ;=\"\"", b';'),
        ] {
            let header = Header::read(line, None, &[]).unwrap();
            let expected = [
                Column::Channel,
                Column::Office,
                Column::Reporter,
                Column::ReportedAt,
                Column::Reason,
                Column::IdNumber,
            ];
            assert_eq!(header.columns(), expected.map(Some), "{line}");
            assert_eq!(header.separator(), separator, "{line}");
        }
    }

    #[test]
    fn no_name_stands_for_two_columns() {
        let mut names: Vec<&str> = OTHER_NAMES.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        for (at, (column, _)) in OTHER_NAMES.iter().enumerate() {
            assert_eq!(*column as usize, at, "a row for each column");
        }
    }

    #[test]
    fn extra_columns_are_left_out_by_name_only() {
        let line = format!("Remark,{ENGLISH},姓名");
        let ignored = ["remark".to_owned(), "姓名".to_owned()];
        let header = Header::read(&line, None, &ignored).unwrap();
        assert_eq!((header.columns()[0], header.columns()[6]), (None, None));
        assert_eq!(header.place(Column::IdNumber), Some(2));
        assert!(Header::read(&line, None, &ignored[..1]).unwrap_err().contains("column 7"));
        assert!(Header::read(ENGLISH, None, &ignored[..1]).unwrap_err().contains("--ignore-column"));
    }

    #[test]
    fn a_wrong_header_is_refused_without_repeating_it() {
        for (line, expected) in [
            ("11010519491231002X,lost", "column 1: not one of"),
            ("id_number,reason,reporter,office", "no column channel"),
            ("id_number,ID_NUMBER", "id_number is named twice, in columns 1 and 2"),
            ("证件号码,身份证号", "id_number is named twice"),
            ("", "column 1"),
            ("id_number,,reason", "column 2"),
        ] {
            let message = Header::read(line, None, &[]).unwrap_err();
            assert!(message.contains(expected) && !message.contains("1101"), "{message}");
        }
    }

    #[test]
    fn a_first_line_may_name_the_separator() {
        for (line, expected) in [
            ("sep=;", Some(b';')),
            ("SEP=,", Some(b',')),
            ("sep=\t", Some(b'\t')),
            ("\"sep=;\"", Some(b';')),
            ("sep=|", None),
            ("sep=", None),
            (ENGLISH, None),
            ("公民", None),
        ] {
            assert_eq!(Header::named_separator(line), expected, "{line}");
        }
    }
}
