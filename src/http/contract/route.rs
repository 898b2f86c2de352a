//! What is known of a route: the facts that router, boundary, caller, document and tests all ask for. The table itself is filled in
//! `http/routes.rs` and handed down at start, so that nobody imports upwards to ask.

use std::num::NonZeroU32;

use actix_web::http::Method;
use jiff::civil::Date;

use super::deprecation::Deprecation;
use crate::domain::client::Scope;
use crate::domain::person::Role;

/// Units of what costs more than a check.
pub const TEN: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

/// What a request waits for, and so who is refused first when there is more work than a node can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A check of one card: takes a place only if memory cannot answer it.
    Check,
    /// Batches of checks, verifications, what those who check read beside, and what is asked without a token.
    Checks,
    /// What needs a turn in the workshop: takes a place only for the store, after its turn, so that those who wait for one keep
    /// nobody out.
    Expensive,
    /// Reports, replacements, and the tokens without which they could not be made.
    Reports,
}

/// One operation of one path. Built by `get`, `post` or `patch` and what follows; every fact is in its row and nowhere else.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, asked for by its name")]
pub struct Route {
    pub method: Method,
    /// As the router and the document write it: `{name}` is one segment.
    pub path: &'static str,
    /// A token with one of these is needed; none is needed where there are none.
    pub scopes: &'static [Scope],
    /// Its place in admission; none for what is answered whatever the load.
    pub class: Option<Class>,
    /// Units of its client's limit that it costs. None: that shows only in its body, and the handler says it (`Caller::charge`).
    pub cost: Option<NonZeroU32>,
    /// Its `operationId`, where it takes an `Idempotency-Key`: part of what tells a repetition.
    pub repeatable_as: Option<&'static str>,
    /// Where what it creates is read, as a path of this table; empty where that cannot be read. None: it creates nothing.
    pub creates: Option<&'static str>,
    /// Where what waits for somebody else is read, as a path of this table. None: nothing does.
    pub waits_at: Option<&'static str>,
    /// Whether it is about a person: never stored by anybody, and no query in its URL.
    pub is_personal: bool,
    /// Whether its URL may have a query: words and ids that say nothing about a person.
    pub takes_query: bool,
    /// Whether it answers with verdicts, so that its refusals are counted as refused checks.
    pub gives_verdicts: bool,
    /// Whether it is a probe, which reaches a node by its address, whatever its name.
    pub is_probe: bool,
    /// Whether only a sandbox has it.
    pub is_of_sandbox: bool,
    /// Whether its last segment is all that is left of the path, slashes too.
    pub takes_rest: bool,
    /// Whether only who approves may do it, of persons.
    pub is_approval: bool,
    /// Since when it is on its way out, and until when it is served.
    pub deprecation: Option<Deprecation>,
}

impl Route {
    const fn new(method: Method, path: &'static str) -> Self {
        Self {
            method,
            path,
            scopes: &[],
            class: None,
            cost: Some(NonZeroU32::MIN),
            repeatable_as: None,
            creates: None,
            waits_at: None,
            is_personal: false,
            takes_query: false,
            gives_verdicts: false,
            is_probe: false,
            is_of_sandbox: false,
            takes_rest: false,
            is_approval: false,
            deprecation: None,
        }
    }

    /// `GET`, and `HEAD` with it (RFC 9110, 9.1).
    pub const fn get(path: &'static str) -> Self {
        Self::new(Method::GET, path)
    }

    /// `POST`.
    pub const fn post(path: &'static str) -> Self {
        Self::new(Method::POST, path)
    }

    /// `PATCH` (RFC 5789), by a document that says what changes (RFC 7396).
    pub const fn patch(path: &'static str) -> Self {
        Self::new(Method::PATCH, path)
    }

    /// About a person, in this class of admission.
    #[must_use]
    pub const fn personal(mut self, class: Class) -> Self {
        self.is_personal = true;
        self.class = Some(class);
        self
    }

    /// About a person, whatever the load.
    #[must_use]
    pub const fn personal_always(mut self) -> Self {
        self.is_personal = true;
        self
    }

    /// About nobody, in this class of admission.
    #[must_use]
    pub const fn class(mut self, class: Class) -> Self {
        self.class = Some(class);
        self
    }

    /// The last segment is all that is left of the path.
    #[must_use]
    pub const fn rest(mut self) -> Self {
        self.takes_rest = true;
        self
    }

    #[must_use]
    pub const fn scopes(mut self, any_of: &'static [Scope]) -> Self {
        self.scopes = any_of;
        self
    }

    #[must_use]
    pub const fn costs(mut self, units: NonZeroU32) -> Self {
        self.cost = Some(units);
        self
    }

    #[must_use]
    pub const fn costs_by_body(mut self) -> Self {
        self.cost = None;
        self
    }

    #[must_use]
    pub const fn repeatable(mut self, operation_id: &'static str) -> Self {
        self.repeatable_as = Some(operation_id);
        self
    }

    #[must_use]
    pub const fn creates(mut self, read_at: &'static str) -> Self {
        self.creates = Some(read_at);
        self
    }

    #[must_use]
    pub const fn waits(mut self, read_at: &'static str) -> Self {
        self.waits_at = Some(read_at);
        self
    }

    #[must_use]
    pub const fn query(mut self) -> Self {
        self.takes_query = true;
        self
    }

    /// Only who approves may do it, of persons.
    #[must_use]
    pub const fn approval(mut self) -> Self {
        self.is_approval = true;
        self
    }

    /// The least role of a person who does it.
    pub fn role(&self) -> Role {
        match self.method {
            _ if self.is_approval => Role::Security,
            Method::GET => Role::Viewer,
            _ => Role::Operator,
        }
    }

    #[must_use]
    pub const fn verdicts(mut self) -> Self {
        self.gives_verdicts = true;
        self
    }

    #[must_use]
    pub const fn probe(mut self) -> Self {
        self.is_probe = true;
        self
    }

    #[must_use]
    pub const fn of_sandbox(mut self) -> Self {
        self.is_of_sandbox = true;
        self
    }

    /// On its way out since a day; from another on it may be gone. The operation in its place has this path.
    #[must_use]
    pub const fn deprecated(mut self, since: Date, sunset: Date, successor: &'static str) -> Self {
        self.deprecation = Some(Deprecation { since, sunset, successor });
        self
    }

    /// Whether it takes its place in its class only once its body has come, for nobody has to be known to ask it.
    pub fn enters_late(&self) -> bool {
        self.scopes.is_empty() && self.method == Method::POST
    }

    /// The methods that it answers.
    pub fn methods(&self) -> &'static [Method] {
        match self.method {
            Method::GET => &[Method::GET, Method::HEAD],
            Method::PATCH => &[Method::PATCH],
            _ => &[Method::POST],
        }
    }

    /// Its method as the document and the tests write it.
    pub fn verb(&self) -> &'static str {
        match self.method {
            Method::GET => "get",
            Method::PATCH => "patch",
            _ => "post",
        }
    }

    /// Where what it has created is read; empty where that cannot be read.
    pub fn location(&self, id: impl std::fmt::Display) -> String {
        self.creates.map_or_else(String::new, |path| filled(path, id))
    }

    /// Where what waits is read.
    pub fn waiting_location(&self, id: impl std::fmt::Display) -> String {
        self.waits_at.map_or_else(String::new, |path| filled(path, id))
    }

    /// Its path as the router takes it.
    pub fn pattern(&self) -> String {
        let open = self.path.strip_suffix('}').filter(|_| self.takes_rest);
        open.map_or_else(|| self.path.to_owned(), |open| format!("{open}:.+}}"))
    }

    /// Whether a path, percent-decoded as the router does, is this one's.
    fn matches(&self, path: &str) -> bool {
        let (mut own, mut asked) = (self.path.split('/').peekable(), path.split('/'));
        loop {
            if self.takes_rest && own.peek().is_some_and(|own| self.path.ends_with(own) && own.starts_with('{')) {
                return asked.next().is_some_and(|first| !first.is_empty() || asked.next().is_some());
            }
            match (own.next(), asked.next()) {
                (None, None) => return true,
                (Some(own), Some(asked)) if own == asked || (own.starts_with('{') && !asked.is_empty()) => {}
                _ => return false,
            }
        }
    }
}

/// A path with an id in the place of its first pattern; empty where it has none.
fn filled(path: &str, id: impl std::fmt::Display) -> String {
    let Some((before, after)) = path.split_once('{') else { return String::new() };
    let after = after.split_once('}').map_or("", |(_, after)| after);
    format!("{before}{id}{after}")
}

/// All routes of a node.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    rows: &'static [Route],
    /// Further spellings of their paths, which the document leaves out.
    others: &'static [Route],
    /// How the paths of the API begin: what no row names is personal all the same.
    roots: &'static [&'static str],
}

impl Table {
    pub const fn new(rows: &'static [Route], roots: &'static [&'static str]) -> Self {
        Self { rows, others: &[], roots }
    }

    /// With paths that are not in the document.
    #[must_use]
    pub const fn and(mut self, others: &'static [Route]) -> Self {
        self.others = others;
        self
    }

    pub fn rows(&self) -> &'static [Route] {
        self.rows
    }

    /// The row of a request; for a method that the path does not take, the first of its path. The path is the one that the router
    /// matches: percent-decoded, so that no spelling of it gets past a rule.
    pub fn find(&self, method: &Method, path: &str) -> Option<&'static Route> {
        let all = || self.rows.iter().chain(self.others);
        let first = all().find(|row| row.path == path);
        let first = first.or_else(|| all().find(|row| row.path.contains('{') && row.matches(path)))?;
        let mut of_path = all().filter(|row| std::ptr::eq(row.path, first.path) || row.path == first.path);
        of_path.find(|row| row.methods().contains(method)).or(Some(first))
    }

    /// Whether a path lies below a root of the API, routed or not.
    pub fn is_below_root(&self, path: &str) -> bool {
        self.roots.iter().any(|root| path.starts_with(root))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static ROWS: &[Route] = &[
        Route::post("/a/search"),
        Route::get("/a/{id}").query(),
        Route::post("/a/{id}").creates("/a/{id}/part"),
        Route::get("/"),
        Route::get("/b/{id}/part/{rest}").rest(),
    ];
    static OTHERS: [Route; 1] = [Route::get("/other")];
    const TABLE: Table = Table::new(ROWS, &["/a/"]).and(&OTHERS);

    #[test]
    fn a_request_finds_the_row_of_its_path_and_method() {
        let find = |method: &Method, path| TABLE.find(method, path).map(|row| (row.method.as_str(), row.path));
        assert_eq!(find(&Method::POST, "/a/search"), Some(("POST", "/a/search")));
        assert_eq!(find(&Method::GET, "/a/search"), Some(("POST", "/a/search")), "as the router: 405");
        assert_eq!(find(&Method::HEAD, "/a/1"), Some(("GET", "/a/{id}")));
        assert_eq!(find(&Method::POST, "/a/1"), Some(("POST", "/a/{id}")));
        assert_eq!(find(&Method::DELETE, "/a/1"), Some(("GET", "/a/{id}")));
        assert_eq!(find(&Method::GET, "/"), Some(("GET", "/")));
        assert_eq!(find(&Method::GET, "/other"), Some(("GET", "/other")), "not in the document");
        assert_eq!(find(&Method::GET, "/b/1/part/2/3.p/4"), Some(("GET", "/b/{id}/part/{rest}")));
        assert_eq!(find(&Method::GET, "/b/1/part/2"), Some(("GET", "/b/{id}/part/{rest}")));
        assert_eq!(
            TABLE.find(&Method::GET, "/b/1/part/2").map(Route::pattern),
            Some("/b/{id}/part/{rest:.+}".to_owned())
        );
        for unknown in
            ["/b/1/part/", "/b/1/part", "/b/1/other/2", "", "/a", "/a/", "/a//", "/a/1/", "/a/1/2", "a/1", "//a/1"]
        {
            assert_eq!(find(&Method::GET, unknown), None, "{unknown}");
        }
    }

    #[test]
    fn what_is_created_lies_where_its_row_says() {
        let row = TABLE.find(&Method::POST, "/a/1").unwrap();
        assert_eq!(row.location(7), "/a/7/part");
        assert_eq!(ROWS[0].location(7), "");
    }
}
