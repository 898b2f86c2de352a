//! Chinese twins of pages (`*.zh-CN.md`): the same headings by level, the same code to the letter, tables of the same size, and links
//! to the same places. What the words say is a translator's.

use std::fs;
use std::path::{Path, PathBuf};

const ENDING: &str = ".zh-CN.md";
/// Pages that have a twin: one that is lost is missed.
const TWINS: [&str; 8] = [
    "README.md",
    "docs/guides/auditors.md",
    "docs/guides/clerks.md",
    "docs/guides/integrators.md",
    "docs/guides/nodes.md",
    "docs/guides/operators.md",
    "docs/guides/station.md",
    "examples/citizen-portal/README.md",
];

/// What two pages of one content share, whatever their language.
#[derive(Debug, Default, PartialEq)]
struct Frame {
    /// The levels of the headings.
    headings: Vec<usize>,
    code: Vec<String>,
    /// The rows of each table.
    tables: Vec<usize>,
    /// The files that links lead to.
    links: Vec<String>,
}

impl Frame {
    fn of(page: &str) -> Self {
        let mut frame = Self::default();
        let (mut block, mut is_table) = (None::<String>, false);
        for line in page.lines() {
            let fence = line.trim_start().starts_with("```");
            match (&mut block, fence) {
                (Some(code), true) => {
                    frame.code.push(std::mem::take(code));
                    block = None;
                }
                (Some(code), false) => code.extend([line, "\n"]),
                (None, true) => block = Some(format!("{line}\n")),
                (None, false) => {
                    let level = line.chars().take_while(|c| *c == '#').count();
                    frame.headings.extend((level > 0 && line[level..].starts_with(' ')).then_some(level));
                    match (line.starts_with('|'), is_table, frame.tables.last_mut()) {
                        (true, true, Some(rows)) => *rows += 1,
                        (true, ..) => frame.tables.push(1),
                        _ => {}
                    }
                    is_table = line.starts_with('|');
                    frame.links.extend(targets(line).map(|target| target.replace(ENDING, ".md")));
                }
            }
        }
        frame.links.sort();
        frame.links.dedup();
        frame
    }

    /// Without the link from each twin to the other, which differs.
    fn without_link_to(mut self, name: &str) -> Self {
        self.links.retain(|target| target != name);
        self
    }
}

/// The files that the links of a line lead to; not those to a place of the same page.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let links = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    links.filter_map(|link| link.split('#').next()).filter(|file| !file.is_empty())
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn chinese_pages_have_the_frame_of_the_english() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for english in TWINS {
        let path = root.join(english);
        let twin = PathBuf::from(path.to_str().unwrap().replace(".md", ENDING));
        let name = path.file_name().unwrap().to_str().unwrap();
        let [a, b] = [&path, &twin].map(|page| Frame::of(&read(page)).without_link_to(name));
        assert!(!a.headings.is_empty(), "{english} has headings");
        assert_eq!(b.headings, a.headings, "{english}: the levels of the headings of its twin");
        assert_eq!(b.tables, a.tables, "{english}: the rows of the tables of its twin");
        for (at, (theirs, ours)) in b.code.iter().zip(&a.code).enumerate() {
            assert_eq!(theirs, ours, "{english}: block {at} of its twin");
        }
        assert_eq!(b.code.len(), a.code.len(), "{english}: the blocks of its twin");
        assert_eq!(b.links, a.links, "{english}: where the links of its twin lead");
        let chinese = read(&twin).chars().filter(|c| ('\u{4e00}'..='\u{9fff}').contains(c)).count();
        assert!(chinese > 300, "{} is in Chinese", twin.display());
    }
}

/// The keys of a file of words that stand twice: the browser takes the last and says nothing.
fn twice(words: &str) -> Vec<&str> {
    let is_key = |key: &&str| key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let keys = words.lines().filter_map(|line| line.strip_prefix("  ")?.split_once(": ")).map(|(key, _)| key);
    let mut keys: Vec<_> = keys.filter(is_key).collect();
    keys.sort_unstable();
    keys.windows(2).filter(|two| two[0] == two[1]).map(|two| two[0]).collect()
}

#[test]
fn no_word_of_a_page_stands_twice() {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web");
    for (room, name) in
        ["console", "desk", "station", "verify"].into_iter().flat_map(|room| [(room, "en"), (room, "zh")])
    {
        let words = read(&web.join(room).join(name).with_extension("js"));
        assert!(words.lines().count() > 40, "{room}/{name}.js has words");
        assert!(twice(&words).is_empty(), "{room}/{name}.js: {:?}", twice(&words));
    }
    assert_eq!(twice("export default {\n  a: \"x\",\n  b: \"y\",\n  a: \"z\",\n};\n"), ["a"]);
}

#[test]
fn a_twin_that_differs_is_found() {
    let page = "# A\n\nText [b](b.md#c).\n\n```sh\nx\n```\n\n| a |\n|---|\n| b |\n";
    let frame = Frame::of(page);
    assert_eq!(Frame::of(&page.replace("# A", "# 甲").replace("b.md#c", "b.zh-CN.md#丙")), frame);
    for (from, to) in [("# A", "## A"), ("\nx\n", "\ny\n"), ("| b |", "| b |\n| c |"), ("b.md", "c.md")] {
        assert_ne!(Frame::of(&page.replace(from, to)), frame, "{from}");
    }
}
