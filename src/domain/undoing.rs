//! Why an undoing leaves an act as it is. What it makes of each action is beside the actions (`audit`).

/// Why an act stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its record is not kept any more.
    Gone,
    /// Another client has changed the same record since.
    ChangedByOthers,
    /// A replacement of somebody else has ended the report.
    ReplacedByOthers,
    /// The start of before would itself be listed.
    StartListed,
    /// The application has come to another end.
    Ended,
    /// Something was handed over, or sent, or destroyed.
    OutOfHand,
    /// Nothing depends on it that the registry could take back.
    ByHand,
}

impl Why {
    /// The word for scripts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::ChangedByOthers => "changed_by_others",
            Self::ReplacedByOthers => "replaced_by_others",
            Self::StartListed => "start_listed",
            Self::Ended => "ended",
            Self::OutOfHand => "out_of_hand",
            Self::ByHand => "by_hand",
        }
    }

    /// What it means and who can do what.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Gone => "the record is not kept any more",
            Self::ChangedByOthers => "another client has changed the same record since: ask its organization",
            Self::ReplacedByOthers => "another client has recorded a new card since, which keeps the old one listed",
            Self::StartListed => "the card with the start of before would itself be listed by now: correct it by hand",
            Self::Ended => "it has come to another end since",
            Self::OutOfHand => "something was handed over, sent or destroyed: its office must look for it",
            Self::ByHand => "no listing depends on it: look at it, and counter it by hand where it matters",
        }
    }
}
