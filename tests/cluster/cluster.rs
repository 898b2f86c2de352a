//! A cluster for a test: one PostgreSQL, one Redis, nodes with the same keys, and clients without a limit that a test could
//! reach. It ends with its value.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;

use serde_json::Value;
use tempfile::TempDir;

use crate::member::{Member, binary};
use crate::oracle::Oracle;
use crate::servers::postgres::Postgres;
use crate::servers::process::run;
use crate::servers::proxy::Proxy;
use crate::servers::redis::Redis;
use crate::tally::lock;
use crate::wire::Link;

/// By this name all nodes know themselves, so that one token is good for all.
const PUBLIC_URL: &str = "http://lostcard.test";
const RATE: &str = "100000000/1s";

/// Access tokens, good at every node.
#[derive(Debug)]
pub(crate) struct Tokens {
    pub(crate) checks: String,
    pub(crate) registry: String,
}

pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Member>,
    pub(crate) tokens: Tokens,
    /// The database, past all proxies.
    pub(crate) database_url: String,
    pub(crate) postgres: Mutex<Postgres>,
    pub(crate) redis: Mutex<Redis>,
    _folder: TempDir,
}

impl Cluster {
    /// Starts everything and waits until all nodes are ready.
    pub(crate) fn start(nodes: usize) -> Self {
        let postgres = Postgres::start();
        let database_url = postgres.create_database();
        Self::start_on(nodes, postgres, &database_url, |proxy| proxy.url(&database_url))
    }

    /// The same on a server that is there. `reached_by` says by which URL a node reaches it, given its proxy.
    pub(crate) fn start_on(
        nodes: usize,
        postgres: Postgres,
        database_url: &str,
        reached_by: impl Fn(&Proxy) -> String,
    ) -> Self {
        let folder = TempDir::new().unwrap();
        let redis = Redis::start_with(&["--maxmemory-policy", "allkeys-lru"]);
        let clients = ["checks", "registry"].map(|scope| register(folder.path(), database_url, scope));
        let member = |index| {
            let (to_postgres, to_redis) = (Proxy::start(postgres.address()), Proxy::start(redis.address()));
            let variables = [
                ("LOSTCARD_DATABASE_URL", reached_by(&to_postgres)),
                ("LOSTCARD_REDIS_URL", to_redis.url(&redis.url())),
                ("LOSTCARD_KEYS", folder.path().join("keys").to_string_lossy().into_owned()),
                ("LOSTCARD_PUBLIC_URL", PUBLIC_URL.to_owned()),
                ("LOSTCARD_TOKENS__LIFETIME_SECONDS", "3600".to_owned()),
                ("LOSTCARD_DRAIN_SECONDS", "1".to_owned()),
                ("LOSTCARD_WORKERS", "2".to_owned()),
                ("LOSTCARD_LOG", "warn".to_owned()),
            ];
            let variables = variables.map(|(name, value)| (name.to_owned(), value)).to_vec();
            Member::new(folder.path().join(format!("node-{index}")), to_postgres, to_redis, variables)
        };
        let nodes: Vec<_> = (0..nodes).map(member).collect();
        std::thread::scope(|scope| nodes.iter().for_each(|node| drop(scope.spawn(|| node.start()))));
        let [checks, registry] = clients.map(|client| token(nodes[0].address().unwrap(), &client));
        let (postgres, redis) = (Mutex::new(postgres), Mutex::new(redis));
        let database_url = database_url.to_owned();
        Self { nodes, tokens: Tokens { checks, registry }, database_url, postgres, redis, _folder: folder }
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().filter_map(Member::address).collect()
    }

    pub(crate) fn wait_until_ready(&self) {
        self.nodes.iter().for_each(Member::wait_until_ready);
    }

    /// Fails with what the oracle has to say, and with the ends of the logs.
    pub(crate) fn assert_content(&self, oracle: &Oracle) {
        if oracle.has_failed() {
            for (index, node) in self.nodes.iter().enumerate() {
                eprintln!("end of the log of node {index}:\n{}", node.log_end());
            }
        }
        oracle.assert_content();
    }

    /// The output of a statement, as `psql` prints it, whatever the proxies do.
    pub(crate) fn query(&self, statement: &str) -> String {
        let _server = lock(&self.postgres);
        crate::servers::postgres::query(&self.database_url, statement)
    }
}

/// Makes an organization with one client; returns id and secret.
fn register(folder: &Path, database_url: &str, scope: &str) -> (String, String) {
    let command = |arguments: &[&str]| -> Value {
        let mut command = binary();
        command.arg("--data").arg(folder.join("operator")).arg("--keys").arg(folder.join("keys"));
        command.args(["--database-url", database_url]).args(arguments).args(["--rate", RATE, "--json"]);
        serde_json::from_str(&run(&mut command)).unwrap()
    };
    let kind = if scope == "registry" { "registrar" } else { "certifying" };
    let organization = ["organization", "create", "--name", "Test", "--kind", kind, "--region", "110105"];
    // The reports of a sample are made at offices all over the country.
    let offices: Vec<_> =
        ["1", "2", "3", "4", "5", "6", "7", "8"].iter().flat_map(|begins| ["--office", begins]).collect();
    let organization = command(&[&organization[..], &offices].concat());
    let organization = organization["organization_id"].as_str().unwrap();
    let client = command(&["client", "create", "--organization", organization, "--scope", scope]);
    let text = |name: &str| client[name].as_str().unwrap().to_owned();
    (text("client_id"), text("client_secret"))
}

fn token(address: SocketAddr, (id, secret): &(String, String)) -> String {
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let head = "POST /oauth2/token HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let mut link = Link::default();
    let answer = link.ask(address, &format!("{head}Content-Length: {}\r\n\r\n{form}", form.len())).unwrap();
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(link.body()));
    let token: Value = serde_json::from_slice(link.body()).unwrap();
    token["access_token"].as_str().unwrap().to_owned()
}
