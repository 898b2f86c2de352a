//! The items of a batch as they come: read before anybody has judged how many there are.

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Items of one batch.
pub(super) const BATCH_CHECKS_MAX: usize = 1000;

/// The items of a batch as they came, where there are no more than one may have; the rest is only counted, so that a body full of zeros
/// is not half a million texts.
#[derive(Default)]
pub(super) struct Items {
    pub(super) count: usize,
    pub(super) kept: Vec<Box<RawValue>>,
}

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ItemsVisitor)
    }
}

struct ItemsVisitor;

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Items;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<Items, S::Error> {
        let mut read = Items::default();
        while read.count < BATCH_CHECKS_MAX
            && let Some(item) = items.next_element()?
        {
            read.kept.push(item);
            read.count += 1;
        }
        while items.next_element::<IgnoredAny>()?.is_some() {
            read.count += 1;
        }
        Ok(read)
    }
}
