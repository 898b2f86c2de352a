//! What has outlived its time.
