//! `[audit]`: signed heads of the audit log, and where they go.

use std::path::PathBuf;

use super::setting::section;

section! {
    /// Signed heads of the audit log.
    Audit in "audit." {
        /// How often a node checks whether the audit log continues from where it saw it end, and signs how it ends.
        head_seconds: u64 = 60, unit("s"), within(1..=86_400);
        /// A file that gets each head as a line, on a disk that those who change the database do not reach.
        head_file: Option<PathBuf> = None, unit("file"), note("made if absent, with mode 0600");
        /// A collector of syslog (RFC 5424) that gets each head.
        head_syslog: Option<String> = None, unit("collector"), right_is("`udp://HOST:PORT`, `tcp://HOST:PORT` or `unix:PATH`");
        /// A URL that gets each head by POST.
        head_webhook: Option<String> = None, unit("URL"), secret(),
            right_is("`https://`, or `http://` on this machine; no user name, no fragment");
    }
}
