//! `[blind]`: blind keys, and the registry log that is made of them.

use super::setting::section;

section! {
    /// Blind keys, and the registry log that is made of them.
    Blind in "blind." {
        /// Whether there are blind keys and a registry log. Without them their paths answer 404.
        enabled: bool = true;
    }
}
