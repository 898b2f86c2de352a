//! `[traces]`: spans of requests, sent to a collector.

use super::setting::section;

section! {
    /// Spans of requests.
    Traces in "traces." {
        /// Where spans of requests are sent, by OTLP over HTTP (protobuf); none: no span is made.
        endpoint: Option<String> = None, unit("URL"), secret(),
            must(|url| url.as_deref().is_none_or(is_url), "`https://` or `http://`, a host and a path, as in `http://collector:4318/v1/traces`");
        /// One of so many requests has a span, where no caller has decided by `traceparent`.
        one_in: u32 = 100, unit("requests"), within(1..=1_000_000);
    }
}

fn is_url(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic()))
}
