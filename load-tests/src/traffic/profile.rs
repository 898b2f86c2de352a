//! Profiles: TOML files that describe how one kind of organization calls over
//! a day, compressed to a run. Unknown members are refused and every number
//! has a bound, so that a typing error neither passes nor floods a machine.

use std::path::Path;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::mix::Mix;
use crate::load::schedule::Curve;

/// One access token lives 600 s and the requests are rendered once with it.
pub(crate) const RUN_SECONDS_MAX: u32 = 540;
pub(crate) const RATE_PER_S_MAX: f64 = 1_000_000.0;
pub(crate) const CONNECTIONS_MAX: usize = 10_000;
pub(crate) const OUTSTANDING_MAX: usize = 1_000_000;
const PROFILE_BYTES_MAX: u64 = 65_536;
const NAME_CHARACTERS_MAX: usize = 64;

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) seconds: u32,
    /// Mean over the run of requests (not items) a second.
    pub(crate) rate_per_s: f64,
    pub(crate) connections: usize,
    /// Requests waiting or in flight; what comes above is counted, not sent.
    pub(crate) outstanding_max: usize,
    pub(crate) curve: Curve,
    pub(crate) mix: Mix,
}

impl Profile {
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        let size_bytes = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
        ensure!(size_bytes <= PROFILE_BYTES_MAX, "{} is larger than {PROFILE_BYTES_MAX} bytes", path.display());
        let text = std::fs::read_to_string(path)?;
        Self::parse(&text).with_context(|| format!("{} is not a profile", path.display()))
    }

    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let profile: Self = toml::from_str(text)?;
        profile.validate()?;
        Ok(profile)
    }

    /// Checks every bound; called again after the command line changed a value.
    pub(crate) fn validate(&self) -> anyhow::Result<()> {
        let name_length = self.name.chars().count();
        ensure!(
            (1..=NAME_CHARACTERS_MAX).contains(&name_length),
            "name must have 1 to {NAME_CHARACTERS_MAX} characters"
        );
        ensure!((1..=RUN_SECONDS_MAX).contains(&self.seconds), "seconds must be between 1 and {RUN_SECONDS_MAX}");
        ensure!(
            self.rate_per_s > 0.0 && self.rate_per_s <= RATE_PER_S_MAX,
            "rate_per_s must be above 0 and at most {RATE_PER_S_MAX}"
        );
        ensure!(
            (1..=CONNECTIONS_MAX).contains(&self.connections),
            "connections must be between 1 and {CONNECTIONS_MAX}"
        );
        ensure!(
            (self.connections..=OUTSTANDING_MAX).contains(&self.outstanding_max),
            "outstanding_max must be between connections and {OUTSTANDING_MAX}"
        );
        self.curve.validate()?;
        self.mix.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::Profile;
    use std::path::Path;

    const HOTEL: &str = include_str!("../../profiles/hotel-checkin.toml");

    #[test]
    fn shipped_profiles_are_valid() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles");
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            names.push(Profile::load(&entry.unwrap().path()).unwrap().name);
        }
        names.sort();
        assert_eq!(names, ["bank-batch", "hotel-checkin", "railway-departures"]);
    }

    #[test]
    fn wrong_profiles_are_refused() {
        for (from, to) in [
            ("[mix]", "[mix]\ncolour = 1"),
            ("[curve]", "[curve]\ncolour = 1"),
            ("seconds = 60", "seconds = 60\ncolour = 1"),
            ("seconds = 60", "seconds = 0"),
            ("seconds = 60", "seconds = 541"),
            ("seconds = 60", "seconds = -1"),
            ("rate_per_s = 2000.0", "rate_per_s = 0.0"),
            ("rate_per_s = 2000.0", "rate_per_s = nan"),
            ("rate_per_s = 2000.0", "rate_per_s = inf"),
            ("connections = 64", "connections = 0"),
            ("outstanding_max = 20000", "outstanding_max = 63"),
            ("hit_share = 0.01", "hit_share = 1.01"),
            ("hit_share = 0.01", "hit_share = nan"),
            ("\"lodging\"", "\"gambling\""),
            ("repeat = 1", "repeat = 0"),
            ("[0.00,", "[0.10,"),
        ] {
            assert!(HOTEL.contains(from), "{from}");
            assert!(Profile::parse(&HOTEL.replace(from, to)).is_err(), "{to}");
        }
        assert!(Profile::parse(&format!("{HOTEL}\n[mix.batch]\nitems_min = 5\nitems_max = 4\n")).is_err());
        assert!(Profile::parse(&format!("{HOTEL}\n[mix.batch]\nitems_min = 5\nitems_max = 1001\n")).is_err());
    }
}
