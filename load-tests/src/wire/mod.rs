//! The HTTP/1.1 client: where to connect, non-blocking connections, the
//! response reader, one blocking exchange, and what an answer says.
//! Invariants: loopback only; one request at a time on a connection; no
//! buffer grows beyond its bound.

mod answer;
mod exchange;
mod link;
mod reader;
mod target;
mod token;
mod watched;

pub(crate) use answer::{VERDICTS, VerdictCounts, check_fully, count_verdicts};
pub(crate) use exchange::{get, get_status, post};
pub(crate) use link::{Link, Received};
pub(crate) use reader::Reader;
pub(crate) use target::Target;
pub(crate) use token::{Credentials, access_token};
pub(crate) use watched::Watched;
