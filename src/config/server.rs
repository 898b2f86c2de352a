//! `[server]`: how connections are served.

use super::setting::section;

section! {
    /// How connections are served.
    Server in "server." {
        /// The short way of a check, below the HTTP server. Answers are the same without it, and cost more.
        lane: bool = true;
    }
}
