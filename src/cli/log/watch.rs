//! `log watch`: a monitor. It keeps the last checkpoint that it has seen, and takes a new one only with a proof that it continues that.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::monitored::{Log, Look, Seen, Unread};
use crate::cli::exits::{contradicted, try_again, usage};
use crate::cli::output;
use crate::cli::witnessed::Witnessed;
use crate::clock::Clock;
use crate::crypto::signing::base64url;
use crate::crypto::tlog::{Checkpoint, VerifierKey};
use crate::own_files;

/// How long the log may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How often the end of the log before is looked at again: it must stay what the newest one commits to.
const LOOK_BACK: Duration = Duration::from_mins(5);

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Where the service is
    #[arg(long)]
    url: String,
    /// Where the last checkpoint is kept
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    /// The verifier key of the log, of any of its epochs; may be given several times
    #[arg(long = "log-key", value_name = "VKEY", required = true)]
    log_keys: Vec<String>,
    /// Witnesses (C2SP tlog-policy): a checkpoint that lacks their quorum is not taken
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// How old the witnesses' signatures may be: a log that is not shown as it is now has old ones
    #[arg(long, value_name = "S", requires = "policy", value_parser = clap::value_parser!(u64).range(1..))]
    max_age_seconds: Option<u64>,
    /// How often to look
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    every_seconds: u64,
    /// Look once
    #[arg(long)]
    once: bool,
}

/// `log watch`
pub(super) async fn watch(args: &WatchArgs) -> anyhow::Result<()> {
    let key = |text: &String| {
        VerifierKey::parse(text).ok_or_else(|| usage(format!("{text}: not a verifier key (C2SP signed-note)")))
    };
    let keys = args.log_keys.iter().map(key).collect::<anyhow::Result<Vec<_>>>()?;
    let client = reqwest::Client::builder().timeout(ANSWER_MAX).build().context("HTTP client")?;
    let witnessed = args.policy.as_deref().map(Witnessed::read).transpose()?;
    let log = Log { client, url: args.url.trim_end_matches('/').to_owned(), keys };
    let seen = if args.state.exists() { Some(log.read_state(&args.state)?) } else { None };
    let mut monitor = Monitor {
        log,
        witnessed,
        max_age_s: args.max_age_seconds,
        state: &args.state,
        seen,
        was_older: false,
        looked_back_ns: None,
    };
    loop {
        match monitor.look().await {
            Ok(()) if args.once && monitor.was_older => return Err(try_again("")),
            Ok(()) if args.once => return Ok(()),
            Ok(()) => {}
            Err(error) if error.downcast_ref::<Unread>().is_none() => return Err(error),
            Err(error) if args.once => return Err(try_again(format!("{error:#}"))),
            Err(error) => output::error(&format!("the log cannot be read now: {error:#}")),
        }
        tokio::time::sleep(Duration::from_secs(args.every_seconds)).await;
    }
}

struct Monitor<'a> {
    log: Log,
    witnessed: Option<Witnessed>,
    max_age_s: Option<u64>,
    state: &'a Path,
    seen: Option<Seen>,
    was_older: bool,
    looked_back_ns: Option<u64>,
}

impl Monitor<'_> {
    async fn look(&mut self) -> anyhow::Result<()> {
        let new = self.log.checkpoint("checkpoint").await?;
        if let Some(why) = self.lacks_witnesses(&new.note) {
            return Err(Unread(why).into());
        }
        let mut look = match &self.seen {
            None => Look::Grown,
            Some(old) => self.log.compare(old, &new).await?,
        };
        if matches!(look, Look::Same | Look::Grown) && self.looks_back() {
            look = self.log.looked_back(&new).await?.unwrap_or(look);
        }
        let Checkpoint { origin, size, root } = &new.checkpoint;
        // Once: a node that is behind catches up, and a store that was set back stays so.
        let is_told = std::mem::replace(&mut self.was_older, matches!(look, Look::Older));
        match look {
            Look::Same => return Ok(()),
            Look::Older => {
                if !is_told {
                    output::error(&format!(
                        "OLDER: {origin} shows {size} leaves, a beginning of what it showed before"
                    ));
                }
                return Ok(());
            }
            Look::Forked(fork) => {
                let path = self.keep("fork", &fork.text())?;
                let origin = &fork.notes[1].checkpoint.origin;
                output::error(&format!(
                    "FORK: {origin} shows another history than before; both checkpoints are in {}",
                    path.display()
                ));
                return Err(contradicted());
            }
            Look::Unproven(note) => {
                let path = self.keep("unproven", &note)?;
                let why =
                    format!("the tiles do not give the root of a checkpoint, which is kept in {}", path.display());
                return Err(Unread(why).into());
            }
            Look::Successor { gap } => {
                let before = self.seen.as_ref().map_or("", |old| old.checkpoint.origin.as_str());
                let lost = if gap > 0 { format!(", {gap} changes between them are in no log") } else { String::new() };
                output::line(&format!("{before} has ended, {origin} follows{lost}"));
            }
            Look::Grown => {}
        }
        output::line(&format!("{origin} {size} {}", base64url(root)));
        own_files::replace(self.state, new.note.as_bytes()).with_context(|| self.state.display().to_string())?;
        self.seen = Some(new);
        Ok(())
    }

    fn lacks_witnesses(&self, note: &str) -> Option<String> {
        let witnessed = self.witnessed.as_ref()?;
        if !witnessed.is_met(note) {
            return Some("the checkpoint lacks the cosignatures that the policy asks for".to_owned());
        }
        let max_age_s = self.max_age_s?;
        let since_s = u64::try_from(Clock::System.now_s()).unwrap_or_default().saturating_sub(max_age_s);
        let is_new = witnessed.is_met_since(note, since_s);
        (!is_new).then(|| {
            format!("the witnesses' signatures are older than {max_age_s} s: this may not be the log's newest state")
        })
    }

    fn looks_back(&mut self) -> bool {
        let now_ns = Clock::System.boot_ns();
        let due = |before: u64| u128::from(now_ns.saturating_sub(before)) >= LOOK_BACK.as_nanos();
        let is_due = self.looked_back_ns.is_none_or(due);
        if is_due {
            self.looked_back_ns = Some(now_ns);
        }
        is_due
    }

    /// Keeps what was found beside the state.
    fn keep(&self, what: &str, text: &str) -> anyhow::Result<PathBuf> {
        let mut path = self.state.as_os_str().to_owned();
        path.push(format!(".{what}"));
        own_files::replace(Path::new(&path), text.as_bytes()).context("evidence")?;
        Ok(path.into())
    }
}
