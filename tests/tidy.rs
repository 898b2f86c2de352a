//! House rules that no compiler checks, kept as a test: which layer may name which, and where SQL,
//! status codes, clocks, randomness and the environment may appear. `docs/ARCHITECTURE.md` says why.
//! `violations` is pure, so that every rule is itself tested on a snippet that breaks it. Nothing
//! here parses Rust: comments are blanked, the trailing test module is cut, and words are looked up.

#[path = "tidy/graph.rs"]
mod graph;
#[path = "tidy/pages.rs"]
mod pages;
#[path = "tidy/paths.rs"]
mod paths;
#[path = "tidy/prose.rs"]
mod prose;
#[path = "tidy/secrets.rs"]
mod secrets;
#[path = "tidy/sizes.rs"]
mod sizes;
#[path = "tidy/snippets.rs"]
mod snippets;
#[path = "tidy/twins.rs"]
mod twins;

use std::{fmt, fs, io, path::Path};

use snippets::{BAD, GOOD};

/// Every layer, then the layers it may name. A module of `src/` missing here is itself a violation.
const LAYERS: &str = "
    domain   :
    config   : domain
    crypto   : domain
    store    : domain crypto
    access   : domain crypto store limits
    limits   : domain crypto store
    registry : domain crypto store
    service  : domain crypto store registry limits
    http     : domain config crypto store registry service access limits
    node     : domain config crypto store registry service access limits http
    cli      : domain config crypto store registry service access limits http node
";

/// Modules that every layer but `domain` and `config` may name. Leaves may name layers too; only the two on top are
/// out of their reach.
const LEAVES: &[&str] = &["clock", "own_files", "redis_link", "sample", "telemetry", "wiping"];
/// The one that `config` may name, too.
const FILES: &str = "own_files";
const ABOVE_LEAVES: &[&str] = &["node", "cli"];

const LAYER_ORDER: &str = "layers point down only";
const UNKNOWN_MODULE: &str = "a module of src needs its place in the layer table of tests/tidy.rs";
const HEADER: &str = "a file opens with `//!`: what lives here and what must not";
const TOO_LONG: &str = "at most 400 lines outside the test module";
const PATH_OUTSIDE: &str = "paths of operations are in the route table: ask it";
const VAGUE_NAME: &str = "no file is called utils or common";

const LINES_MAX: usize = 400;

/// Rule ; the paths (by how they begin) whose code it binds, `!` before the exempt ones ; the words,
/// divided by `|`, that this code must not contain: whole identifiers, with a trailing `*` also the
/// beginning of one.
const WORD_RULES: &str = "
    domain does no I/O and is not async ; src/domain/ ; \
        actix*|sqlx|redis|tokio*|async|std::fs|std::net
    service never sees actix types ; src/service/ ; \
        actix*
    SQL lives in src/store/ ; src/ !src/store/ ; \
        SELECT|INSERT INTO|UPDATE |DELETE FROM|BEGIN IMMEDIATE|sqlx::
    Redis commands live in five files ; \
        src/ !src/redis_link !src/registry/cache.rs !src/registry/wakes.rs !src/limits/cluster.rs !src/limits/cluster_numbers.rs ; \
        redis::
    status codes and responses live in src/http/ ; src/ !src/http/ ; \
        StatusCode|HttpResponse*
    the environment is read in src/config/ ; src/ !src/config/ ; \
        env::var|env::vars|env::var_os|env::vars_os
    files are opened in src/own_files.rs ; src/ !src/own_files.rs ; \
        File::open|File::create|File::create_new|File::options|OpenOptions*|DirBuilder*|fs::read|fs::read_to_string|fs::write|fs::copy
    clocks are read in src/clock.rs ; src/ !src/clock.rs ; \
        SystemTime::now|Instant::now|Timestamp::now|Zoned::now|clock_gettime*
    randomness comes from src/crypto/random.rs ; src/ !src/crypto/random.rs !src/sample.rs ; \
        rand::|getrandom|SystemRandom|Uuid::now_v7|Uuid::new_v4
    an id is made where ids are drawn or rows are read ; \
        src/ !src/domain/ids.rs !src/crypto/random.rs !src/store/columns.rs !src/service/sandbox.rs !src/cli/import/writer.rs ; \
        from_uuid(
    a record is of the kind that its act says ; \
        src/ !src/domain/ids.rs !src/service/undoing/ !src/service/administration/undo.rs !src/http/api/admin_requests.rs !src/http/api/admin_answers.rs ; \
        as_its_kind
    no id is made of another one's bytes ; src/ !src/domain/ids.rs ; from_bytes(*id.|from_bytes(*act.|from_bytes(*target.
    no module is called utils or common ; src/ tests/ load-tests/ !tests/tidy ; \
        mod util|mod utils|mod common
    no unsafe code ; src/ tests/ load-tests/ !tests/tidy ; \
        unsafe {|unsafe fn|unsafe impl
    a transaction that lists a number ends where it is published ; \
        src/ !src/store/transaction.rs !src/service/writing.rs !src/store/witness.rs ; commit(
    what no node waits for is written by commands and by what runs by itself ; \
        src/ !src/service/writing.rs !src/cli/ !src/service/retention.rs !src/service/rotation.rs !src/service/sandbox.rs \
        !src/service/undoing/ ; \
        leave_to_followers
    which reports list their number is said in src/store/report_rows.rs ; src/ !src/store/report_rows.rs ; \
        state <> 'withdrawn'
    a listing changes in src/service/listing.rs, with all that it entails ; \
        src/ !src/store/ !src/service/listing.rs ; \
        record_listing*|insert_reports|close_report|reopen_report|insert_replacement|take_back_replacement|remove_for_reset|delete_due
    only the command line prints, everything else logs ; src/ !src/cli/ ; \
        print!|println!|eprint!|eprintln!
";

/// `at` is `path:line`, so that editors jump there.
#[derive(Debug)]
struct Violation {
    at: String,
    rule: &'static str,
    found: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (`{}`)", self.at, self.rule, self.found)
    }
}

/// Every rule broken by the file at `path` (relative to the crate, with `/`) holding `text`.
fn violations(path: &str, text: &str) -> Vec<Violation> {
    let code = code_of(path, text);
    let mut out = Vec::new();
    let mut report = |line: usize, rule, found: &str| {
        let (at, found) = (format!("{path}:{line}"), found.to_owned());
        out.push(Violation { at, rule, found });
    };
    if !text.starts_with("//!") {
        report(1, HEADER, text.lines().next().unwrap_or_default());
    }
    let lines = code.lines().count();
    if lines > LINES_MAX {
        report(LINES_MAX + 1, TOO_LONG, &lines.to_string());
    }
    for name in ["util", "utils", "common"] {
        if path.split(['/', '.']).any(|part| part == name) {
            report(1, VAGUE_NAME, name);
        }
    }
    if path.starts_with("src/") && path != "src/http/routes.rs" {
        for (line, found) in paths::outside_attributes(&code) {
            report(line, PATH_OUTSIDE, found);
        }
    }
    for [rule, places, words] in WORD_RULES.trim().lines().map(cells) {
        if !binds(places, path) {
            continue;
        }
        for (at, line) in code.lines().enumerate() {
            if let Some(word) = words.split('|').find(|word| has_word(line, word)) {
                report(at + 1, rule, word);
            }
        }
    }
    let Some(from) = module_of(path) else {
        return out;
    };
    if !is_module(from) {
        report(1, UNKNOWN_MODULE, from);
    }
    for (line, to) in modules_named(path, &code) {
        if !may_name(from, to) {
            report(line, LAYER_ORDER, &format!("{from} -> {to}"));
        }
    }
    out
}

/// `text` with its comments blanked and its test module cut off; line numbers stay.
fn code_of(path: &str, text: &str) -> String {
    if path.ends_with("/tests.rs") && path.starts_with("src/") {
        return String::new();
    }
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" {
            let item = lines.clone().find(|next| !next.starts_with("#["));
            if item.is_some_and(|item| item.starts_with("mod ") && item.ends_with('{')) {
                break;
            }
        }
        if !line.trim_start().starts_with("//") {
            code.push_str(line.split(" // ").next().unwrap_or_default());
        }
        code.push('\n');
    }
    code
}

/// The cells of a row of the tables in this file.
fn cells<const N: usize>(row: &str) -> [&str; N] {
    let mut cells = row.split(" ; ").map(str::trim);
    let missing = || panic!("{N} cells in: {row}");
    std::array::from_fn(|_| cells.next().unwrap_or_else(missing))
}

fn binds(places: &str, path: &str) -> bool {
    let (exempt, bound): (Vec<_>, Vec<_>) = places.split_whitespace().partition(|place| place.starts_with('!'));
    bound.iter().any(|place| path.starts_with(place)) && !exempt.iter().any(|place| path.starts_with(&place[1..]))
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c| !is_word_char(c)).unwrap_or(text.len());
    &text[..end]
}

fn has_word(line: &str, word: &str) -> bool {
    let exact = word.trim_end_matches('*');
    let may_go_on = exact != word || !exact.ends_with(is_word_char);
    line.match_indices(exact).any(|(at, _)| {
        let goes_on = line[at + exact.len()..].starts_with(is_word_char);
        !line[..at].ends_with(is_word_char) && (may_go_on || !goes_on)
    })
}

/// The top-level module that a file of `src/` belongs to; none for the crate roots.
fn module_of(path: &str) -> Option<&str> {
    let top = path.strip_prefix("src/")?.split(['/', '.']).next()?;
    (top != "lib" && top != "main").then_some(top)
}

/// The layers that `layer` may name; none where it is no layer.
fn below(layer: &str) -> Option<&'static str> {
    LAYERS.lines().find_map(|row| {
        let (name, below) = row.split_once(':')?;
        (name.trim() == layer).then_some(below)
    })
}

fn is_module(name: &str) -> bool {
    LEAVES.contains(&name) || below(name).is_some()
}

fn may_name(from: &str, to: &str) -> bool {
    if from == to || !is_module(to) {
        true
    } else if LEAVES.contains(&from) {
        !ABOVE_LEAVES.contains(&to)
    } else if LEAVES.contains(&to) {
        from != "domain" && (from != "config" || to == FILES)
    } else {
        below(from).is_some_and(|below| has_word(below, to))
    }
}

/// The first segment, with its line, of each path into the crate: `crate::x`, a member of
/// `crate::{x, y}`, or as many `super::` as lead from this file to the crate root.
fn modules_named<'a>(path: &str, code: &'a str) -> Vec<(usize, &'a str)> {
    let above = path.trim_end_matches("/mod.rs").split('/').count() - 1;
    let mut named = Vec::new();
    for root in ["crate::".to_owned(), "super::".repeat(above)] {
        for (at, _) in code.match_indices(&root) {
            if !code[..at].ends_with(|c: char| is_word_char(c) || c == ':') {
                named.extend(first_segments(code, at + root.len()));
            }
        }
    }
    let line_of = |at: usize| code[..at].matches('\n').count() + 1;
    let lines = named.iter().map(|&(at, name)| (line_of(at), name));
    lines.collect()
}

/// Offset and name of what follows a path's root at `start`: one identifier, or a group's members.
fn first_segments(code: &str, start: usize) -> Vec<(usize, &str)> {
    if !code[start..].starts_with('{') {
        return vec![(start, identifier(&code[start..]))];
    }
    let (mut depth, mut member_starts, mut members) = (0, false, Vec::new());
    for (offset, c) in code[start..].char_indices() {
        match c {
            '{' => {
                depth += 1;
                member_starts = depth == 1;
            }
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' => member_starts = depth == 1,
            c if member_starts && is_word_char(c) => {
                members.push((start + offset, identifier(&code[start + offset..])));
                member_starts = false;
            }
            _ => {}
        }
    }
    members
}

/// Path (relative to the crate) and text of every Rust file that the rules cover.
fn sources() -> io::Result<Vec<(String, String)>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut dirs = Vec::from(["src", "tests", "load-tests/src"].map(|dir| root.join(dir)));
    let mut files = Vec::new();
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy();
                files.push((name.into_owned(), fs::read_to_string(&path)?));
            }
        }
    }
    files.sort();
    Ok(files)
}

fn assert_none(found: &[Violation]) {
    let list: Vec<String> = found.iter().map(Violation::to_string).collect();
    assert!(list.is_empty(), "house rules broken:\n{}", list.join("\n"));
}

#[test]
fn source_tree_keeps_the_house_rules() {
    let files = sources().unwrap();
    assert!(files.iter().any(|(path, _)| path == "src/lib.rs"));
    let found = files.iter().flat_map(|(path, text)| violations(path, text));
    assert_none(&found.collect::<Vec<_>>());
}

#[test]
fn each_rule_fires_on_a_bad_snippet() {
    for row in BAD.trim().lines() {
        let [path, code, rule] = cells(row);
        let code = code.replace("\\n", "\n");
        let found = violations(path, &format!("//! Header.\n{code}\n"));
        assert_eq!(found.len(), 1, "{row}: {found:?}");
        assert!(found[0].rule.starts_with(rule), "{row}: {found:?}");
    }
    for [rule, ..] in WORD_RULES.trim().lines().map(cells::<3>) {
        let mut tried = BAD.trim().lines().map(cells::<3>);
        assert!(tried.any(|[.., part]| rule.starts_with(part)), "no bad snippet for: {rule}");
    }
    assert_eq!(violations("src/node/mod.rs", "\n")[0].rule, HEADER);
    let long = "//!\n".repeat(LINES_MAX + 1);
    assert_eq!(violations("src/node/mod.rs", &long)[0].rule, TOO_LONG);
}

#[test]
fn good_code_breaks_no_rule() {
    for row in GOOD.trim().lines() {
        let [path, code] = cells(row);
        let code = code.replace("\\n", "\n");
        assert_none(&violations(path, &format!("//! Header.\n{code}\n")));
    }
    let tests = "#[cfg(test)]\nmod tests {\n".to_owned() + &"// x\n".repeat(LINES_MAX);
    assert_none(&violations("src/node/mod.rs", &format!("//! Header.\n{tests}}}\n")));
}
