//! tests/bad-inputs.json against the real binary, its log at the finest level: the status, the form of the refusal, no echo,
//! one log line, no number in the log, and a process that lives. Where the contract says otherwise than a row, the
//! contract wins: `CONTRACT_WINS` lists those rows.

use std::collections::BTreeMap;

use lostcard::clock::Clock;
use lostcard::crypto::keyfiles::{KeyFolder, Purpose};
use lostcard::domain::ids::{ClientId, OrganizationId};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bodies::{check_of, random_number, report_of};
use crate::child::{Server, run, run_json, serve};
use crate::helpers::{Answer, eventually};
use crate::raw;
use crate::recipes::{TokenContext, expand};
use crate::servers::wait_until;

/// Row, status by the contract, and why.
const CONTRACT_WINS: &[(&str, u16, &str)] = &[
    ("PAT-005", 422, "collections have lists now, whose limit is 1 to 500, else 422"),
    ("PAT-008", 200, "the same"),
    ("PAT-009", 422, "a cursor is judged as in every other list"),
];

/// Words of inputs that answers may hold, since the documents of the contract hold them too.
const DOCUMENTED: &[&str] =
    &["id_number", "lost_on", "contact", "other", "Bearer", "bytes", "reports", "checks", "limit", "cursor"];

/// The lines by which a node says what runs in it: of no request, and in words that inputs have too.
const OF_THE_NODE: [&str; 3] =
    ["background task starts", "what this node takes on at a time", "limits of numbers only count"];

const ISSUER: &str = "http://lostcard.test";
const NUMBER: &str = "11010519491231002";

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Row {
    pub(crate) id: String,
    target: String,
    pub(crate) input: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    expect_status: Value,
}

impl Row {
    pub(crate) fn of(target: &str) -> Vec<Self> {
        let all: Vec<Self> = serde_json::from_str(include_str!("../bad-inputs.json")).unwrap();
        let rows: Vec<_> = all.into_iter().filter(|row| row.target == target).collect();
        assert!(!rows.is_empty(), "no rows for {target}");
        rows
    }

    pub(crate) fn expects(&self, status: u16) -> bool {
        if let Some((_, by_contract, _)) = CONTRACT_WINS.iter().find(|(id, ..)| *id == self.id) {
            return status == *by_contract;
        }
        match &self.expect_status {
            Value::Array(several) => several.iter().any(|expected| expected == status),
            one => one == status,
        }
    }

    /// The input with the members that the contract demands and that the row is not about.
    fn completed(&self, members: &str) -> String {
        self.input.replacen("{\"id_number\"", &format!("{{{members},\"id_number\""), 1)
    }
}

const CHECK_MEMBERS: &str = r#""purpose":"lodging""#;
const REPORT_MEMBERS: &str = r#""reason":"lost","reporter":"holder","office":"110105-03","channel":"station""#;

pub(crate) struct Caller {
    client_id: ClientId,
    pub(crate) organization: OrganizationId,
    pub(crate) token: String,
}

/// The binary with two clients of two organizations that may check and report.
pub(crate) struct Suite {
    pub(crate) server: Server,
    pub(crate) folder: TempDir,
    pub(crate) one: Caller,
    two: Caller,
}

impl Suite {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let register = || {
            let args =
                ["organization", "create", "--name", "Harbour", "--kind", "registrar", "--region", "110105", "--json"];
            let organization = run_json(&data, &args)["organization_id"].as_str().unwrap().to_owned();
            let scopes = ["--scope", "checks", "--scope", "registry", "--json"];
            let client =
                run_json(&data, &[["client", "create", "--organization", &organization].as_slice(), &scopes].concat());
            (organization.parse::<OrganizationId>().unwrap(), client)
        };
        let registered = [register(), register()];
        let server = serve(&data, ISSUER);
        let mut callers = Vec::new();
        for (organization, client) in registered {
            let client_id: ClientId = client["client_id"].as_str().unwrap().parse().unwrap();
            let secret = client["client_secret"].as_str().unwrap();
            let form = format!("grant_type=client_credentials&client_id={client_id}&client_secret={secret}");
            let headers = [("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
            let request = raw::request("POST", "/oauth2/token", &headers, form.as_bytes());
            let granted = raw::exchange(server.address, &request).await.unwrap().json();
            callers.push(Caller {
                client_id,
                organization,
                token: granted["access_token"].as_str().unwrap().to_owned(),
            });
        }
        let two = callers.pop().unwrap();
        Self { server, folder, one: callers.pop().unwrap(), two }
    }

    /// A row's headers, with its good token and type unless it has its own.
    fn headers(&self, row: &Row) -> Vec<(String, String)> {
        let mut headers: Vec<_> = row.headers.clone().into_iter().collect();
        for (_, value) in &mut headers {
            *value = String::from_utf8(expand(&value.replace("{{GOOD}}", &self.one.token))).unwrap();
        }
        let good =
            [("Authorization", format!("Bearer {}", self.one.token)), ("Content-Type", "application/json".to_owned())];
        for (name, value) in good {
            if !row.headers.contains_key(name) {
                headers.push((name.to_owned(), value));
            }
        }
        headers
    }

    async fn send(&mut self, row: &Row, method: &str, target: &str, body: &[u8]) -> Answer {
        let headers = self.headers(row);
        self.send_with(row, method, target, &headers, body).await
    }

    /// Sends, and asserts all that holds for every row.
    async fn send_with(
        &mut self,
        row: &Row,
        method: &str,
        target: &str,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Answer {
        let request = raw::request(method, target, headers, body);
        let answer = raw::exchange(self.server.address, &request).await;
        let answer = answer.unwrap_or_else(|| panic!("{}: no answer", row.id));
        self.judge(row, headers, &answer);
        self.assert_serves(row).await;
        answer
    }

    /// The status, the form of a refusal, no echo, one line in the log.
    pub(crate) fn judge(&self, row: &Row, headers: &[(String, String)], answer: &Answer) {
        assert!(row.expects(answer.status), "{}: {} {}", row.id, answer.status, answer.text);
        if answer.status >= 400 {
            let code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
            answer.problem(answer.status, &code);
        }
        self.assert_no_echo(row, headers, answer);
        let request_id = answer.header("x-request-id");
        let lines = self.server.log().lines().filter(|line| line.contains(request_id)).count();
        if answer.status >= 400 && lines == 0 {
            // Beyond ten a second for a code and client, lines are counted instead.
            let code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
            let counts = |line: &str| line.contains("more requests failed") && line.contains(&code);
            wait_until("the line, or its count", || self.server.log().lines().any(counts));
        } else {
            assert_eq!(lines, usize::from(answer.status >= 400), "{}: log lines of the request", row.id);
        }
    }

    /// The process lives, and the next request on a new connection is served.
    pub(crate) async fn assert_serves(&mut self, row: &Row) {
        assert!(self.server.is_alive(), "{}: the process has ended", row.id);
        let next = raw::exchange(self.server.address, &raw::request("GET", "/health/live", &[], b"")).await.unwrap();
        assert_eq!(next.status, 200, "{}: the next request", row.id);
    }

    fn assert_no_echo(&self, row: &Row, headers: &[(String, String)], answer: &Answer) {
        let shown = format!("{:?}\n{}", answer.headers, answer.text);
        // A token's recipe is not sent; its token is, in a header.
        let input = if row.target == "jwt" { "" } else { &row.input };
        let sent = headers.iter().map(|(_, value)| value.as_str()).chain([input]).collect::<Vec<_>>().join(" ");
        for word in words(&sent) {
            // The type of a problem is one of the types that a request may have.
            let is_type = "application/problem+json; charset=utf-8".contains(word);
            assert!(is_type || !shown.contains(word), "{}: echoes {word:.40} in {shown:.400}", row.id);
        }
        for number in [NUMBER, &self.one.token] {
            assert!(!shown.contains(number), "{}: echoes {number:.40}", row.id);
        }
    }

    /// After all rows: nothing that was sent, and nothing that could be a number, is in the log.
    pub(crate) fn assert_log_is_clean(&self, rows: &[Row]) {
        let log = self.server.log();
        assert!(log.contains("registry loaded"), "the log is written where it is read");
        let longest_run = log.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap();
        assert!(longest_run < 15, "a run of {longest_run} digits in the log");
        for row in rows {
            for word in words(&row.input) {
                let line =
                    log.lines().find(|line| line.contains(word) && !OF_THE_NODE.iter().any(|own| line.contains(own)));
                assert!(line.is_none(), "{}: {word:.40} in the log: {line:?}", row.id);
            }
        }
        for caller in [&self.one, &self.two] {
            assert!(!log.contains(&caller.token), "a token in the log");
        }
    }
}

/// The words of an input that would be recognised in an answer: five characters or more, none of the documents' own.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let all = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    all.filter(|word| word.chars().count() >= 5 && !DOCUMENTED.contains(word))
}

#[tokio::test]
async fn bad_numbers_are_refused_wherever_a_number_is_taken() {
    let mut suite = Suite::start().await;
    let rows = Row::of("id_number");
    for row in &rows {
        let input = String::from_utf8(expand(&row.input)).unwrap();
        let is_control = row.expect_status == 200;
        let check = suite.send(row, "POST", "/v1/checks", check_of(&input, None).to_string().as_bytes()).await;
        let search = json!({ "id_number": input }).to_string();
        suite.send(row, "POST", "/v1/loss-reports/search", search.as_bytes()).await;
        let verdict = if is_control { check.json()["verdict"].clone() } else { Value::Null };
        if !is_control {
            assert!(check.field_errors().iter().all(|(pointer, _)| pointer == "/id_number"), "{}", row.id);
            suite.send(row, "POST", "/v1/loss-reports", report_of(&input, None).to_string().as_bytes()).await;
        }
        assert!(verdict.is_null() || verdict == "not_listed", "{}", row.id);
    }
    suite.assert_log_is_clean(&rows);
}

#[tokio::test]
async fn bad_bodies_are_refused() {
    let mut suite = Suite::start().await;
    let rows = Row::of("json_body");
    for row in &rows {
        suite.send(row, "POST", "/v1/checks", &expand(&row.completed(CHECK_MEMBERS))).await;
    }
    suite.assert_log_is_clean(&rows);
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let mut suite = Suite::start().await;
    let data = suite.folder.path().join("data");
    let report = report_of(&random_number(), None).to_string();
    let filed = suite.send(&Row::control(201), "POST", "/v1/loss-reports", report.as_bytes()).await;
    let revoked_jti = "01993c5e-0000-7000-8000-000000000000".to_owned();
    let revoked = run(&data, &["client", "revoke-token", "--issuer", ISSUER, &revoked_jti]);
    assert!(revoked.status.success());
    let context = TokenContext {
        key: KeyFolder::new(data.join("keys")).signing_key(Purpose::Token).unwrap(),
        issuer: ISSUER.to_owned(),
        now_s: Clock::System.now_s(),
        clients: [&suite.one, &suite.two].map(|caller| (caller.client_id, caller.organization)),
        revoked_jti,
    };
    let rows = Row::of("jwt");
    let revoked = rows.iter().find(|row| row.input.contains("REVOKED")).unwrap();
    let (address, token) = (suite.server.address, &context.token(&serde_json::from_str(&revoked.input).unwrap()));
    eventually("the revocation has come by the feed", || async move {
        let headers = [("Authorization".to_owned(), format!("Bearer {token}"))];
        let request = raw::request("GET", "/v1/loss-reports/x", &headers, b"");
        raw::exchange(address, &request).await.unwrap().status == 401
    })
    .await;
    for row in &rows {
        let token = context.token(&serde_json::from_str(&row.input).unwrap());
        let headers = [
            ("Authorization".to_owned(), format!("Bearer {token}")),
            ("Content-Type".to_owned(), "application/json".to_owned()),
        ];
        let answer = if row.expect_status == 404 {
            suite.send_with(row, "GET", filed.header("location"), &headers, b"").await
        } else {
            let body = check_of(&random_number(), None).to_string();
            suite.send_with(row, "POST", "/v1/checks", &headers, body.as_bytes()).await
        };
        if answer.status == 401 {
            assert_eq!(answer.header("www-authenticate"), r#"Bearer error="invalid_token""#, "{}", row.id);
        }
        assert!(!suite.server.log().contains(&token), "{}: a token in the log", row.id);
    }
    suite.assert_log_is_clean(&[]);
}

#[tokio::test]
async fn bad_headers_are_refused_or_ignored() {
    let mut suite = Suite::start().await;
    let rows = Row::of("header");
    for row in &rows {
        if row.headers.contains_key("Idempotency-Key") {
            let body = row.completed(REPORT_MEMBERS);
            if row.expect_status == 422 {
                let mut headers = suite.headers(&Row::control(201));
                headers.push(("Idempotency-Key".to_owned(), row.headers["Idempotency-Key"].clone()));
                let other = report_of(&random_number(), None).to_string();
                suite.send_with(&Row::control(201), "POST", "/v1/loss-reports", &headers, other.as_bytes()).await;
            }
            suite.send(row, "POST", "/v1/loss-reports", body.as_bytes()).await;
        } else {
            suite.send(row, "POST", "/v1/checks", row.completed(CHECK_MEMBERS).as_bytes()).await;
        }
    }
    suite.assert_log_is_clean(&rows);
}

#[tokio::test]
async fn bad_paths_are_refused() {
    let mut suite = Suite::start().await;
    let rows = Row::of("path_query");
    for row in &rows {
        suite.send(row, "GET", &row.input, b"").await;
        // What the contract has since is a list to GET: to POST the row is as it was.
        let row = &Row { id: format!("{} POST", row.id), ..row.clone() };
        suite.send(row, "POST", &row.input, check_of(&random_number(), None).to_string().as_bytes()).await;
    }
    suite.assert_log_is_clean(&rows);
}

#[tokio::test]
async fn bad_reports_are_refused() {
    let mut suite = Suite::start().await;
    let rows = Row::of("report_body");
    for row in &rows {
        if row.input.contains(" x2 concurrently") {
            let body = row.completed(REPORT_MEMBERS).split(" x2 ").next().unwrap().to_owned();
            let mut headers = suite.headers(row);
            headers.push(("Idempotency-Key".to_owned(), "twice".to_owned()));
            let request = raw::request("POST", "/v1/loss-reports", &headers, body.as_bytes());
            let address = suite.server.address;
            let (a, b) = tokio::join!(raw::exchange(address, &request), raw::exchange(address, &request));
            let (a, b) = (a.unwrap(), b.unwrap());
            assert_eq!((a.status, b.status, &a.text), (201, 201, &b.text), "{}", row.id);
            let search = json!({ "id_number": format!("{NUMBER}X") }).to_string();
            let found = suite.send(&Row::control(200), "POST", "/v1/loss-reports/search", search.as_bytes()).await;
            assert_eq!(found.json()["reports"].as_array().unwrap().len(), 1, "{}: one row", row.id);
        } else if row.input.starts_with("withdraw by a tenant other") {
            let report = report_of(&random_number(), None).to_string();
            let filed = suite.send(&Row::control(201), "POST", "/v1/loss-reports", report.as_bytes()).await;
            let target = format!("{}/withdrawal", filed.header("location"));
            let body = json!({"office": "110105-03", "reason": "found"}).to_string();
            let mut headers = suite.headers(row);
            headers.retain(|(name, _)| name != "Authorization");
            headers.push(("Authorization".to_owned(), format!("Bearer {}", suite.two.token)));
            suite.send_with(row, "POST", &target, &headers, body.as_bytes()).await;
            assert_eq!(
                suite.send(&Row::control(200), "GET", filed.header("location"), b"").await.json()["state"],
                "active"
            );
        } else {
            suite.send(row, "POST", "/v1/loss-reports", row.completed(REPORT_MEMBERS).as_bytes()).await;
        }
    }
    let bodies: Vec<_> = rows.into_iter().filter(|row| row.input.starts_with('{')).collect();
    suite.assert_log_is_clean(&bodies);
}

/// The files whose tests take rows, by `Row::of`.
const READERS: &[&str] =
    &[include_str!("bad_inputs.rs"), include_str!("bad_connections.rs"), include_str!("bad_endpoints.rs")];

#[test]
fn every_row_is_read_by_a_test() {
    let all: Vec<Row> = serde_json::from_str(include_str!("../bad-inputs.json")).unwrap();
    for row in all {
        let reading = format!("Row::of({:?})", row.target);
        assert!(READERS.iter().any(|reader| reader.contains(&reading)), "{}: nothing reads {}", row.id, row.target);
    }
}

impl Row {
    /// A good request of the suite's own.
    fn control(status: u16) -> Self {
        let target = String::new();
        Self {
            id: "control".to_owned(),
            target,
            input: String::new(),
            headers: BTreeMap::new(),
            expect_status: json!(status),
        }
    }
}
