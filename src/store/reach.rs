//! Why the pool gave no connection in time. The pool says the same of connections that others hold and of a server that is gone:
//! here the server is asked once more, so that an operator is not sent to look for a lock where a server is dead.

use std::io::ErrorKind;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AnyConnection, Connection};
use tokio::time::timeout;

use super::error::{Silence, StoreError};
use super::schema::{self, Dialect};
use crate::domain::redacted::DatabaseUrl;

/// How long the server may take to answer the question; a caller has waited for a connection before.
const ANSWER_MAX: Duration = Duration::from_millis(250);

/// Where the store is, for asking whether it lives. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Reach(Arc<Server>);

#[derive(Debug)]
struct Server {
    url: DatabaseUrl,
    /// Host and port, or the socket: what may be told. None: the embedded store, which has no server.
    address: Option<String>,
    /// One asks for all; the others take what was last heard.
    asking: tokio::sync::Mutex<()>,
    heard: Mutex<Option<Silence>>,
}

impl Reach {
    pub(super) fn of(url: DatabaseUrl, dialect: Dialect) -> Self {
        let address = match dialect {
            Dialect::Sqlite => None,
            Dialect::Postgres => PgConnectOptions::from_str(url.expose()).ok().map(|options| address_of(&options)),
        };
        Self(Arc::new(Server { url, address, asking: tokio::sync::Mutex::default(), heard: Mutex::default() }))
    }

    /// Whether there is no server, but a file.
    pub(super) fn is_embedded(&self) -> bool {
        self.0.address.is_none()
    }

    /// Where it is, for people: without user and password.
    pub(super) fn place(&self) -> String {
        let url = self.0.url.expose();
        match &self.0.address {
            None => schema::file_of(url).map_or("memory".to_owned(), |path| path.display().to_string()),
            Some(address) => {
                let options = PgConnectOptions::from_str(url).ok();
                let database =
                    options.as_ref().and_then(|options| options.get_database()).unwrap_or("of the user's name");
                format!("PostgreSQL at {address}, database {database}")
            }
        }
    }

    /// Before the first connection: the pool would try a server that is dead for as long as it may try one that is slow.
    pub(super) async fn ask_first(&self, within: Duration) -> Result<(), StoreError> {
        let Some(address) = &self.0.address else { return self.ask_file(within).await };
        match ask(&self.0.url, within).await? {
            Some(how) => Err(StoreError::Dead { address: address.clone(), how }),
            None => Ok(()),
        }
    }

    /// A file that is no database, or cannot be opened, is found at once: the pool would try it again and again.
    async fn ask_file(&self, within: Duration) -> Result<(), StoreError> {
        let asked = async {
            let mut connection = AnyConnection::connect(self.0.url.expose()).await?;
            sqlx::query("PRAGMA schema_version").fetch_optional(&mut connection).await?;
            connection.close().await
        };
        match timeout(within, asked).await {
            Ok(answer) => Ok(answer?),
            // Slow, which the pool judges.
            Err(_) => Ok(()),
        }
    }

    /// What a failure to connect means. Only where the pool ran out of time is the server asked.
    pub(super) async fn why(&self, error: sqlx::Error) -> StoreError {
        let Some(address) = &self.0.address else { return error.into() };
        let dead = |how| StoreError::Dead { address: address.clone(), how };
        match &error {
            sqlx::Error::PoolTimedOut => {}
            other => return silence_of(other).map_or_else(|| error.into(), dead),
        }
        let silence = match self.0.asking.try_lock() {
            Ok(_asking) => match ask(&self.0.url, ANSWER_MAX).await {
                Ok(silence) => {
                    *self.0.heard.lock().unwrap_or_else(PoisonError::into_inner) = silence;
                    silence
                }
                Err(error) => return error,
            },
            Err(_) => *self.0.heard.lock().unwrap_or_else(PoisonError::into_inner),
        };
        silence.map_or(StoreError::Busy, dead)
    }
}

/// How the server does not answer; none if it does, and so is busy.
async fn ask(url: &DatabaseUrl, within: Duration) -> Result<Option<Silence>, StoreError> {
    match timeout(within, AnyConnection::connect(url.expose())).await {
        Err(_) => Ok(Some(Silence::Hung)),
        Ok(Ok(connection)) => {
            let _ = timeout(ANSWER_MAX, connection.close()).await;
            Ok(None)
        }
        Ok(Err(error)) => match (silence_of(&error), StoreError::from(error)) {
            (Some(silence), _) => Ok(Some(silence)),
            (None, StoreError::Busy) => Ok(None),
            (None, other) => Err(other),
        },
    }
}

/// What of a failure is the server's silence. A certificate that is refused, or a name that nobody knows, is not.
fn silence_of(error: &sqlx::Error) -> Option<Silence> {
    let sqlx::Error::Io(error) = error else { return None };
    match error.kind() {
        ErrorKind::ConnectionRefused => Some(Silence::Refused),
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => Some(Silence::Closed),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Some(Silence::Unreachable),
        ErrorKind::TimedOut => Some(Silence::Hung),
        _ => None,
    }
}

fn address_of(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}
