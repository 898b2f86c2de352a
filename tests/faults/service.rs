//! A service of one or more real nodes on one store, each reached and reaching by a way of its own, with a hotel that checks and
//! a police station that reports. Holds no fault and no assertion about one.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bodies::{check_of, random_number, report_of};
use crate::servers::http_client;
use crate::servers::node::{self, Node};

/// The `iss` of every node.
pub(crate) const ISSUER: &str = "http://lostcard.test";
/// No answer may take longer, whatever the fault: longer is a hang.
pub(crate) const HANG: Duration = Duration::from_secs(15);

/// Everything of a service but its running nodes.
#[derive(Debug)]
pub(crate) struct Service {
    folder: TempDir,
    /// None: the embedded store of the one data folder.
    url: Option<String>,
    pub(crate) hotel: Caller,
    pub(crate) police: Caller,
    http: reqwest::Client,
}

/// A client of the service.
#[derive(Debug, Default)]
pub(crate) struct Caller {
    pub(crate) client_id: String,
    pub(crate) secret: String,
    pub(crate) token: String,
}

/// What came back, and after how long.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: Value,
    pub(crate) took: Duration,
}

impl Answer {
    /// The word that tells what it is: a verdict or a problem's code.
    pub(crate) fn word(&self) -> &str {
        self.body["verdict"].as_str().or(self.body["code"].as_str()).unwrap_or_default()
    }

    /// Asserts a refusal that says when to come again.
    #[track_caller]
    pub(crate) fn assert_unavailable(&self, code: &str) {
        assert_eq!((self.status, self.word()), (503, code), "{self:?}");
        assert!(self.retry_after.is_some_and(|seconds| seconds > 0), "{self:?}");
    }
}

impl Service {
    /// A service on an embedded store, or on the one of a URL.
    pub(crate) fn new(url: Option<&str>) -> Self {
        let http = http_client().timeout(HANG).build().unwrap();
        let mut service = Self {
            folder: tempfile::tempdir().unwrap(),
            url: url.map(str::to_owned),
            hotel: Caller::default(),
            police: Caller::default(),
            http,
        };
        service.hotel = service.register("certifying", "checks");
        service.police = service.register("registrar", "registry");
        service
    }

    fn register(&self, kind: &str, scope: &str) -> Caller {
        let args = ["organization", "create", "--name", "Harbour", "--kind", kind, "--region", "110105", "--json"];
        let organization = self.run(&args)["organization_id"].as_str().unwrap().to_owned();
        let args =
            ["client", "create", "--organization", &organization, "--scope", scope, "--rate", "1000000/60s", "--json"];
        let made = self.run(&args);
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        Caller { client_id: text("client_id"), secret: text("client_secret"), token: String::new() }
    }

    /// Runs a command of the service's operator, which prints JSON if it is asked to.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Value {
        let mut command = node::command(&self.data("first"));
        let done =
            command.envs(self.url.as_ref().map(|url| ("LOSTCARD_DATABASE_URL", url))).args(args).output().unwrap();
        assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
        serde_json::from_slice(&done.stdout).unwrap_or_default()
    }

    /// The data folder of the node of this name. The first one's holds the keys of all.
    pub(crate) fn data(&self, node: &str) -> PathBuf {
        self.folder.path().join(node)
    }

    /// Starts the first node, and gets its clients their tokens.
    pub(crate) async fn start(&mut self) -> Node {
        self.start_with(|_| {}).await
    }

    pub(crate) async fn start_with(&mut self, tweak: impl FnOnce(&mut Command)) -> Node {
        let node = self.node("first", self.url.as_deref(), tweak);
        self.get_tokens(&node).await;
        node
    }

    /// Starts a node that reaches the store by a URL of its own.
    pub(crate) fn node(&self, name: &str, url: Option<&str>, tweak: impl FnOnce(&mut Command)) -> Node {
        Node::start_with(&self.data(name), |command| {
            command.args(["--public-url", ISSUER]).env("LOSTCARD_KEYS", self.data("first").join("keys"));
            command.envs(url.map(|url| ("LOSTCARD_DATABASE_URL", url)));
            tweak(command);
        })
    }

    /// Gets both clients their tokens, and lets a node meet them.
    pub(crate) async fn get_tokens(&mut self, node: &Node) {
        self.hotel.token = self.token_of(&self.hotel, node).await;
        self.police.token = self.token_of(&self.police, node).await;
        self.introduce(node).await;
    }

    async fn token_of(&self, caller: &Caller, node: &Node) -> String {
        let form =
            [("grant_type", "client_credentials"), ("client_id", &caller.client_id), ("client_secret", &caller.secret)];
        let answer = send(self.http.post(format!("{}/oauth2/token", node.url())).form(&form)).await;
        answer.body["access_token"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
    }

    /// Lets a node meet the clients: after that it knows their tokens without the store.
    pub(crate) async fn introduce(&self, node: &Node) {
        assert_eq!(self.check(node, &random_number()).await.word(), "not_listed");
        assert_eq!(self.get(node, &self.police.token, "/v1/loss-reports/x").await.status, 404);
    }

    pub(crate) async fn check(&self, node: &Node, number: &str) -> Answer {
        let request = self.http.post(format!("{}/v1/checks", node.url())).json(&check_of(number, None));
        send(request.bearer_auth(&self.hotel.token)).await
    }

    /// Files a report under an `Idempotency-Key`.
    pub(crate) async fn report_once(&self, node: &Node, key: &str, number: &str) -> Answer {
        let request = self.http.post(format!("{}/v1/loss-reports", node.url())).header("Idempotency-Key", key);
        send(request.json(&report_of(number, None)).bearer_auth(&self.police.token)).await
    }

    pub(crate) async fn report(&self, node: &Node, number: &str) -> Answer {
        // One key for one number; a key that holds the number itself is refused, and a letter ends what might be one.
        let (first, last) = number.split_at(number.len() / 2);
        self.report_once(node, &format!("{first}r{last}"), number).await
    }

    /// Files a report with a node that may die.
    pub(crate) async fn try_report(&self, node: &Node, number: &str) -> reqwest::Result<Answer> {
        let request = self.http.post(format!("{}/v1/loss-reports", node.url())).json(&report_of(number, None));
        try_send(request.bearer_auth(&self.police.token)).await
    }

    /// How many reports of a number there are, by the service's own word.
    pub(crate) async fn count(&self, node: &Node, number: &str) -> usize {
        let request = self.http.post(format!("{}/v1/loss-reports/search", node.url()));
        let answer = send(request.json(&json!({ "id_number": number })).bearer_auth(&self.police.token)).await;
        answer.body["reports"].as_array().unwrap_or_else(|| panic!("{answer:?}")).len()
    }

    pub(crate) async fn get(&self, node: &Node, token: &str, path: &str) -> Answer {
        send(self.http.get(format!("{}{path}", node.url())).bearer_auth(token)).await
    }

    /// Posts to one of the paths that few tests need.
    pub(crate) async fn post(&self, node: &Node, caller: &Caller, path: &str, body: &Value) -> Answer {
        send(self.http.post(format!("{}{path}", node.url())).json(body).bearer_auth(&caller.token)).await
    }

    /// Files a report of a new number, which must succeed, and returns the number.
    pub(crate) async fn report_lost(&self, node: &Node) -> String {
        let number = random_number();
        let answer = self.report(node, &number).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        number
    }

    #[track_caller]
    pub(crate) fn assert_listed(answer: &Answer) {
        assert_eq!((answer.status, answer.word()), (200, "number_listed"), "{answer:?}");
    }
}

async fn send(request: reqwest::RequestBuilder) -> Answer {
    let began = Instant::now();
    try_send(request).await.unwrap_or_else(|error| panic!("no answer, after {:?}: {error}", began.elapsed()))
}

async fn try_send(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
    let began = Instant::now();
    let response = request.send().await?;
    let status = response.status().as_u16();
    let retry_after = response.headers().get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap());
    let text = response.text().await?;
    let body = serde_json::from_str(&text).unwrap_or_default();
    Ok(Answer { status, retry_after, body, took: began.elapsed() })
}

/// Waits until an answer is as it should be, for [`HANG`] at most.
pub(crate) async fn eventually<F: Future<Output = Answer>>(
    what: &str,
    mut ask: impl FnMut() -> F,
    is_right: impl Fn(&Answer) -> bool,
) -> Answer {
    let deadline = Instant::now() + HANG;
    loop {
        let answer = ask().await;
        if is_right(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {HANG:?} but {answer:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits for a condition while the test's other requests continue, for [`HANG`] at most.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + HANG;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {HANG:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
