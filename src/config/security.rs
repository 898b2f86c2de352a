//! `[security]`: where to report a vulnerability.

use super::setting::section;

section! {
    /// Where to report a vulnerability, as `/.well-known/security.txt` says it.
    Security in "security." {
        /// Where to report a vulnerability; without it `security.txt` is not served.
        contact: Option<String> = None, unit("URI"),
            must(|contact| contact.as_deref().is_none_or(|contact| is_uri(contact, &["mailto:", "tel:", "https://"])), "`mailto:`, `tel:` or `https://`, without spaces");
        /// The page with the rules of disclosure.
        policy: Option<String> = None, unit("URL"), must(|policy| policy.as_deref().is_none_or(|policy| is_uri(policy, &["https://"])), "`https://`, without spaces");
    }
}

/// A line of a text file each: nothing that could begin another line.
fn is_uri(text: &str, schemes: &[&str]) -> bool {
    let rest = schemes.iter().find_map(|scheme| text.strip_prefix(scheme));
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic()))
}
