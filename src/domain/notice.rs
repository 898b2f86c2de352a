//! What the holder of a reported card is to hear: a portal is told, and tells the person.

words!(
    /// What happened to the card.
    NoticeKind {
        /// It was handed in.
        CardFound = "card_found",
        /// A check found it, or its number, listed.
        CardShown = "card_shown",
    }
);
