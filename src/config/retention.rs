//! `[retention]`: deletion of records whose period is over.

use std::collections::BTreeMap;

use super::setting::section;
use crate::domain::retention::{Class, Period};

section! {
    /// Deletion of records whose period is over.
    Retention in "retention." {
        /// How often records whose period is over are deleted.
        every_seconds: u64 = 3600, unit("s"), within(1..=3600);
        /// The operator's periods by class, where the policy leaves a choice: `sightings = "90 days"`.
        keep: BTreeMap<Class, Period> = BTreeMap::new(), unit("class = period"),
            right_is("within the class's range"), note("see below");
    }
}
