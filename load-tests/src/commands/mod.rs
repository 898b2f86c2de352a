//! One file per subcommand: its arguments, their bounds, and the order of
//! steps. The work is done elsewhere.

pub(crate) mod bare;
pub(crate) mod compare;
pub(crate) mod import;
pub(crate) mod overload;
pub(crate) mod peer;
pub(crate) mod run;
pub(crate) mod saturate;
pub(crate) mod simulate;
pub(crate) mod timing;
pub(crate) mod writes;

/// The seed of a run: the given one, or a fresh one to be printed.
fn seed_or_random(given: Option<u64>) -> u64 {
    // 32 bits are easy to type again.
    given.unwrap_or_else(|| u64::from(rand::random::<u32>()))
}
