//! Servers that all tests of a binary share. A static is never dropped, so a shell watches over them: when this process is
//! gone, however it ended, the shell's input ends, and it ends the server and removes its folder.

use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use super::postgres::Postgres;
use super::redis::Redis;

/// The binary's PostgreSQL server. A test takes a database of its own: [`Postgres::create_database`].
pub(crate) fn postgres() -> &'static Postgres {
    static SERVER: OnceLock<(Postgres, Child)> = OnceLock::new();
    let (server, _) = SERVER.get_or_init(|| {
        // Durability is tested where a server crashes; this one lives as long as its tests.
        let server = Postgres::start_with(&[("fsync", "off")]);
        let watch = watch("QUIT", server.id(), server.folder());
        (server, watch)
    });
    server
}

/// The binary's Redis server. Its tests must not disturb each other: no flushing here.
pub(crate) fn redis() -> &'static Redis {
    static SERVER: OnceLock<(Redis, Child)> = OnceLock::new();
    let (server, _) = SERVER.get_or_init(|| {
        let server = Redis::start();
        let watch = watch("TERM", server.id(), server.folder());
        (server, watch)
    });
    server
}

fn watch(signal: &str, id: u32, folder: &std::path::Path) -> Child {
    const SCRIPT: &str =
        "trap '' INT TERM; cat >/dev/null; kill -s \"$0\" \"$1\"; sleep 1; kill -s KILL \"$1\"; rm -rf \"$2\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", SCRIPT, signal, &id.to_string()]).arg(folder);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}
