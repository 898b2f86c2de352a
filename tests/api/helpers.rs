//! `TestApp`: a node of its own for each test, with its folder, its port and its clock, and client methods named by
//! intention. Holds no assertion about an area; those are next to the cases.

use std::net::SocketAddr;
use std::sync::Arc;

use lostcard::clock::Clock;
use lostcard::config::{Config, Overrides};
use lostcard::crypto::client_secret::hash_secret;
use lostcard::crypto::signing::base64url;
use lostcard::crypto::{Keyring, random};
use lostcard::domain::authority::Offices;
use lostcard::domain::client::{OrganizationKind, OrganizationName, Rate, RegionCode, Scopes};
use lostcard::domain::ids::{ClientId, OrganizationId};
use lostcard::domain::numbers::NumbersMode;
use lostcard::node::{self, Application};
use lostcard::store::clients::{Client, Organization, Proof};
use lostcard::store::feed::ChangeKind;
use lostcard::store::{Store, StoreError, WriteTx};
use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;

pub(crate) use crate::answer::Answer;
use crate::backend;
use crate::bodies::{check_of, report_of};
use crate::servers::http_client;
pub(crate) use crate::waiting::eventually;

/// The `iss` of every test node: nodes on one folder share it as nodes of one service do.
pub(crate) const ISSUER: &str = "http://lostcard.test";

/// A client with its secret and a token of all its scopes.
#[derive(Debug, Clone)]
pub(crate) struct TestClient {
    pub(crate) organization: OrganizationId,
    pub(crate) client_id: ClientId,
    pub(crate) secret: String,
    pub(crate) token: String,
}

/// A running node.
pub(crate) struct TestApp {
    /// Without TLS.
    pub(crate) address: SocketAddr,
    /// With TLS, where the settings have it.
    pub(crate) tls_address: SocketAddr,
    pub(crate) metrics_address: SocketAddr,
    pub(crate) clock: Clock,
    pub(crate) config: Config,
    pub(crate) folder: Arc<TempDir>,
    pub(crate) store: Store,
    pub(crate) keyring: Arc<Keyring>,
    /// Scope `checks`.
    pub(crate) hotel: TestClient,
    /// Scope `registry`.
    pub(crate) police: TestClient,
    http: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    ended: Option<oneshot::Receiver<()>>,
}

/// The settings of a test node in a folder.
pub(crate) fn config_in(folder: &TempDir) -> Config {
    let data = folder.path().join("data");
    let mut overrides = Overrides::default()
        .set_path("data", &data)
        .set("listen", "127.0.0.1:0")
        .set("metrics_listen", "127.0.0.1:0")
        .set("public_url", ISSUER)
        .set("workers", "2");
    for (key, url) in [("database_url", backend::database_url(&data)), ("redis_url", backend::redis_url())] {
        overrides = url.into_iter().fold(overrides, |overrides, url| overrides.set(key, url));
    }
    let mut config = Config::load(None, overrides).unwrap();
    config.drain_seconds = 0;
    config.registry.poll_ms = 25;
    // A machine that runs many tests at once is slow now and then; what a slow store does is told by `tests/faults`.
    (config.store.acquire_timeout_ms, config.registry.store_timeout_ms) = (5000, 5000);
    config.overload.workshop_wait_ms = 5000;
    // What Redis was asked and did not answer in time is spent: counts would differ by chance.
    config.redis.timeout_ms = 1000;
    // Tests ask about many numbers; those of `numbers.rs` enforce.
    config.limits.numbers_mode = Some(NumbersMode::Observe);
    config
}

impl TestApp {
    pub(crate) async fn spawn() -> Self {
        Self::spawn_with(|_| {}).await
    }

    /// A sandbox, which has every operation.
    pub(crate) async fn spawn_sandbox() -> Self {
        Self::spawn_with(|config| config.sandbox = true).await
    }

    /// A node whose settings differ from the defaults.
    pub(crate) async fn spawn_with(tweak: impl FnOnce(&mut Config)) -> Self {
        Self::spawn_at(Clock::fixed_now(), tweak).await
    }

    /// The same by another clock: where leases must run out by themselves, time cannot stand still.
    pub(crate) async fn spawn_at(clock: Clock, tweak: impl FnOnce(&mut Config)) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let mut config = config_in(&folder);
        tweak(&mut config);
        let (store, keyring, _) = node::open(&config).await.unwrap();
        let hotel = new_client(&store, &clock, "certifying", "checks", None).await;
        let police = new_client(&store, &clock, "registrar", "registry", None).await;
        let mut node = Self::start(folder, config, clock, store, keyring, hotel, police).await;
        node.hotel.token = node.token_for(&node.hotel).await;
        node.police.token = node.token_for(&node.police).await;
        node
    }

    /// A second node on this one's folder and clock, as in a rolling restart.
    pub(crate) async fn sibling(&self) -> Self {
        self.sibling_with(|_| {}).await
    }

    /// The same with other settings.
    pub(crate) async fn sibling_with(&self, tweak: impl FnOnce(&mut Config)) -> Self {
        let mut config = self.config.clone();
        tweak(&mut config);
        let (store, keyring, _) = node::open(&config).await.unwrap();
        let (hotel, police) = (self.hotel.clone(), self.police.clone());
        let (folder, clock) = (Arc::clone(&self.folder), self.clock.clone());
        Self::start(folder, config, clock, store, keyring, hotel, police).await
    }

    /// Stops the node, lets its folder be changed, and starts another on it.
    pub(crate) async fn restart(self, change: impl AsyncFnOnce(&mut Config)) -> Self {
        let (folder, mut config, clock) = (Arc::clone(&self.folder), self.config.clone(), self.clock.clone());
        let (hotel, police) = (self.hotel.clone(), self.police.clone());
        self.store.close().await;
        self.stop().await;
        change(&mut config).await;
        let (store, keyring, _) = node::open(&config).await.unwrap();
        Self::start(folder, config, clock, store, keyring, hotel, police).await
    }

    async fn start(
        folder: Arc<TempDir>,
        config: Config,
        clock: Clock,
        store: Store,
        keyring: Arc<Keyring>,
        hotel: TestClient,
        police: TestClient,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (started, start) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let (node_config, node_clock) = (config.clone(), clock.clone());
        // A runtime of its own: the node must continue while a test blocks its thread, and end when the test does.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let node = Application::build(&node_config, node_clock).await.unwrap();
                let plain = node.plain_address().unwrap_or_else(|| node.address());
                started.send((plain, node.address(), node.metrics_address())).unwrap();
                let stop = async {
                    let _ = stopped.await;
                };
                node.run_until_stopped(stop).await.unwrap();
            });
            let _ = end.send(());
        });
        let (address, tls_address, metrics_address) = start.await.expect("the node starts");
        Self {
            address,
            tls_address,
            metrics_address,
            clock,
            config,
            folder,
            store,
            keyring,
            hotel,
            police,
            http: http_client().build().unwrap(),
            stop: Some(stop),
            ended: Some(ended),
        }
    }

    /// Tells the node to drain and to end.
    pub(crate) fn begin_stop(&mut self) {
        drop(self.stop.take());
    }

    /// Stops the node and waits until it has.
    pub(crate) async fn stop(mut self) {
        // Connections that are kept for reuse would hold the node up.
        self.http = http_client().build().unwrap();
        self.begin_stop();
        let _ = self.ended.take().unwrap().await;
    }

    /// Another client, of an organization of its own, whose kind may have the scopes.
    pub(crate) async fn add_client(&self, scopes: &str, rate: Option<&str>) -> TestClient {
        let wanted = Scopes::parse(scopes).unwrap();
        let kind = OrganizationKind::ALL.iter().find(|kind| kind.forbidden(wanted).is_empty());
        let kind = kind.unwrap_or_else(|| panic!("no kind of organization may have the scopes {scopes}")).as_str();
        let mut client = new_client(&self.store, &self.clock, kind, scopes, rate).await;
        client.token = self.token_for(&client).await;
        client
    }

    /// Another client, of an organization of its own of this kind.
    pub(crate) async fn add_client_of_kind(&self, kind: OrganizationKind, scopes: &str) -> TestClient {
        let mut client = new_client(&self.store, &self.clock, kind.as_str(), scopes, None).await;
        client.token = self.token_for(&client).await;
        client
    }

    /// Another client of an organization that exists.
    pub(crate) async fn add_client_of(&self, organization: OrganizationId, scopes: &str) -> TestClient {
        let mut client = insert_client(&self.store, &self.clock, organization, scopes, None).await;
        client.token = self.token_for(&client).await;
        client
    }

    pub(crate) async fn token_for(&self, client: &TestClient) -> String {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &client.client_id.to_string()),
            ("client_secret", &client.secret),
        ];
        let answer = self.ask_token(&form).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn ask_token(&self, form: &[(&str, &str)]) -> Answer {
        self.send(self.request("POST", "/oauth2/token").form(form)).await
    }

    pub(crate) async fn check(&self, body: &Value) -> Answer {
        self.post(&self.hotel.token, "/v1/checks", body).await
    }

    /// The verdict on a card, as far as its start of validity was read.
    pub(crate) async fn verdict(&self, number: &str, card_valid_from: Option<&str>) -> String {
        let answer = self.check(&check_of(number, card_valid_from)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["verdict"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn check_batch(&self, checks: &[Value]) -> Answer {
        self.post(&self.hotel.token, "/v1/checks/batch", &json!({ "checks": checks })).await
    }

    pub(crate) async fn verify_receipt(&self, body: &Value) -> Answer {
        self.post(&self.hotel.token, "/v1/receipts/verify", body).await
    }

    pub(crate) async fn report(&self, body: &Value) -> Answer {
        self.post(&self.police.token, "/v1/loss-reports", body).await
    }

    /// Files a report and returns it.
    pub(crate) async fn report_lost(&self, number: &str, card_valid_from: Option<&str>) -> Value {
        let answer = self.report(&report_of(number, card_valid_from)).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()
    }

    /// Files a report under an `Idempotency-Key`.
    pub(crate) async fn report_once(&self, key: &str, body: &Value) -> Answer {
        let request = self.request("POST", "/v1/loss-reports").header("Idempotency-Key", key).json(body);
        self.send(request.bearer_auth(&self.police.token)).await
    }

    pub(crate) async fn read_report(&self, report_id: &str) -> Answer {
        self.get(&self.police.token, &format!("/v1/loss-reports/{report_id}")).await
    }

    pub(crate) async fn search(&self, number: &str) -> Answer {
        self.post(&self.police.token, "/v1/loss-reports/search", &json!({ "id_number": number })).await
    }

    pub(crate) async fn withdraw(&self, report_id: &str) -> Answer {
        let path = format!("/v1/loss-reports/{report_id}/withdrawal");
        self.post(&self.police.token, &path, &json!({"office": "110105-03", "reason": "found"})).await
    }

    pub(crate) async fn replace(&self, number: &str, card_valid_from: &str) -> Answer {
        let body = json!({"id_number": number, "card_valid_from": card_valid_from, "office": "110105-03"});
        self.post(&self.police.token, "/v1/replacements", &body).await
    }

    pub(crate) async fn metrics(&self) -> String {
        self.http.get(format!("http://{}/metrics", self.metrics_address)).send().await.unwrap().text().await.unwrap()
    }

    /// The value of a counter or gauge; 0 where it was never counted.
    pub(crate) async fn metric(&self, name_and_labels: &str) -> u64 {
        let metrics = self.metrics().await;
        let value = |line: &str| line.strip_prefix(name_and_labels)?.strip_prefix(' ')?.parse().ok();
        metrics.lines().find_map(value).unwrap_or(0)
    }

    pub(crate) async fn post(&self, token: &str, path: &str, body: &Value) -> Answer {
        self.send(self.request("POST", path).bearer_auth(token).json(body)).await
    }

    /// Sends what is to change of an object.
    pub(crate) async fn patch(&self, token: &str, path: &str, body: &Value) -> Answer {
        let request = self.request("PATCH", path).header("Content-Type", "application/merge-patch+json");
        self.send(request.bearer_auth(token).body(body.to_string())).await
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Answer {
        let request = self.request("GET", path);
        self.send(if token.is_empty() { request } else { request.header(AUTHORIZATION, format!("Bearer {token}")) })
            .await
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method.parse().unwrap(), format!("http://{}{path}", self.address))
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        Answer::read(request.send().await.unwrap()).await
    }

    /// Holds every writer of the store up until it is dropped. With PostgreSQL only a change takes the lock that orders them.
    pub(crate) async fn hold_writers(&self) -> WriteTx {
        let mut tx = begin(&self.store).await;
        tx.record_change(ChangeKind::Organization, &[]).await.unwrap();
        tx
    }

    /// The URL of the node's database.
    pub(crate) fn store_url(&self) -> String {
        backend::database_url(&self.config.data)
            .unwrap_or_else(|| format!("sqlite:{}", self.config.data.join("lostcard.db").display()))
    }

    /// A change of the store, made as another process would make it.
    pub(crate) async fn change_store(&self, change: impl AsyncFnOnce(&mut WriteTx)) {
        let mut tx = begin(&self.store).await;
        change(&mut tx).await;
        tx.commit().await.unwrap();
    }
}

/// A transaction as another process would have it: it waits for others as long as it must.
async fn begin(store: &Store) -> WriteTx {
    let mut begun = store.begin().await;
    for _ in 0..10 {
        if begun.as_ref().is_err_and(StoreError::is_passing) {
            begun = store.begin().await;
        }
    }
    begun.unwrap()
}

/// An organization with one client and its secret, stored the way the command line does; its token is still to be got.
async fn new_client(store: &Store, clock: &Clock, kind: &str, scopes: &str, rate: Option<&str>) -> TestClient {
    let (name, region) = (OrganizationName::parse("Harbour Office").unwrap(), RegionCode::parse("110105").unwrap());
    let kind = OrganizationKind::parse(kind).unwrap();
    let mut organization = Organization::new(random::id(clock.now_ms()), name, kind, region, clock.now_ms());
    // Offices all over the country: `offices.rs` tries what an organization's own are.
    organization.offices = Offices::parse("1 2 3 4 5 6", false).unwrap();
    let mut tx = begin(store).await;
    tx.insert_organization(&organization).await.unwrap();
    tx.commit().await.unwrap();
    insert_client(store, clock, organization.organization_id, scopes, rate).await
}

async fn insert_client(
    store: &Store,
    clock: &Clock,
    organization: OrganizationId,
    scopes: &str,
    rate: Option<&str>,
) -> TestClient {
    let (now_ms, secret) = (clock.now_ms(), base64url(&random::bytes::<32>()));
    let rate = rate.map(|rate| Rate::parse(rate).unwrap());
    let client =
        Client { rate, ..Client::new(random::id(now_ms), organization, Scopes::parse(scopes).unwrap(), now_ms) };
    let proof = Proof::SecretHash(hash_secret(&secret.clone().into()));
    let mut tx = begin(store).await;
    tx.insert_client(&client).await.unwrap();
    tx.add_proof(client.client_id, random::id(now_ms), &proof, now_ms).await.unwrap();
    tx.commit().await.unwrap();
    TestClient { organization, client_id: client.client_id, secret, token: String::new() }
}
