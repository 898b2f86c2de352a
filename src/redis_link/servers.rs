//! Which servers a URL names, and how each kind is connected to: one server, a cluster, or the primary that sentinels name. Waits as
//! long as it takes: the caller has the deadline.

use std::fmt;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, IntoConnectionInfo, Pipeline, RedisError, RedisFuture, RedisResult,
    Value,
};
use tokio::time::timeout;

/// How long connecting may take. It continues without the call that asked for it.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long one sentinel may take to say which server is the primary.
const SENTINEL_TIMEOUT: Duration = Duration::from_millis(250);

/// The URL names no servers that can be asked. Says nothing of the URL: it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error(
    "redis_url must be redis://, rediss:// or valkey://[user:password@]host[:port][/db], or redis-cluster:// with several host:port, \
     or redis-sentinel:// with several host:port and /name"
)]
pub struct RedisUrlError;

/// A connection, shared by all calls of a runtime.
#[derive(Clone)]
pub enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

pub(super) enum Servers {
    Single(Box<Client>),
    Cluster { all: Box<ClusterClient>, each: Vec<Client> },
    Sentinels(Sentinels),
}

/// Those who know which of some servers is the primary.
pub(super) struct Sentinels {
    each: Vec<Client>,
    /// By which they know the servers.
    name: String,
    /// The URL of the primary, but for host and port: what goes before them, and after.
    around: (String, String),
}

/// Whether a URL names servers that a link can be made to.
pub fn is_redis_url(url: &str) -> bool {
    Servers::parse(url, CONNECT_TIMEOUT).is_ok()
}

impl Servers {
    pub(super) fn parse(url: &str, call_timeout: Duration) -> Result<Self, RedisUrlError> {
        // A fragment would ask for TLS without a look at the certificate.
        let (scheme, rest) = url.split_once("://").filter(|_| !url.contains('#')).ok_or(RedisUrlError)?;
        match scheme {
            "redis" | "rediss" | "valkey" | "valkeys" => return open(url).map(Box::new).map(Self::Single),
            "redis-cluster" | "rediss-cluster" | "redis-sentinel" | "rediss-sentinel" => {}
            _ => return Err(RedisUrlError),
        }
        let (scheme, kind) = scheme.split_once('-').ok_or(RedisUrlError)?;
        let (user, rest) = rest.rsplit_once('@').map_or(("", rest), |(user, rest)| (user, rest));
        let user = if user.is_empty() { String::new() } else { format!("{user}@") };
        if kind == "sentinel" {
            return Sentinels::parse(scheme, &user, rest).map(Self::Sentinels);
        }
        let each = rest.trim_end_matches('/').split(',').map(|host| open(&format!("{scheme}://{user}{host}")));
        let each = each.collect::<Result<Vec<_>, _>>()?;
        let all = ClusterClient::builder(each.iter().map(|client| client.get_connection_info().clone()))
            .retries(0)
            .connection_timeout(CONNECT_TIMEOUT)
            .response_timeout(call_timeout)
            .tcp_settings(at_once())
            .build();
        Ok(Self::Cluster { all: Box::new(all.map_err(|_| RedisUrlError)?), each })
    }

    pub(super) async fn connect(&self) -> RedisResult<Connection> {
        match self {
            Self::Single(client) => single(client).await,
            Self::Cluster { all, .. } => all.get_async_connection().await.map(Connection::Cluster),
            Self::Sentinels(sentinels) => single(&sentinels.primary().await?).await,
        }
    }

    /// Where one may subscribe: any one of these will do.
    pub(super) async fn to_subscribe_at(&self) -> RedisResult<Vec<Client>> {
        match self {
            Self::Single(client) => Ok(vec![Client::clone(client)]),
            Self::Cluster { each, .. } => Ok(each.clone()),
            Self::Sentinels(sentinels) => Ok(vec![sentinels.primary().await?]),
        }
    }
}

impl Sentinels {
    fn parse(scheme: &str, user: &str, rest: &str) -> Result<Self, RedisUrlError> {
        let (hosts, path) = rest.split_once('/').ok_or(RedisUrlError)?;
        let (name, database) = path.split_once('/').unwrap_or((path, "0"));
        // Sentinels have no users of their own in most places, and get no password that is not theirs.
        let each = hosts.split(',').map(|host| open(&format!("{scheme}://{host}"))).collect::<Result<Vec<_>, _>>()?;
        let around = (format!("{scheme}://{user}"), format!("/{database}"));
        let is_known = !name.is_empty() && open(&format!("{}127.0.0.1{}", around.0, around.1)).is_ok();
        is_known.then(|| Self { each, name: name.to_owned(), around }).ok_or(RedisUrlError)
    }

    /// The primary as the first sentinel knows it that answers. Connections that were made before a failover fail or are refused their
    /// writes, which opens the breaker: who connects again asks again.
    async fn primary(&self) -> RedisResult<Client> {
        let mut failure = RedisError::from((ErrorKind::Io, "no sentinel answers"));
        for sentinel in &self.each {
            match timeout(SENTINEL_TIMEOUT, self.ask(sentinel)).await {
                Ok(Ok(client)) => return Ok(client),
                Ok(Err(error)) => failure = error,
                Err(_) => {}
            }
        }
        Err(failure)
    }

    async fn ask(&self, sentinel: &Client) -> RedisResult<Client> {
        let mut connection = single(sentinel).await?;
        let mut question = redis::cmd("SENTINEL");
        question.arg("get-master-addr-by-name").arg(&self.name);
        let (host, port): (String, u16) = question.query_async(&mut connection).await?;
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let client = client(&format!("{}{host}:{port}{}", self.around.0, self.around.1))?;
        // A sentinel that does not know of a failover yet names the server of before.
        let role: Vec<Value> = redis::cmd("ROLE").query_async(&mut single(&client).await?).await?;
        match role.first() {
            Some(Value::BulkString(role)) if role == b"master" => Ok(client),
            _ => Err(RedisError::from((ErrorKind::Io, "the sentinel names no primary"))),
        }
    }
}

async fn single(client: &Client) -> RedisResult<Connection> {
    // Deadlines are the callers' affair.
    let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    client.get_multiplexed_async_connection_with_config(&config).await.map(Connection::Single)
}

fn open(url: &str) -> Result<Client, RedisUrlError> {
    client(url).map_err(|_| RedisUrlError)
}

fn client(url: &str) -> RedisResult<Client> {
    Client::open(url.into_connection_info()?.set_tcp_settings(at_once()))
}

/// All calls share a connection: none waits until what another one sent is acknowledged (RFC 896).
fn at_once() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single(_) => "Connection(single)",
            Self::Cluster(_) => "Connection(cluster)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_one_server_a_cluster_or_sentinels() {
        for good in [
            "redis://127.0.0.1",
            "redis://:secret@cache.example:6380/3",
            "rediss://user:p%40ss@cache.example",
            "valkey://[::1]:6379",
            "redis-cluster://user:secret@one.example:7000,two.example:7001",
            "rediss-cluster://one.example:7000",
            "redis-sentinel://one.example:26379,two.example:26379/lostcard",
            "rediss-sentinel://user:secret@one.example:26379/lostcard/2",
        ] {
            assert!(is_redis_url(good), "{good}");
        }
        for bad in [
            "",
            "cache.example:6379",
            "http://cache.example",
            "unix:///run/redis.sock",
            "rediss://cache.example/#insecure",
            "redis://cache.example/zero",
            "redis-cluster://",
            "redis-cluster://one.example:7000,,",
            "redis-sentinel://one.example:26379",
            "redis-sentinel://one.example:26379/",
            "redis-sentinel://one.example:26379,,/lostcard",
            "redis-sentinel://one.example:26379/lostcard/zero",
            "valkey-cluster://one.example:7000",
        ] {
            assert!(!is_redis_url(bad), "{bad}");
        }
    }

    #[test]
    fn every_call_is_sent_at_once() {
        let clients = |url| match Servers::parse(url, CONNECT_TIMEOUT).ok().unwrap() {
            Servers::Single(client) => vec![*client],
            Servers::Cluster { all, each } => {
                let all = format!("{all:?}");
                assert!(all.contains("nodelay: true") && !all.contains("nodelay: false"), "{all}");
                each
            }
            Servers::Sentinels(sentinels) => {
                let primary = client(&format!("{}one.example{}", sentinels.around.0, sentinels.around.1)).unwrap();
                [sentinels.each, vec![primary]].concat()
            }
        };
        for url in [
            "redis://one.example",
            "redis-cluster://one.example:7000,two.example:7001",
            "redis-sentinel://one.example:26379/lostcard",
        ] {
            let all = clients(url);
            assert!(all.iter().all(|client| client.get_connection_info().tcp_settings().nodelay()), "{url}");
        }
    }

    #[test]
    fn sentinels_get_no_password() {
        let servers = Servers::parse("redis-sentinel://user:secret@one.example:26379/lostcard/2", CONNECT_TIMEOUT);
        let Ok(Servers::Sentinels(sentinels)) = servers else { panic!("these are sentinels") };
        let info = sentinels.each[0].get_connection_info().redis_settings();
        assert_eq!((info.username(), info.password()), (None, None));
        assert_eq!(sentinels.around, ("redis://user:secret@".to_owned(), "/2".to_owned()));
    }
}
