//! A rule of the house: nothing of `src` that derives `Debug` holds the bare text or the bytes of what names a person or admits a
//! client. `domain::redacted`, `crypto::digest` and `crypto::salt` have the types that may be held.

use super::{Violation, code_of, identifier, is_word_char, sources};

const BARE: &str =
    "what derives `Debug` holds numbers, secrets and the like in a type that is redacted (domain::redacted)";

/// What a member is called that must not be shown; also the last words of its name (`client_secret`).
const NAMES: &[&str] = &[
    "id_number",
    "digest",
    "secret",
    "token",
    "salt",
    "password",
    "assertion",
    "jwt",
    "pepper",
    "credential",
    "database_url",
    "redis_url",
    "certificate",
    "phone",
    "contact",
    "narrative",
    "note",
    "body",
    "input",
    "output",
];

/// Types that show what they hold. `u8` stands for bytes in a vector, an array or a slice.
const BARE_TYPES: &[&str] = &["String", "str", "Cow", "u8", "Bytes", "RawValue"];

/// Holds whole bodies or members of them, whatever it is called.
const BARE_EVERYWHERE: &str = "RawValue";

/// Members that are called so and may be shown, with the reason.
const ALLOWED: &str = "
    Fact.note                   ; a sentence of the table of settings
    ClientCertificateRequest.certificate ; an X.509 certificate, which is public
    LogHead.note                ; a signed note of the registry log: public
    Cosigned.note               ; the same
    Seen.note                   ; the same
    StoredApplication.sealed_digest ; sealed: ciphertext
    SealedNumber.sealed_digest  ; sealed: ciphertext
    KeyedRow.sealed_digest      ; sealed: ciphertext
    Asked.body                  ; what an operator asks for, and no secret: it is stored and shown to who approves
    AdminRequest.body           ; the same
    Reply.body                  ; an answer to the command line itself, which prints it or its parts and logs nothing
";

/// The bare members of what derives `Debug` in `text`.
fn bare_members(path: &str, text: &str) -> Vec<Violation> {
    let code = code_of(path, text);
    let mut found = Vec::new();
    let (mut at, mut is_debug) = (0, false);
    for line in code.lines() {
        let start = at;
        at += line.len() + 1;
        let item = line.trim_start();
        if item.starts_with("#[") {
            is_debug |= item.starts_with("#[derive(") && words(item).any(|(_, word)| word == "Debug");
            continue;
        }
        if let Some(name) = declared(item).filter(|_| is_debug) {
            let body = body_of(&code[start..]);
            found.extend(members(name, body).filter(|member| is_bare(name, member)).map(|member| Violation {
                at: format!("{path}:{}", code[..start + member.at].matches('\n').count() + 1),
                rule: BARE,
                found: format!("{name}.{}", member.name),
            }));
        }
        // Attributes may take several lines; an item ends what they say.
        is_debug &= declared(item).is_none() && !item.starts_with('}');
    }
    found
}

/// The name of the struct or enum that a line declares.
fn declared(item: &str) -> Option<&str> {
    let item = item.strip_prefix("pub").map_or(item, |rest| {
        let rest = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(rest, |(_, rest)| rest);
        rest.trim_start()
    });
    let name = item.strip_prefix("struct ").or_else(|| item.strip_prefix("enum "))?;
    Some(identifier(name))
}

/// A declaration up to its end.
fn body_of(code: &str) -> &str {
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => {
                depth -= 1;
                if depth == 0 && c == '}' {
                    return &code[..at];
                }
            }
            ';' if depth == 0 => return &code[..at],
            _ => {}
        }
    }
    code
}

struct Member {
    at: usize,
    name: String,
    kind: String,
}

/// The members of a declaration: `name: Type`, and `Variant(Type)` or `struct Name(Type)` under their own name in lower case.
fn members(item: &str, body: &str) -> impl Iterator<Item = Member> {
    let mut all = Vec::new();
    let open = body.find(['{', '(']).unwrap_or(body.len());
    for (at, name) in words(body) {
        let after = body[at + name.len()..].trim_start();
        let is_named = after.starts_with(':') && !after.starts_with("::") && !body[..at].ends_with(['\'', ':']);
        let is_tuple = after.starts_with('(') && name.starts_with(char::is_uppercase);
        if is_named && at > open {
            let kind = kind_of(&after[1..]).to_owned();
            all.push(Member { at, name: name.to_owned(), kind });
        } else if is_tuple && (name == item || at > open) {
            all.push(Member { at, name: lower_case(name), kind: kind_of(&after[1..]).to_owned() });
        }
    }
    all.into_iter()
}

/// A type up to the comma or the bracket behind it.
fn kind_of(text: &str) -> &str {
    let mut depth = 0;
    let end = text.find(|c| {
        match c {
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        depth < 0 || (depth == 0 && c == ',')
    });
    &text[..end.unwrap_or(text.len())]
}

fn is_bare(item: &str, member: &Member) -> bool {
    let holds = |one: &str| words(&member.kind).any(|(_, word)| word == one);
    let is_named =
        |name: &&str| member.name.strip_suffix(*name).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'));
    let is_allowed = || allowed().any(|(name, _)| name == format!("{item}.{}", member.name));
    let is_suspect = NAMES.iter().any(is_named) && BARE_TYPES.iter().any(|kind| holds(kind));
    (is_suspect && !is_allowed()) || holds(BARE_EVERYWHERE)
}

fn allowed() -> impl Iterator<Item = (&'static str, &'static str)> {
    ALLOWED.trim().lines().filter_map(|row| row.split_once(';')).map(|(name, why)| (name.trim(), why.trim()))
}

/// Each word of a text and where it begins.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let starts = text.char_indices().filter(|&(at, c)| is_word_char(c) && !text[..at].ends_with(is_word_char));
    starts.map(|(at, _)| (at, identifier(&text[at..])))
}

fn lower_case(name: &str) -> String {
    let parts = name.char_indices().map(|(at, c)| {
        let gap = if at > 0 && c.is_uppercase() { "_" } else { "" };
        format!("{gap}{}", c.to_ascii_lowercase())
    });
    parts.collect()
}

#[test]
fn nothing_that_derives_debug_holds_a_number_or_a_secret() {
    let files = sources().unwrap();
    let of_src = files.iter().filter(|(path, _)| path.starts_with("src/"));
    let found: Vec<_> = of_src.flat_map(|(path, text)| bare_members(path, text)).collect();
    super::assert_none(&found);
}

#[test]
fn each_allowed_member_is_there_and_has_a_reason() {
    let files = sources().unwrap();
    let of_src = || files.iter().filter(|(path, _)| path.starts_with("src/"));
    for (name, why) in allowed() {
        let (item, member) = name.split_once('.').unwrap();
        let is_there = of_src().any(|(path, text)| {
            let code = code_of(path, text);
            let at = code.lines().scan(0, |at, line| Some((std::mem::replace(at, *at + line.len() + 1), line)));
            let mut declarations = at.filter(|(_, line)| declared(line.trim_start()) == Some(item));
            declarations.any(|(at, _)| members(item, body_of(&code[at..])).any(|one| one.name == member))
        });
        assert!(is_there && !why.is_empty(), "{name}: no such member, or no reason");
    }
}

#[test]
fn the_rule_fires_on_a_bad_snippet() {
    for (code, expected) in [
        ("#[derive(Debug)]\nstruct A {\n    id_number: String,\n}", &["3: A.id_number"][..]),
        ("#[derive(Clone, Debug)]\npub struct A<'a> { pub id_number: Option<&'a str>, x: u8 }", &["2: A.id_number"]),
        (
            "#[derive(Debug)]\n#[serde(\n    deny_unknown_fields\n)]\n/// Doc.\nstruct A { token: String }",
            &["6: A.token"],
        ),
        (
            "#[derive(Debug)]\nstruct A {\n    client_secret: Option<String>,\n    salt: [u8; 32],\n}",
            &["3: A.client_secret", "4: A.salt"],
        ),
        ("#[derive(Debug)]\npub(super) struct A { secret: Zeroizing<[u8; 32]> }", &["2: A.secret"]),
        ("#[derive(Debug)]\nstruct A { pair: (u8, String), digest: Vec<u8> }", &["2: A.digest"]),
        (
            "#[derive(Debug)]\nenum A {\n    B { client_id: Uuid, jwt: String },\n    Phone(Cow<'a, str>),\n}",
            &["3: A.jwt", "4: A.phone"],
        ),
        ("#[derive(Debug)]\npub struct Secret(String);", &["2: Secret.secret"]),
        ("#[derive(Debug)]\nstruct A { checks: Vec<Box<RawValue>> }", &["2: A.checks"]),
        ("#[derive(Debug)]\nstruct A { body: String, input: RefCell<Box<[u8]>> }", &["2: A.body", "2: A.input"]),
        ("#[derive(Debug)]\nstruct A { output: Vec<u8>, read_body: Bytes }", &["2: A.output", "2: A.read_body"]),
    ] {
        let found: Vec<_> = bare_members("src/http/api/a.rs", code)
            .iter()
            .map(|one| format!("{}: {}", one.at.rsplit_once(':').unwrap().1, one.found))
            .collect();
        assert_eq!(found, expected, "{code}");
    }
}

#[test]
fn the_rule_lets_good_code_be() {
    for code in [
        "struct A { id_number: String }",
        "#[derive(Clone)]\nstruct A { id_number: String }",
        "#[derive(Debug)]\nstruct A { id_number: IdNumberText, token_id: String, client_assertion_type: Option<String> }",
        "#[derive(Debug)]\nstruct A;\n\nstruct B { secret: String }",
        "#[derive(Debug)]\nenum A {\n    SecretHash([u8; 32]),\n}\nfn f(secret: &str) {}",
        "#[derive(Debug)]\nstruct A { digest: IdDigest }\nimpl A {\n    fn f(salt: &[u8]) {}\n}",
    ] {
        super::assert_none(&bare_members("src/a.rs", code));
    }
}
