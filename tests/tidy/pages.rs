//! What the pages of `docs/` must name: every module of `src`, every table of the store.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{has_word, identifier, module_of, sources};

/// The modules that `page` does not name as `name/`, `name.rs` or code.
fn undocumented<'a>(modules: &[&'a str], page: &str) -> Vec<&'a str> {
    let is_named = |module: &str| {
        let forms = ["/", ".rs", "`"].map(|end| format!("{module}{end}"));
        forms.iter().any(|form| has_word(page, form))
    };
    let left_out = modules.iter().filter(|module| !is_named(module));
    left_out.copied().collect()
}

#[test]
fn architecture_page_names_every_module() {
    let files = sources().unwrap();
    let modules: BTreeSet<_> = files.iter().filter_map(|(path, _)| module_of(path)).collect();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ARCHITECTURE.md");
    let page = fs::read_to_string(page).unwrap_or_default();
    let missing = undocumented(&Vec::from_iter(modules), &page);
    assert!(missing.is_empty(), "docs/ARCHITECTURE.md:1: every module of src: not {missing:?}");
}

#[test]
fn security_page_names_every_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/SECURITY.md")).unwrap();
    let migrations: String = fs::read_dir(root.join("migrations"))
        .unwrap()
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    let tables: Vec<_> = migrations.split("CREATE TABLE ").skip(1).map(identifier).collect();
    assert!(tables.len() > 20, "the migrations make {tables:?}");
    let missing: Vec<_> = tables.iter().filter(|table| !page.contains(&format!("`{table}`"))).collect();
    assert!(missing.is_empty(), "docs/SECURITY.md:1: what every table holds: not {missing:?}");
}

#[test]
fn a_module_the_page_leaves_out_is_reported() {
    let page = "`domain`, src/http/ and a clockwork";
    assert_eq!(undocumented(&["domain", "http", "clock"], page), ["clock"]);
}
