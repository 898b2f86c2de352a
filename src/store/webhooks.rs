//! Endpoints of webhooks, and deliveries that are due.
