//! How long what is kept: a dated policy.
