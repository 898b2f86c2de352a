//! The servers that one URL names, and which of them is the primary: the only one that this service reads and writes. A standby is
//! none, and neither is a server that has not seen the last promotion this process knows of: an old primary that comes back.

use std::io::ErrorKind;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AnyConnection, Connection, Row};
use tokio::time::timeout;

use super::error::{Silence, StoreError};
use super::schema::Dialect;
use crate::clock::Clock;
use crate::domain::redacted::DatabaseUrl;

/// What a URL may say that it wants, as `libpq` has it: the service wants nothing else.
const WANTED: [&str; 2] = ["target_session_attrs=read-write", "target_session_attrs=primary"];
/// How long a server may take to say good-bye.
const CLOSE_MAX: Duration = Duration::from_millis(250);

/// Whether a server takes writes, and on which timeline: each promotion begins a new one. A standby has none.
const TIMELINE: &str = "SELECT CASE WHEN pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' \
     THEN NULL ELSE CAST(substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS TEXT) END AS timeline";

/// The servers of a URL.
#[derive(Debug)]
pub(super) struct Hosts {
    urls: Vec<DatabaseUrl>,
    /// The one in use.
    at: AtomicUsize,
    /// The newest timeline that one of them was seen on.
    timeline: AtomicU32,
    /// When another one was taken, in boot time: connections that are older are to the one before.
    taken_ns: AtomicU64,
}

/// What a server is just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Primary { timeline: u32 },
    Standby,
    Silent(Silence),
}

impl Hosts {
    pub(super) fn of(url: &DatabaseUrl, dialect: Dialect) -> Result<Self, StoreError> {
        let urls = match dialect {
            Dialect::Sqlite => vec![url.clone()],
            Dialect::Postgres => each(url.expose())?.into_iter().map(DatabaseUrl::from).collect(),
        };
        Ok(Self { urls, at: AtomicUsize::new(0), timeline: AtomicU32::new(0), taken_ns: AtomicU64::new(0) })
    }

    /// The primary of a URL that may name several servers, for a connection of its own.
    pub(super) async fn primary_of(url: &DatabaseUrl, within: Duration) -> Result<DatabaseUrl, StoreError> {
        let hosts = Self::of(url, Dialect::Postgres)?;
        if hosts.are_several() {
            sqlx::any::install_default_drivers();
            hosts.look(within).await?;
        }
        Ok(hosts.current().clone())
    }

    /// The one in use.
    pub(super) fn current(&self) -> &DatabaseUrl {
        &self.urls[self.at.load(Ordering::Acquire)]
    }

    pub(super) fn are_several(&self) -> bool {
        self.urls.len() > 1
    }

    /// For people: host and port of each, or the socket.
    pub(super) fn addresses(&self) -> String {
        let addresses: Vec<_> = self.urls.iter().filter_map(|url| address_of(url.expose())).collect();
        addresses.join(", ")
    }

    /// The same of the one in use.
    pub(super) fn address(&self) -> String {
        address_of(self.current().expose()).unwrap_or_default()
    }

    /// Asks all of them at once. True where the primary is a different one from before. What one of them fails by, a name that is gone or a
    /// login that is refused, keeps nobody from the others.
    pub(super) async fn look(&self, within: Duration) -> Result<bool, StoreError> {
        let asked = self.urls.iter().map(|url| standing(url, within));
        let mut standings = join_all(asked).await;
        let known = self.timeline.load(Ordering::Acquire);
        let primaries = standings.iter().enumerate().filter_map(|(at, standing)| match standing {
            Ok(Standing::Primary { timeline }) => Some((*timeline, at)),
            Ok(Standing::Standby | Standing::Silent(_)) | Err(_) => None,
        });
        // Of two on the newest timeline, which no promotion makes, the one in use stays.
        let in_use = self.at.load(Ordering::Acquire);
        let newest = primaries.max_by_key(|(timeline, at)| (*timeline, *at == in_use));
        let Some((timeline, at)) = newest.filter(|(timeline, _)| *timeline >= known) else {
            if newest.is_some() {
                tracing::warn!("a server that was a primary before the last promotion takes writes: stop it");
                return Err(StoreError::ReadOnly);
            }
            return match standings.swap_remove(in_use)? {
                Standing::Silent(how) => Err(StoreError::Dead { address: self.address(), how }),
                Standing::Primary { .. } | Standing::Standby => Err(StoreError::ReadOnly),
            };
        };
        self.timeline.store(timeline, Ordering::Release);
        let is_other = at != in_use;
        if is_other {
            self.at.store(at, Ordering::Release);
            self.taken_ns.store(Clock::System.boot_ns(), Ordering::Release);
        }
        Ok(is_other)
    }

    /// Whether a connection of this age is to the server in use.
    pub(super) fn is_to_current(&self, age: Duration) -> bool {
        let taken_ns = self.taken_ns.load(Ordering::Acquire);
        let since_ns = Clock::System.boot_ns().saturating_sub(taken_ns);
        taken_ns == 0 || age.as_nanos() <= u128::from(since_ns)
    }

    /// Judges a new connection: a standby, or an old primary, is left at once.
    pub(super) async fn accept(&self, connection: &mut AnyConnection) -> sqlx::Result<()> {
        let timeline: Option<String> = sqlx::query(TIMELINE).fetch_one(connection).await?.try_get("timeline")?;
        self.judge(timeline.as_deref())
    }

    /// The same of one of PostgreSQL's own.
    pub(super) async fn accept_own(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let timeline: Option<String> = sqlx::query(TIMELINE).fetch_one(connection).await?.try_get("timeline")?;
        self.judge(timeline.as_deref())
    }

    fn judge(&self, timeline: Option<&str>) -> sqlx::Result<()> {
        if self.may_use(timeline) {
            return Ok(());
        }
        Err(sqlx::Error::Protocol("the server is not the primary, or one of before the last promotion".to_owned()))
    }

    fn may_use(&self, timeline: Option<&str>) -> bool {
        let timeline = timeline.and_then(number_of);
        timeline.is_some_and(|timeline| timeline >= self.timeline.load(Ordering::Acquire))
    }
}

async fn standing(url: &DatabaseUrl, within: Duration) -> Result<Standing, StoreError> {
    let asked = async {
        let mut connection = AnyConnection::connect(url.expose()).await?;
        let timeline =
            sqlx::query(TIMELINE).fetch_one(&mut connection).await?.try_get::<Option<String>, _>("timeline")?;
        let _ = timeout(CLOSE_MAX, connection.close()).await;
        Ok::<_, sqlx::Error>(timeline)
    };
    match timeout(within, asked).await {
        Err(_) => Ok(Standing::Silent(Silence::Hung)),
        Ok(Ok(timeline)) => {
            let primary = timeline.as_deref().and_then(number_of).map(|timeline| Standing::Primary { timeline });
            Ok(primary.unwrap_or(Standing::Standby))
        }
        Ok(Err(error)) => match silence_of(&error) {
            Some(silence) => Ok(Standing::Silent(silence)),
            // It starts or stops, or has no connection to spare: PostgreSQL, appendix A, classes 57 and 53.
            None => match error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() {
                Some(code) if code.starts_with("57") || code.starts_with("53") => Ok(Standing::Silent(Silence::Closed)),
                _ => Err(error.into()),
            },
        },
    }
}

/// Eight hexadecimal digits, as they begin the names of its files.
fn number_of(timeline: &str) -> Option<u32> {
    u32::from_str_radix(timeline, 16).ok()
}

/// What of a failure is the server's silence. A certificate that is refused, or a name that nobody knows, is not.
pub(super) fn silence_of(error: &sqlx::Error) -> Option<Silence> {
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

fn address_of(url: &str) -> Option<String> {
    let options = PgConnectOptions::from_str(url).ok()?;
    Some(match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    })
}

/// A URL for each host of one that names several, divided by commas as `libpq` has them; what they want is said once and for all.
fn each(url: &str) -> Result<Vec<String>, StoreError> {
    let (scheme, rest) = url.split_once("://").ok_or(StoreError::UnknownUrl)?;
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, hosts) = authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    let parts: Vec<_> = query.into_iter().flat_map(|query| query.split('&')).collect();
    let is_wish = |part: &&&str| part.starts_with("target_session_attrs=");
    if parts.iter().filter(is_wish).any(|part| !WANTED.contains(part)) {
        return Err(StoreError::UnknownUrl);
    }
    let kept: Vec<_> = parts.iter().filter(|part| !is_wish(part)).copied().collect();
    let kept = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
    let at = if authority.contains('@') { "@" } else { "" };
    let of = |host: &str| format!("{scheme}://{user}{at}{host}{path}{kept}");
    Ok(hosts.split(',').map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_one_server_or_several() {
        for (url, expected) in [
            ("postgres://db/lostcard", &["postgres://db/lostcard"] as &[&str]),
            ("postgres:///lostcard?host=/run/postgresql", &["postgres:///lostcard?host=/run/postgresql"]),
            (
                "postgres://u:p%40@one:5432,two:5433/lostcard?sslmode=verify-full&target_session_attrs=read-write",
                &[
                    "postgres://u:p%40@one:5432/lostcard?sslmode=verify-full",
                    "postgres://u:p%40@two:5433/lostcard?sslmode=verify-full",
                ],
            ),
            (
                "postgresql://[::1]:5432,two?target_session_attrs=primary",
                &["postgresql://[::1]:5432", "postgresql://two"],
            ),
        ] {
            assert_eq!(each(url).unwrap(), expected, "{url}");
        }
        for url in ["postgres:one", "postgres://one,two/x?target_session_attrs=any"] {
            assert!(matches!(each(url), Err(StoreError::UnknownUrl)), "{url}");
        }
    }

    fn hosts() -> Hosts {
        Hosts::of(&DatabaseUrl::from("postgres://one,two/x".to_owned()), Dialect::Postgres).unwrap()
    }

    #[test]
    fn a_server_that_missed_a_promotion_is_not_used() {
        let hosts = hosts();
        assert!(hosts.may_use(Some("00000001")));
        hosts.timeline.store(2, Ordering::Release);
        let may_use =
            [None, Some("00000001"), Some("00000002"), Some("0000000A"), Some("x")].map(|it| hosts.may_use(it));
        assert_eq!(may_use, [false, false, true, true, false]);
    }

    #[test]
    fn connections_of_before_are_not_to_the_server_in_use() {
        let hosts = hosts();
        assert!(hosts.is_to_current(Duration::from_hours(1)));
        hosts.taken_ns.store(Clock::System.boot_ns() - 2_000_000_000, Ordering::Release);
        assert!(hosts.is_to_current(Duration::from_secs(1)) && !hosts.is_to_current(Duration::from_secs(3)));
    }
}
