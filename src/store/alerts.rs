//! Watches and alerts.
