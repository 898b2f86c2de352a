//! Temporary identification certificates: what revokes and lists them.
