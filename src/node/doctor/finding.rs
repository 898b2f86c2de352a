//! What a look finds: a thing, how it is with it, and what to do. How it is judged is beside each thing.

/// How it is with one thing, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Ok,
    /// Not as it might be, and right for a fresh node.
    Note,
    /// It works, and will not for long, or not for everybody.
    Warning,
    /// The node does not start, or answers wrongly or not at all.
    Wrong,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Wrong => "wrong",
        }
    }
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub check: &'static str,
    pub state: State,
    pub found: String,
    pub to_do: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, state: State::Ok, found: found.into(), to_do: None }
    }

    pub(super) fn note(check: &'static str, found: impl Into<String>, to_do: impl Into<String>) -> Self {
        Self { check, state: State::Note, found: found.into(), to_do: Some(to_do.into()) }
    }

    pub(super) fn warning(check: &'static str, found: impl Into<String>, to_do: impl Into<String>) -> Self {
        Self { check, state: State::Warning, found: found.into(), to_do: Some(to_do.into()) }
    }

    pub(super) fn wrong(check: &'static str, found: impl Into<String>, to_do: impl Into<String>) -> Self {
        Self { check, state: State::Wrong, found: found.into(), to_do: Some(to_do.into()) }
    }
}

/// A time as people say it.
pub(super) fn spoken(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_one_unit() {
        let said: Vec<_> = [0, 119, 120, 7_199, 7_200, 172_799, 172_800].map(spoken).to_vec();
        assert_eq!(said, ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 days"]);
    }

    #[test]
    fn the_worst_state_is_the_last() {
        assert!(State::Ok < State::Note && State::Note < State::Warning && State::Warning < State::Wrong);
    }
}
