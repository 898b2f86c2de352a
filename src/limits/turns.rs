//! Units put aside for calls of several units that were refused, so that calls of one unit cannot always come before them. They
//! are spent when the call is refused, wait for it until a little after its `Retry-After`, and are given back if it does not come.
//! The script of `cluster.rs` keeps the same list in Redis.

/// How long after its `Retry-After` a refused call still has its units, in seconds.
pub(super) const GRACE_S: u64 = 2;
/// Refused calls of one client that have units put aside at a time.
pub(super) const TURNS_MAX: usize = 4;

/// Units that wait for the call that was refused.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub(super) units: u32,
    /// What they weigh in the client's limit and in the organization's.
    pub(super) spent_ns: [u64; 2],
    /// Which of the two refused.
    pub(super) refused_by: usize,
    pub(super) ready_ns: u64,
    pub(super) ends_ns: u64,
}

/// What a call finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Its units, which are its own now.
    Ready,
    /// Its units, which are not all there yet: by which limit it was refused, and how long to wait.
    Early {
        refused_by: usize,
        wait_ns: u64,
    },
    Nothing,
}

/// The turns of one client.
#[derive(Debug, Default)]
pub(super) struct Turns(Vec<Turn>);

impl Turns {
    /// Takes out a turn that nobody came for.
    pub(super) fn take_overdue(&mut self, now_ns: u64) -> Option<Turn> {
        let at = self.0.iter().position(|turn| now_ns > turn.ends_ns)?;
        Some(self.0.remove(at))
    }

    /// Which call it is shows in its units alone: a batch that is sent again is as large.
    pub(super) fn find(&mut self, units: u32, now_ns: u64) -> Found {
        if let Some(at) = self.0.iter().position(|turn| turn.units == units && turn.ready_ns <= now_ns) {
            self.0.remove(at);
            return Found::Ready;
        }
        let early = self.0.iter().filter(|turn| turn.units == units).min_by_key(|turn| turn.ready_ns);
        early.map_or(Found::Nothing, |turn| Found::Early {
            refused_by: turn.refused_by,
            wait_ns: turn.ready_ns - now_ns,
        })
    }

    /// How long until the first of them is ready, by whom it was refused. None: there is none.
    pub(super) fn first(&self, now_ns: u64) -> Option<(usize, u64)> {
        let first = self.0.iter().min_by_key(|turn| turn.ready_ns)?;
        Some((first.refused_by, first.ready_ns.saturating_sub(now_ns)))
    }

    pub(super) fn has_room(&self) -> bool {
        self.0.len() < TURNS_MAX
    }

    pub(super) fn push(&mut self, turn: Turn) {
        self.0.push(turn);
    }
}
