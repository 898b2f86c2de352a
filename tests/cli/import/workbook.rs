//! A workbook of one sheet, made by hand: the smallest that a reader takes, so that a test says what is in each cell.

use std::fmt::Write as _;

/// What is in a cell.
#[derive(Clone)]
pub(crate) enum Cell {
    Empty,
    /// Text in the cell itself.
    Inline(String),
    /// Text in the table that cells share.
    Shared(String),
    Number(&'static str),
    /// Neither text nor number.
    Other,
    /// A formula that no program has calculated.
    Formula,
    /// Merged with the cell above.
    MergedUp,
}

impl Cell {
    pub(crate) fn text(text: &str) -> Self {
        Self::Inline(text.to_owned())
    }

    pub(crate) fn shared(text: &str) -> Self {
        Self::Shared(text.to_owned())
    }
}

/// The bytes of a workbook with these rows; an empty one is left out.
pub(crate) fn workbook(rows: &[Vec<Cell>]) -> Vec<u8> {
    workbook_behind("", rows)
}

/// The same as a further sheet, behind those that are declared before it.
pub(crate) fn workbook_behind(sheets_before: &str, rows: &[Vec<Cell>]) -> Vec<u8> {
    let (mut sheet, mut strings, mut merged) = (String::new(), Vec::new(), String::new());
    for (at, row) in rows.iter().enumerate().filter(|(_, row)| !row.is_empty()) {
        write!(sheet, "<row r=\"{}\">", at + 1).unwrap();
        for (column, cell) in ('A'..).zip(row) {
            let place = format!("{column}{}", at + 1);
            match cell {
                Cell::Empty => Ok(()),
                Cell::Inline(text) => write!(sheet, "<c r=\"{place}\" t=\"inlineStr\"><is><t>{text}</t></is></c>"),
                Cell::Shared(text) => {
                    strings.push(text);
                    write!(sheet, "<c r=\"{place}\" t=\"s\"><v>{}</v></c>", strings.len() - 1)
                }
                Cell::Number(digits) => write!(sheet, "<c r=\"{place}\"><v>{digits}</v></c>"),
                Cell::Other => write!(sheet, "<c r=\"{place}\" t=\"b\"><v>1</v></c>"),
                Cell::Formula => write!(sheet, "<c r=\"{place}\"><f>B1</f><v/></c>"),
                Cell::MergedUp => write!(merged, "<mergeCell ref=\"{column}{at}:{place}\"/>"),
            }
            .unwrap();
        }
        sheet.push_str("</row>");
    }
    if !merged.is_empty() {
        merged = format!("<mergeCells>{merged}</mergeCells>");
    }
    let strings = strings.iter().fold(String::new(), |all, text| all + "<si><t>" + text + "</t></si>");
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let package = "http://schemas.openxmlformats.org/package/2006";
    zip(&[
        ("[Content_Types].xml", format!("<Types xmlns=\"{package}/content-types\"/>")),
        (
            "_rels/.rels",
            format!(
                "<Relationships xmlns=\"{package}/relationships\"><Relationship Id=\"r1\" \
                 Type=\"{office}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
            ),
        ),
        (
            "xl/workbook.xml",
            format!(
                "<workbook xmlns=\"{main}\" xmlns:r=\"{office}\"><sheets>{sheets_before}\
                 <sheet name=\"Sheet1\" sheetId=\"1\" r:id=\"r1\"/></sheets></workbook>"
            ),
        ),
        (
            "xl/_rels/workbook.xml.rels",
            format!(
                "<Relationships xmlns=\"{package}/relationships\">\
                 <Relationship Id=\"r1\" Type=\"{office}/worksheet\" Target=\"worksheets/sheet1.xml\"/>\
                 <Relationship Id=\"r3\" Type=\"{office}/worksheet\" Target=\"worksheets/sheet2.xml\"/>\
                 <Relationship Id=\"r2\" Type=\"{office}/sharedStrings\" Target=\"sharedStrings.xml\"/></Relationships>"
            ),
        ),
        ("xl/sharedStrings.xml", format!("<sst xmlns=\"{main}\">{strings}</sst>")),
        ("xl/worksheets/sheet2.xml", format!("<worksheet xmlns=\"{main}\"><sheetData/></worksheet>")),
        (
            "xl/worksheets/sheet1.xml",
            format!("<worksheet xmlns=\"{main}\"><sheetData>{sheet}</sheetData>{merged}</worksheet>"),
        ),
    ])
}

/// An archive of files that are not compressed (APPNOTE.TXT, 4.3).
fn zip(files: &[(&str, String)]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let at = u32::try_from(out.len()).unwrap();
        let size = u32::try_from(content.len()).unwrap();
        let length = u16::try_from(name.len()).unwrap();
        // Version, flags, method, time, date; then checksum, both sizes, length of the name, no extra field.
        let mut head = [20u16, 0, 0, 0, 0x21].map(u16::to_le_bytes).concat();
        head.extend([crc_32(content.as_bytes()), size, size].map(u32::to_le_bytes).concat());
        head.extend([length, 0].map(u16::to_le_bytes).concat());
        out.extend([b"PK\x03\x04", &head[..], name.as_bytes(), content.as_bytes()].concat());
        // The version that made it, the same head, then comment, disk, attributes and the place.
        directory.extend([b"PK\x01\x02", &20u16.to_le_bytes()[..], &head, &[0; 10], &at.to_le_bytes()].concat());
        directory.extend(name.as_bytes());
    }
    let (at, size) = (u32::try_from(out.len()).unwrap(), u32::try_from(directory.len()).unwrap());
    let count = u16::try_from(files.len()).unwrap().to_le_bytes();
    out.extend(directory);
    out.extend([b"PK\x05\x06", &[0; 4][..], &count, &count, &size.to_le_bytes(), &at.to_le_bytes(), &[0; 2]].concat());
    out
}

fn crc_32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}
