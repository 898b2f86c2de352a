//! Who is asked about: where and when people were born, as far as limits look at it. Some counties are large, and some people were
//! registered with the first of January for a birthday that nobody knew.

use jiff::civil::Date;
use lostcard::crypto::digest::IdDigest;
use lostcard::domain::numbers::Neighbourhood;
use rand::rngs::StdRng;
use rand::{Rng, RngExt};

/// Counties of the country.
const COUNTIES: u32 = 2_850;
/// One of so many was registered with the first of January.
const FIRST_OF_JANUARY: u32 = 100;
const SEQUENCES: u32 = 1_000;

/// Somebody with a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Person {
    pub(crate) county: u32,
    /// `YYYYMMDD`.
    pub(crate) born: u32,
    pub(crate) sequence: u32,
}

impl Person {
    /// Anybody born within these years, of a county that is drawn by its size.
    pub(crate) fn anybody(rng: &mut StdRng, years: (u32, u32)) -> Self {
        Self::of(rng, any_county, years)
    }

    /// Somebody of one of the first so many counties.
    pub(crate) fn local(rng: &mut StdRng, counties: u32, years: (u32, u32)) -> Self {
        Self::of(rng, |rng| rng.random_range(0..counties), years)
    }

    fn of(rng: &mut StdRng, county: impl FnOnce(&mut StdRng) -> u32, years: (u32, u32)) -> Self {
        let county = county(rng);
        Self { county, born: birthday(rng, years), sequence: rng.random_range(0..SEQUENCES) }
    }

    pub(crate) fn place(&self) -> Neighbourhood {
        Neighbourhood { county: self.county, born: self.born }
    }

    /// What stands for the number's digest: limits hash it under a secret.
    pub(crate) fn digest(&self) -> IdDigest {
        let mut digest = [0; 32];
        for (part, of) in digest.chunks_exact_mut(4).zip([self.county, self.born, self.sequence]) {
            part.copy_from_slice(&of.to_be_bytes());
        }
        IdDigest::from_bytes(digest)
    }

    /// The start of validity of the card.
    pub(crate) fn start(&self, rng: &mut impl Rng) -> Date {
        let day = i8::try_from(self.sequence % 28).unwrap_or(0);
        let year = 2010 + i16::try_from(self.born % 13).unwrap_or(0);
        let is_misread = rng.random_ratio(1, 200);
        Date::new(year, 1 + day % 12, 1 + (day + i8::from(is_misread)) % 28).unwrap_or(Date::MIN)
    }
}

/// Large counties come more often than small ones.
fn any_county(rng: &mut StdRng) -> u32 {
    let (one, other) = (rng.random_range(0..COUNTIES), rng.random_range(0..COUNTIES));
    one.min(other)
}

fn birthday(rng: &mut StdRng, (first, last): (u32, u32)) -> u32 {
    let year = rng.random_range(first..=last);
    if rng.random_ratio(1, FIRST_OF_JANUARY) {
        return year * 10_000 + 101;
    }
    year * 10_000 + rng.random_range(1..=12) * 100 + rng.random_range(1..=28)
}
