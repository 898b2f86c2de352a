//! Files name each other in one direction: no circle anywhere in `src`, and inside `http` no arrow from a room to one above it.
//! Read from every path in code that begins with `crate::`, `super::` or `self::`, and in a `mod.rs` with one of its own modules;
//! comments and trailing test modules do not count.

use std::collections::{BTreeMap, BTreeSet};

use super::{code_of, identifier, is_word_char, sources};

/// The rooms of `http`, each with those that it may name beside itself.
const ROOMS: &[(&str, &[&str])] = &[
    ("src/http/routes.rs", &["src/http/api/", "src/http/pages/", "src/http/pipeline/", "src/http/contract/"]),
    ("src/http/api/", &["src/http/pipeline/", "src/http/contract/"]),
    ("src/http/pages/", &["src/http/pipeline/", "src/http/contract/"]),
    ("src/http/pipeline/", &["src/http/contract/"]),
    ("src/http/contract/", &[]),
];

/// The files that each file names.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// `src/a/b.rs` is the module `a::b`, `src/a/mod.rs` is `a`.
fn module_path(file: &str) -> Vec<String> {
    let inner = file.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    if matches!(inner, "lib" | "main") { Vec::new() } else { inner.split('/').map(str::to_owned).collect() }
}

/// Every path that the tree at `text` spells, groups unfolded: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn unfold(text: &str, prefix: &[String], out: &mut Vec<Vec<String>>) {
    let mut path = prefix.to_vec();
    let mut rest = text;
    loop {
        if let Some(group) = rest.strip_prefix('{') {
            return members(group).into_iter().for_each(|member| unfold(member.trim(), &path, out));
        }
        let name = identifier(rest);
        if name.is_empty() {
            break;
        }
        path.push(name.to_owned());
        match rest[name.len()..].strip_prefix("::") {
            Some(tail) => rest = tail,
            None => break,
        }
    }
    out.push(path);
}

/// The members of a group, after its brace.
fn members(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut all) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                all.push(&group[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                all.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    all
}

/// The modules that a file names, each as its path from the crate's root.
fn named(file: &str, code: &str, children: &BTreeSet<String>) -> Vec<Vec<String>> {
    let own = module_path(file);
    let mut out = Vec::new();
    for (at, _) in code.char_indices() {
        if code[..at].ends_with(|c: char| is_word_char(c) || c == ':') {
            continue;
        }
        let rest = &code[at..];
        let word = identifier(rest);
        if !rest[word.len()..].starts_with("::") {
            continue;
        }
        let tail = &rest[word.len() + 2..];
        match word {
            "crate" | "lostcard" => unfold(tail, &[], &mut out),
            "self" => unfold(tail, &own, &mut out),
            "super" => {
                let mut base = own.clone();
                base.pop();
                let mut tail = tail;
                while let Some(further) = tail.strip_prefix("super::") {
                    base.pop();
                    tail = further;
                }
                unfold(tail, &base, &mut out);
            }
            child if children.contains(child) => unfold(rest, &own, &mut out),
            _ => {}
        }
    }
    out
}

/// Who names whom, of these files.
fn graph(files: &[(String, String)]) -> Graph {
    let files: Vec<_> = files.iter().filter(|(path, _)| path.starts_with("src/")).collect();
    let by_module: BTreeMap<_, _> = files
        .iter()
        .filter(|(path, _)| path != "src/lib.rs" && path != "src/main.rs")
        .map(|(path, _)| (module_path(path), path.clone()))
        .collect();
    let children_of = |of: &[String]| -> BTreeSet<String> {
        let own = by_module.keys().filter(|module| module.len() == of.len() + 1 && module.starts_with(of));
        own.filter_map(|module| module.last().cloned()).collect()
    };
    let mut graph = Graph::new();
    for (path, text) in &files {
        let children = children_of(&module_path(path));
        let mut targets = BTreeSet::new();
        for module in named(path, &code_of(path, text), &children) {
            let longest = (1..=module.len()).rev().find_map(|length| by_module.get(&module[..length]));
            targets.extend(longest.filter(|target| *target != path).cloned());
        }
        graph.insert(path.clone(), targets);
    }
    graph
}

/// One circle, as the files on it, if there is any.
fn circle(graph: &Graph) -> Option<Vec<String>> {
    fn visit(at: &str, graph: &Graph, way: &mut Vec<String>, done: &mut BTreeSet<String>) -> Option<Vec<String>> {
        if let Some(start) = way.iter().position(|file| file == at) {
            return Some(way[start..].to_vec());
        }
        if done.contains(at) {
            return None;
        }
        way.push(at.to_owned());
        for next in graph.get(at).into_iter().flatten() {
            if let Some(found) = visit(next, graph, way, done) {
                return Some(found);
            }
        }
        way.pop();
        done.insert(at.to_owned());
        None
    }
    let (mut way, mut done) = (Vec::new(), BTreeSet::new());
    graph.keys().find_map(|file| visit(file, graph, &mut way, &mut done))
}

/// Files of `http` outside its rooms: what they name is held against nothing.
fn homeless(graph: &Graph) -> Vec<&String> {
    let is_in_room = |path: &str| ROOMS.iter().any(|(room, _)| path.starts_with(room)) || path == "src/http/mod.rs";
    graph.keys().filter(|path| path.starts_with("src/http/") && !is_in_room(path)).collect()
}

/// Arrows inside `http` that run back up.
fn upwards(graph: &Graph) -> Vec<String> {
    let room = |path: &str| ROOMS.iter().find(|(room, _)| path.starts_with(room));
    let arrows = graph.iter().flat_map(|(from, all)| all.iter().map(move |to| (from, to)));
    let is_upward = |(from, to): &(&String, &String)| match (room(from), room(to)) {
        (Some((own, below)), Some((other, _))) => own != other && !below.contains(other),
        _ => false,
    };
    arrows.filter(is_upward).map(|(from, to)| format!("{from} -> {to}")).collect()
}

#[test]
fn files_name_each_other_in_one_direction() {
    let graph = graph(&sources().unwrap());
    assert!(graph["src/http/api/checks.rs"].contains("src/service/checks.rs"), "the graph is read: {graph:#?}");
    assert_eq!(circle(&graph), None, "these files name each other in a circle");
    assert_eq!(upwards(&graph), Vec::<String>::new(), "routes -> api, pages -> pipeline -> contract");
    assert_eq!(homeless(&graph), Vec::<&String>::new(), "a file of http is in a room");
}

fn tree(files: &[(&str, &str)]) -> Graph {
    graph(&files.iter().map(|(path, code)| ((*path).to_owned(), format!("//! Header.\n{code}\n"))).collect::<Vec<_>>())
}

#[test]
fn circles_are_found_however_they_are_spelled() {
    let a = "src/a.rs";
    for (one, other) in [
        ("use crate::b::Other;", "use crate::a::One;"),
        ("use super::b;", "fn f() { crate::a::g() }"),
        ("use crate::{b::{self, X}, c};", "use super::{a::One, c};"),
        ("use crate::c::Y;", "use crate::a::One;"),
    ] {
        let graph = tree(&[(a, one), ("src/b.rs", other), ("src/c.rs", "use crate::b::X;")]);
        assert!(circle(&graph).is_some(), "{one} {other}: {graph:?}");
    }
    let of_parent = tree(&[("src/a/mod.rs", "mod b;\nuse b::X;"), ("src/a/b.rs", "use super::Y;")]);
    assert!(circle(&of_parent).is_some(), "{of_parent:?}");
    let deep = tree(&[
        ("src/a/mod.rs", "fn f() { b::c::g() }"),
        ("src/a/b/mod.rs", ""),
        ("src/a/b/c.rs", "use super::super::Y;"),
    ]);
    assert!(circle(&deep).is_some(), "{deep:?}");
}

#[test]
fn what_only_looks_like_a_circle_is_none() {
    for (one, other) in [
        ("use crate::b::Other;", "// use crate::a::One;"),
        ("use crate::b::Other;", "#[cfg(test)]\nmod tests {\n    use crate::a::One;\n}"),
        ("use crate::b::a::Z;", "fn a() { self::g() }"),
    ] {
        let graph = tree(&[("src/a.rs", one), ("src/b.rs", other)]);
        assert_eq!(circle(&graph), None, "{one} {other}: {graph:?}");
    }
}

#[test]
fn a_file_of_http_outside_its_rooms_is_found() {
    let graph =
        tree(&[("src/http/mod.rs", ""), ("src/http/witness.rs", ""), ("src/http/api/ops.rs", ""), ("src/a.rs", "")]);
    assert_eq!(homeless(&graph), ["src/http/witness.rs"]);
}

#[test]
fn arrows_upwards_inside_http_are_found() {
    for (from, code) in [
        ("src/http/contract/fields.rs", "use crate::http::pipeline::caller::Caller;"),
        ("src/http/contract/fields.rs", "use super::super::api::checks;"),
        ("src/http/pipeline/caller.rs", "use crate::http::{api::checks::X, contract};"),
        ("src/http/api/checks.rs", "fn f() { crate::http::routes::TABLE; }"),
        ("src/http/pages/files.rs", "use crate::http::api::checks;"),
    ] {
        let all = [
            ("src/http/routes.rs", ""),
            ("src/http/api/checks.rs", ""),
            ("src/http/pages/files.rs", ""),
            ("src/http/pipeline/caller.rs", ""),
            ("src/http/contract/fields.rs", ""),
        ];
        let files: Vec<_> = all.iter().map(|(path, none)| (*path, if *path == from { code } else { *none })).collect();
        assert_eq!(upwards(&tree(&files)).len(), 1, "{from}: {code}");
    }
}
