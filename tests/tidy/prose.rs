//! Plain English, kept as a test: words that pages, comments and messages do without, and links from
//! page to page that lead nowhere. Nothing here judges code: an identifier is one word, whatever is
//! in it. Each rule is tested on a sentence that breaks it.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Words, divided by `|` ; what to write instead ; a sentence that breaks the rule.
const RULES: &str = "
    whoever|whomever|whosoever ; who it is, or `anybody who` ; whoever runs the node can read it
    anew ; again ; the follower loads everything anew
    told of|tell of|tells of|telling of ; say, name, report ; the organization is told of alerts
    go on|goes on|going on|went on|gone on ; continue ; an import goes on where it stopped
    be had|is had|are had|was had|were had ; get, fetch ; the keys cannot be had
    of which ; `which`, or a sentence of its own ; a digest of which 16 bytes are kept
    hence|whence|thence|thereof|whereof|therein|wherein|thereby|whereby ; so, by this ; a POST, hence a check
    as ever ; as usual ; verdicts are as ever
    from then on ; after that ; from then on a 201 is on two disks
    hear of|hears of|heard of|hearing of ; learn about ; one node hears of a change
    stand in|stands in|stood in|stand at|stands at|stand beside|stands beside ; is in, is next to ; keys stand in the folder
    where it stands|where they stand|as it stands|as they stand ; where it is, exactly as ; the text as it stands there
    tells nothing of|tell nothing of ; says nothing about ; its length tells nothing of the verdict
    is to be|are to be|was to be|were to be ; must be, should be ; the clock is to be read once
    for ever ; always, permanently ; the row is kept for ever
    one's own|an own ; its own, a ... of its own ; a list of one's own reports
    without end ; without a limit ; a table without end
    outlived its time|outlived their time ; is due for deletion ; a row that has outlived its time
    shall|ought ; must, will, should ; the key shall not leave the node
    mend|mends|mended|mending ; fix, repair, correct ; the node goes when the store is mended
    dearer ; more expensive ; a refusal is dearer than the work
    notwithstanding ; in spite of ; they come back, the delay notwithstanding
    for want of ; because there is no ; it failed for want of a key
    another one than ; different from ; the key is another one than the store's
    very same ; same ; the very same body
    but by ; only by, except by ; not withdrawn but by its owner
    in the plain ; in plain text ; the answer is kept in the plain
    look whether|looks whether|looked whether ; check whether ; a task looks whether it is there
    lest|whilst|amongst|upon|thus|forthwith|hitherto|henceforth|thereupon|whereupon ; the word of today ; thus the node waits
";

/// Files whose prose the rules cover, by the end of their names; and the scripts called `run`.
const ENDS: &[&str] =
    &["md", "rs", "js", "mjs", "ts", "html", "css", "py", "go", "java", "sh", "sql", "toml", "yaml", "yml", "conf"];

/// Folders and files that hold no prose of ours: what is built, fetched or vendored, and this list; a migration that ran cannot change.
const EXEMPT: &[&str] = &[
    "target",
    "node_modules",
    "src/web/vendor",
    "tests/tidy/prose.rs",
    "migrations/0001_initial.sql",
    "migrations/0002_nodes.sql",
    "migrations/0003_import_order.sql",
    "migrations/0011_retention.sql",
];

/// README is what a first visitor reads to the end.
const README_LINES_MAX: usize = 200;

struct Rule {
    words: &'static str,
    instead: &'static str,
    broken: &'static str,
}

fn rules() -> impl Iterator<Item = Rule> {
    RULES.trim().lines().map(|row| {
        let cells: Vec<_> = row.split(" ; ").map(str::trim).collect();
        let [words, instead, broken] = cells[..] else {
            panic!("three cells in: {row}");
        };
        Rule { words, instead, broken }
    })
}

/// The words of a text, in small letters, with their lines and what divides each from the one before.
fn words_of(text: &str) -> Vec<(usize, String, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '\'';
    let (mut words, mut rest, mut line) = (Vec::new(), text, 1);
    while let Some(start) = rest.find(is_word) {
        let gap = &rest[..start];
        line += gap.matches('\n').count();
        let end = start + rest[start..].find(|c| !is_word(c)).unwrap_or(rest.len() - start);
        words.push((line, rest[start..end].to_lowercase(), gap));
        rest = &rest[end..];
    }
    words
}

/// Whether two words belong to one phrase: blanks alone divide them, or the end of a line with the
/// marks by which the next one continues a comment, a quotation or a string.
fn joins(gap: &str) -> bool {
    gap.chars().all(char::is_whitespace)
        || gap.contains('\n') && gap.chars().all(|c| c.is_whitespace() || "/!#*>\\".contains(c))
}

struct Phrase {
    whole: &'static str,
    further: Vec<&'static str>,
    instead: &'static str,
}

/// The phrases of all rules by their first word.
fn phrases() -> HashMap<&'static str, Vec<Phrase>> {
    let mut phrases: HashMap<_, Vec<_>> = HashMap::new();
    for rule in rules() {
        for whole in rule.words.split('|') {
            let (first, further) = whole.split_once(' ').unwrap_or((whole, ""));
            let further = further.split_whitespace().collect();
            phrases.entry(first).or_default().push(Phrase { whole, further, instead: rule.instead });
        }
    }
    phrases
}

/// Every phrase of the rules in a text: its line, the phrase, and what to write instead.
fn breaches(text: &str) -> Vec<(usize, &'static str, &'static str)> {
    let (words, phrases) = (words_of(text), phrases());
    let mut found = Vec::new();
    for (at, (line, first, _)) in words.iter().enumerate() {
        for Phrase { whole, further, instead } in phrases.get(first.as_str()).into_iter().flatten() {
            let next = words[at + 1..].iter().take(further.len());
            let is_here = next.len() == further.len()
                && next.zip(further).all(|((_, word, gap), part)| word == part && joins(gap));
            if is_here {
                found.push((*line, *whole, *instead));
            }
        }
    }
    found
}

fn is_of(path: &str, end: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == end)
}

/// Path from the crate's folder, with `/`, of every file that the rules cover.
fn texts() -> io::Result<Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut dirs, mut texts) = (vec![root.to_owned()], Vec::new());
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            let last = name.rsplit('/').next().unwrap_or(&name);
            if EXEMPT.contains(&name.as_str()) || EXEMPT.contains(&last) || last.starts_with('.') && last != ".ci" {
                continue;
            }
            if path.is_dir() {
                dirs.push(path);
            } else if last == "run" || ENDS.iter().any(|end| is_of(&name, end)) {
                texts.push(name);
            }
        }
    }
    texts.sort();
    Ok(texts)
}

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A page without its code blocks, where `](` and `#` mean something else.
fn prose_of(page: &str) -> String {
    page.split("```").step_by(2).collect()
}

/// The names by which links reach the headings of a page.
fn anchors(page: &str) -> BTreeSet<String> {
    let prose = prose_of(page);
    let headings = prose.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_matches(['#', ' ']));
    let kept = |c: char| c.is_alphanumeric() || "-_ ".contains(c);
    headings
        .map(|text| text.to_lowercase().chars().filter(|c| kept(*c)).collect::<String>().replace(' ', "-"))
        .collect()
}

/// The links of a page to other files, and to headings, that lead nowhere.
fn dead_links(page: &str, text: &str) -> Vec<String> {
    let prose = prose_of(text);
    let after =
        |mark, end| prose.split(mark).skip(1).filter_map(move |rest| rest.split_once(end)).map(|(link, _)| link);
    let links = after("](", ')').chain(after("src=\"", '"'));
    let is_dead = |link: &&str| {
        let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
        let folder = Path::new(page).parent().unwrap_or(Path::new(""));
        let target = if file.is_empty() { PathBuf::from(page) } else { folder.join(file) };
        let found = Path::new(env!("CARGO_MANIFEST_DIR")).join(&target);
        !found.exists() || !anchor.is_empty() && !anchors(&read(target)).contains(anchor)
    };
    let inside = links.filter(|link| !link.contains(':'));
    inside.filter(is_dead).map(|link| format!("{page}: {link}")).collect()
}

#[test]
fn prose_is_plain_english() {
    let texts = texts().unwrap();
    for known in [
        "README.md",
        "src/lib.rs",
        "deploy/compose/compose.yaml",
        "tests/run",
        "src/web/shared/base.css",
        "migrations/0025_offices.sql",
    ] {
        assert!(texts.iter().any(|path| path == known), "{known} is not looked at");
    }
    let mut found = Vec::new();
    for path in &texts {
        let said = breaches(&read(path)).into_iter();
        found.extend(said.map(|(line, words, instead)| format!("{path}:{line}: `{words}`: write {instead}")));
    }
    assert!(found.is_empty(), "not plain English ({}):\n{}", found.len(), found.join("\n"));
}

#[test]
fn each_rule_fires_on_a_sentence_that_breaks_it() {
    for rule in rules() {
        let fired = breaches(rule.broken).iter().any(|(_, phrase, _)| rule.words.split('|').any(|own| own == *phrase));
        assert!(fired, "no breach of {} in: {}", rule.words, rule.broken);
        let mut phrases = rule.words.split('|');
        assert!(phrases.all(|phrase| breaches(phrase).len() == 1), "one of {} is not found", rule.words);
    }
}

#[test]
fn a_phrase_is_found_across_lines_and_in_any_case() {
    let wrapped = ["It goes\non.", "/// It goes\n    /// on.", "# Goes\n# on", "> goes\n> on", "\"it goes \\\n on\""];
    for text in wrapped {
        assert_eq!(breaches(text).len(), 1, "{text}");
    }
    assert_eq!(breaches("one\ntwo\nIt Goes on")[0].0, 3);
}

#[test]
fn words_apart_and_identifiers_break_no_rule() {
    for text in ["It goes. On it", "goes_on", "goes, on", "renewal", "`anew_key`", "it goes\n- on", "and whatever"] {
        assert!(breaches(text).is_empty(), "{text}");
    }
}

#[test]
fn links_of_pages_lead_somewhere() {
    let pages: Vec<_> = texts().unwrap().into_iter().filter(|path| is_of(path, "md")).collect();
    let dead: Vec<_> = pages.iter().flat_map(|page| dead_links(page, &read(page))).collect();
    assert!(dead.is_empty(), "links that lead nowhere:\n{}", dead.join("\n"));
}

#[test]
fn a_dead_link_is_found() {
    for link in ["[a](docs/NOWHERE.md)", "[a](#nowhere)", "[a](README.md#nowhere)", "<img src=\"docs/none.png\">"] {
        assert_eq!(dead_links("README.md", link).len(), 1, "{link}");
    }
    for link in
        ["[a](https://a.example)", "[a](docs/SECURITY.md#keys)", "```\n[a](b)\n```", "# Q & a, `b`\n[a](README.md)"]
    {
        assert!(dead_links("README.md", link).is_empty(), "{link}");
    }
    assert!(anchors("## Q & a, `b`").contains("q--a-b"));
}

/// Endings of what the pages name in backquotes.
const NAMED: &[&str] = &[".rs", ".py", ".js", ".toml", ".md", ".json", ".sql", ".go", "/", "/run"];

/// The files and folders that a page names in backquotes and that are not there: from the crate's folder, from `src`, or by the end of
/// their path. A place that stands for many (`<aggregate>`, `NAME`, `*`) is none.
fn missing_paths(page: &str, all: &BTreeSet<String>) -> Vec<String> {
    let prose = prose_of(page);
    let named = prose.split('`').skip(1).step_by(2).filter_map(|span| span.split_whitespace().next());
    let is_path = |name: &&str| {
        let is_one =
            name.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c)) && !name.starts_with(['/', '.']);
        is_one
            && NAMED.iter().any(|end| name.ends_with(end))
            && !["NAME", "NNNN"].iter().any(|many| name.contains(many))
    };
    let is_there = |name: &str| {
        let name = name.trim_end_matches('/');
        all.contains(name)
            || all.contains(&format!("src/{name}"))
            || all.iter().any(|path| path.ends_with(&format!("/{name}")))
    };
    named.filter(is_path).filter(|name| !is_there(name)).map(str::to_owned).collect()
}

/// Every file and folder of the crate, but for what is built, fetched or hidden.
fn tree() -> io::Result<BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut dirs, mut all) = (vec![root.to_owned()], BTreeSet::new());
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            let last = name.rsplit('/').next().unwrap_or(&name);
            if ["target", "node_modules"].contains(&last) || last.starts_with('.') && last != ".ci" {
                continue;
            }
            if path.is_dir() {
                dirs.push(path);
            }
            all.insert(name);
        }
    }
    Ok(all)
}

#[test]
fn paths_that_the_guides_to_the_code_name_are_there() {
    let all = tree().unwrap();
    for page in ["docs/ARCHITECTURE.md", "CONTRIBUTING.md"] {
        assert_eq!(missing_paths(&read(page), &all), Vec::<String>::new(), "{page} names what is not there");
    }
}

#[test]
fn a_path_that_is_not_there_is_found() {
    let all = tree().unwrap();
    for named in [
        "`service/console.rs` takes",
        "`src/http/witness.rs`",
        "`no_such.rs`",
        "`tests/nowhere/`",
        "`tests/nowhere/run --x`",
    ] {
        assert_eq!(missing_paths(named, &all).len(), 1, "{named}");
    }
    for named in [
        "`service/console/`",
        "`rules.rs`",
        "`src/store/<aggregate>.rs`",
        "`src/domain/NAME.rs`",
        "`/v1/checks/`",
        "`tests/run --quick`",
    ] {
        assert!(missing_paths(named, &all).is_empty(), "{named}");
    }
}

#[test]
fn readme_is_short() {
    let lines = read("README.md").lines().count();
    assert!(
        lines <= README_LINES_MAX,
        "README.md has {lines} lines, at most {README_LINES_MAX}: move a part to docs/guides"
    );
}
