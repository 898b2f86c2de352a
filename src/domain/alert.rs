//! Watches of an organization on a card that it checked, and what an alert tells.
