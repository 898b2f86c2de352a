//! The course of an import: the plan, the decision, the storing, and its summary.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, ensure};

use super::args::ImportArgs;
use super::context::Context;
use super::input::Input;
use super::judge::Judge;
use super::planning::{Planned, Planner};
use super::progress::Progress;
use super::reading::Reading;
use super::rejects;
use super::runs::{self, Job};
use super::stop::Stop;
use super::summary::{Outcome, Summary};
use super::withdrawing::withdraw_vanished;
use super::writer::{Writer, import_id};
use crate::cli::exits::refused;
use crate::cli::global::Global;
use crate::cli::opening;
use crate::cli::output;
use crate::clock::Clock;
use crate::config::Config;
use crate::node;
use crate::service::blind::keys;
use crate::store::import_rows::SourceId;

/// `import FILE`
pub(super) async fn run(global: &Global, args: ImportArgs) -> anyhow::Result<()> {
    let config = global.config()?;
    let clock = Clock::System;
    let began_ns = clock.boot_ns();
    let file = args.file.clone().unwrap_or_default();
    let rejects_path = rejects_path(&file, args.rejects.as_deref())?;
    let input = Input::open(&file, args.format, args.encoding, &args.ignore_column)?;
    if let Some(place) = input.sheet_read().filter(|_| input.leaves_sheets_out()) {
        output::error(&format!(
            "the workbook has more than one sheet: sheet {place} is read, the first that shows, and no other"
        ));
    }
    let (stop, behind) = (Stop::on_ctrl_c(), global.behind()?);
    let context = if args.dry_run {
        Context::as_it_is(&config, stop.clone(), behind).await?
    } else {
        let (store, keyring) = opening::open(&config).await?;
        Some(Context { store, keyring, clock: clock.clone(), stop: stop.clone(), behind })
    };
    if let Some(organization) = args.organization {
        let found = match &context {
            Some(context) => context.store.find_organization(organization).await?,
            None => None,
        };
        ensure!(found.is_some(), "there is no such organization");
    }
    let source = context.as_ref().zip(args.source.as_deref()).map(|(context, name)| context.source(name));
    let course = Planner { args: &args, context: context.as_ref(), source, stop, today: clock.today() };
    let mut planned = course.plan(input, &rejects_path).await?;
    let mut summary = Summary {
        rows: planned.plan.rows,
        wrong: planned.plan.wrong,
        rejects: planned.rejects.clone(),
        encoding: planned.input.encoding.name(),
        ..Summary::default()
    };
    let refusals = planned.plan.refusals(args.max_rejects, args.full, planned.is_begun);
    let doubts = if args.yes_really { &[] as &[String] } else { &refusals.doubts };
    let is_refused = !refusals.wrong.is_empty() || !doubts.is_empty();
    match context {
        Some(context) if !args.dry_run && !is_refused => {
            let course = Course(context);
            let stored = course.store(&config, &args, &mut planned, source, &mut summary).await;
            if let (Err(_), Some(id)) = (&stored, summary.import_id) {
                output::error(&format!(
                    "{id} is the id of this import: `lostcard import undo` takes back what it stored"
                ));
            }
            // What an import stored that was stopped is read by every node too, once the command has ended.
            course.0.end(&config).await;
            stored?;
            summary.ns = clock.boot_ns().saturating_sub(began_ns);
            summary.print(&planned.plan, Outcome::Stored, args.json);
        }
        context => {
            if let Some(context) = context {
                context.store.close().await;
            }
            if is_refused {
                summary.print(&planned.plan, Outcome::Refused, args.json);
                return Err(why_not(&refusals.wrong, doubts));
            }
            let may_withdraw = planned.plan.may_withdraw(args.yes_really);
            summary.would_withdraw = args.full.then_some(if may_withdraw { planned.plan.vanished } else { 0 });
            summary.print(&planned.plan, Outcome::Planned, args.json);
        }
    }
    if args.strict && planned.plan.wrong > 0 {
        return Err(refused(format!("--strict: {} rows were rejected", planned.plan.wrong)));
    }
    Ok(())
}

/// One line, whatever the number of reasons: each is a sentence.
fn why_not(wrong: &[String], doubts: &[String]) -> anyhow::Error {
    let mut reasons: Vec<&str> = wrong.iter().chain(doubts).map(String::as_str).collect();
    reasons.insert(0, "nothing is stored");
    let hint = match (wrong.is_empty(), doubts.is_empty()) {
        (true, _) => " (--yes-really if the file is right as it is)",
        (false, true) => "",
        (false, false) => " (--yes-really lifts the doubts alone, not the limit on rejects)",
    };
    refused(format!("{}{hint}", reasons.join("; ")))
}

/// The steps, on what an import works with.
struct Course(Context);

impl Course {
    /// The next blind key: its base has what this import has brought.
    async fn catch_up(&self, config: &Config) -> anyhow::Result<()> {
        let Context { store, keyring, clock, .. } = &self.0;
        let before = store.blind_keys().await?.versions;
        if before.is_some_and(|versions| versions.is_behind) {
            let issuer = node::issuer_of_command(config, store).await?;
            keys::begin(store, keyring, &issuer, before, clock.now_ms()).await?;
        }
        Ok(())
    }

    /// All that is planned; `summary` has the import's id once a part of it is stored.
    async fn store(
        &self,
        config: &Config,
        args: &ImportArgs,
        planned: &mut Planned,
        source: Option<SourceId>,
        summary: &mut Summary,
    ) -> anyhow::Result<()> {
        if args.blind_later {
            keys::fall_behind(&self.0.store).await.context("blind checks")?;
        }
        self.write(args, planned, source, summary).await?;
        summary.import_id = Some(import_id(&planned.fingerprint));
        // Also where an import before had begun to leave blind checks behind, and did not end.
        self.catch_up(config).await.context("blind checks")
    }

    async fn write(
        &self,
        args: &ImportArgs,
        planned: &mut Planned,
        source: Option<SourceId>,
        summary: &mut Summary,
    ) -> anyhow::Result<()> {
        let Planned { input, survey, plan, vanished, fingerprint, stored_as, from, .. } = planned;
        let already_stored = Arc::new(AtomicU64::new(0));
        let wrong = Arc::new(AtomicU64::new(plan.wrong));
        let current = self.0.store.key_versions().await?.current;
        // Where nothing is left of a run that was begun, nothing depends on its order.
        let is_in_a_run = !from.finished && from.records_done > 0;
        let order = self.0.keyring.pepper(if is_in_a_run { from.key_version } else { current });
        let job = Job {
            order: order.context("this import was begun with an older pepper")?,
            pepper: self.0.keyring.pepper(current)?,
            keyring: Arc::clone(&self.0.keyring),
            organization: args.organization,
            clock: self.0.clock.clone(),
            already_stored: Arc::clone(&already_stored),
            valid: plan.rows - plan.wrong,
            input: input.clone(),
            makes_entries: self.0.store.blind_keys().await?.versions.is_some_and(|versions| !versions.is_behind),
        };
        let records = input.records(Judge { today: from.judged_on, zone: args.zone })?;
        let progress =
            Progress::new(survey.lines, "reports", self.0.clock.clone(), vec![Arc::clone(&already_stored), wrong]);
        let (batches, threads) = runs::start(
            &job,
            Reading::new(records, std::mem::take(&mut plan.first)),
            self.0.known(source).await?,
            *from,
        );
        let mut writer = Writer {
            store: &self.0.store,
            keyring: &self.0.keyring,
            fingerprint: *fingerprint,
            source,
            clock: self.0.clock.clone(),
            progress,
            stop: self.0.stop.clone(),
            behind: self.0.behind.clone(),
            has_begun: false,
        };
        let stored = writer.write(batches, *stored_as).await;
        summary.import_id = writer.has_begun.then(|| import_id(fingerprint));
        writer.progress.finish();
        summary.stored = stored?;
        for thread in threads {
            thread.await??;
        }
        summary.already_stored = already_stored.load(Ordering::Relaxed);
        if let (Some(source), true) = (source, args.full) {
            let may_withdraw = plan.may_withdraw(args.yes_really);
            if !may_withdraw && plan.vanished > 0 {
                output::error(&format!(
                    "{} rows of this source are not in the file, and none is withdrawn: the {} rejected rows may be among them \
                     (correct these and import again, or --yes-really)",
                    plan.vanished, plan.wrong
                ));
            }
            let gone = if may_withdraw { vanished.as_slice() } else { &[] };
            summary.withdrawn = Some(withdraw_vanished(&self.0, &source, gone).await?);
        }
        Ok(())
    }
}

fn rejects_path(file: &Path, told: Option<&Path>) -> anyhow::Result<PathBuf> {
    let path = told.map_or_else(
        || {
            let mut name = file.to_owned().into_os_string();
            name.push(".rejects.ndjson");
            name.into()
        },
        Path::to_owned,
    );
    let is_input = path.canonicalize().is_ok_and(|path| file.canonicalize().is_ok_and(|file| file == path));
    ensure!(!is_input, "the rejects would overwrite the file itself");
    rejects::check(&path)?;
    Ok(path)
}
