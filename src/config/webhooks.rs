//! `[webhooks]`: sending of webhooks.

use super::setting::section;

section! {
    /// Sending of webhooks.
    Webhooks in "webhooks." {
        /// How often a node looks for deliveries that are due.
        poll_ms: u64 = 1000, unit("ms"), within(10..=60_000);
        /// What an endpoint may take for its answer, from the look-up of its name on.
        timeout_ms: u64 = 15_000, unit("ms"), within(100..=60_000);
        /// Ports of endpoints beside 443 and 8443.
        ports: Vec<u16> = Vec::new(), unit("list of ports");
        /// Endpoints on this machine, by plain HTTP, are sent to: for tests of receivers alone.
        insecure_loopback_for_tests: bool = false;
    }
}
