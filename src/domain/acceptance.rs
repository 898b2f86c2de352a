//! Who may apply for a card away from home, and since when.
