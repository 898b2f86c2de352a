//! The course of an import: what the store knows of the file, the plan, the decision, the storing, and its summary.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, ensure};
use jiff::civil::Date;

use super::args::ImportArgs;
use super::context::Context;
use super::input::{Input, Survey};
use super::judge::Judge;
use super::plan::{Plan, survey_and_plan};
use super::progress::Progress;
use super::reading::Reading;
use super::rejects::{self, Rejects};
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
use crate::store::import_rows::{RowFingerprint, SourceId};
use crate::store::imports::ImportProgress;

/// An import that is planned.
struct Planned {
    input: Input,
    survey: Survey,
    plan: Plan,
    vanished: Vec<RowFingerprint>,
    rejects: Option<PathBuf>,
    fingerprint: [u8; 32],
    /// An earlier start of the same import stored a part of it.
    is_begun: bool,
    stored_as: ImportProgress,
    from: ImportProgress,
}

/// `import FILE`
pub(super) async fn run(global: &Global, args: ImportArgs) -> anyhow::Result<()> {
    let config = global.config()?;
    let clock = Clock::System;
    let began_ns = clock.boot_ns();
    let file = args.file.clone().unwrap_or_default();
    let rejects_path = rejects_path(&file, args.rejects.as_deref())?;
    let input = Input::open(&file, args.format, args.encoding, &args.ignore_column)?;
    if input.leaves_sheets_out() {
        output::error("the workbook has more than one sheet: the first one is read, no other");
    }
    let (stop, behind) = (Stop::on_ctrl_c(), global.behind()?);
    let (store, keyring) = opening::open(&config).await?;
    if let Some(organization) = args.organization {
        ensure!(store.find_organization(organization).await?.is_some(), "there is no such organization");
    }
    let course = Course(Context { store, keyring, clock, stop, behind });
    let source = args.source.as_deref().map(|name| course.0.source(name));
    let mut planned = course.plan(&args, input, source, &rejects_path).await?;
    let mut summary = Summary {
        rows: planned.plan.rows,
        wrong: planned.plan.wrong,
        rejects: planned.rejects.clone(),
        encoding: planned.input.encoding.name(),
        ..Summary::default()
    };
    let refusals = planned.plan.refusals(args.max_rejects, args.full, planned.is_begun);
    let doubts = if args.yes_really { &[] as &[String] } else { &refusals.doubts };
    if !refusals.wrong.is_empty() || !doubts.is_empty() {
        course.0.store.close().await;
        summary.print(&planned.plan, Outcome::Refused, args.json);
        return Err(why_not(&refusals.wrong, doubts));
    }
    if args.dry_run {
        course.0.store.close().await;
        let may_withdraw = planned.plan.may_withdraw(args.yes_really);
        summary.would_withdraw = args.full.then_some(if may_withdraw { planned.plan.vanished } else { 0 });
        summary.print(&planned.plan, Outcome::Planned, args.json);
    } else {
        summary.import_id = Some(import_id(&planned.fingerprint));
        if args.blind_later {
            keys::fall_behind(&course.0.store).await.context("blind checks")?;
        }
        course.write(&args, &mut planned, source, &mut summary).await?;
        // Also where an import before had begun to leave blind checks behind, and did not end.
        course.catch_up(&config).await.context("blind checks")?;
        course.0.end(&config).await;
        summary.ns = course.0.clock.boot_ns().saturating_sub(began_ns);
        summary.print(&planned.plan, Outcome::Stored, args.json);
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

    async fn plan(
        &self,
        args: &ImportArgs,
        mut input: Input,
        source: Option<SourceId>,
        rejects: &Path,
    ) -> anyhow::Result<Planned> {
        let rejects = (!args.dry_run).then_some(rejects);
        let today = self.0.clock.today();
        let (survey, mut planned) = self.read_through(&input, args, source, rejects, today).await?;
        if let Some(other) = input.as_gb18030(&survey)? {
            output::error("the file is no UTF-8 but GB18030 in every row, and is read as that");
            input = other;
            (_, planned) = self.read_through(&input, args, source, rejects, today).await?;
        }
        let parts = [survey.hash.as_slice(), source.as_ref().map_or(&[], |source| source.as_slice())];
        let fingerprint = self.0.keyring.fingerprints().of("import-file", &parts);
        let known = self.0.store.import_progress(&fingerprint).await?;
        let is_begun = known.is_some_and(|known| !known.finished);
        let beginning = ImportProgress::beginning(today, self.0.store.key_versions().await?.current);
        let (stored_as, from) = starting_points(known, args.again, source.is_some(), beginning);
        if from.judged_on != today {
            // An import that continues after midnight takes and rejects the same rows as before.
            (_, planned) = self.read_through(&input, args, source, rejects, from.judged_on).await?;
        }
        let (plan, vanished, rejects) = planned?;
        if from.finished {
            output::error("this file was imported already: nothing is stored (--again imports it once more)");
        }
        Ok(Planned { input, survey, plan, vanished, rejects, fingerprint, is_begun, stored_as, from })
    }

    async fn read_through(
        &self,
        input: &Input,
        args: &ImportArgs,
        source: Option<SourceId>,
        rejects: Option<&Path>,
        today: Date,
    ) -> anyhow::Result<(Survey, anyhow::Result<(Plan, Vec<RowFingerprint>, Option<PathBuf>)>)> {
        let mut known = self.0.known(source).await?;
        let judge = Judge { today, zone: args.zone };
        let rejects = rejects.map(Path::to_owned);
        let stop = self.0.stop.clone();
        let rows_kept = if args.dry_run { 0 } else { runs::RUN_RECORDS_MAX };
        survey_and_plan(input, move |input, bytes| {
            let mut rejects = rejects.as_deref().map(Rejects::at).transpose()?;
            let plan = Plan::of(input, judge, bytes, rows_kept, known.as_mut(), rejects.as_mut(), &stop)?;
            let vanished = known.map(|known| known.vanished()).unwrap_or_default();
            let rejects = rejects.map(Rejects::finish).transpose()?.flatten();
            Ok((plan, vanished, rejects))
        })
        .await
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
        };
        let stored = writer.write(batches, *stored_as).await;
        writer.progress.finish();
        summary.stored = stored?;
        for thread in threads {
            thread.await??;
        }
        summary.already_stored = already_stored.load(Ordering::Relaxed);
        if let (Some(source), true) = (source, args.full) {
            let may_withdraw = plan.may_withdraw(args.yes_really);
            if !may_withdraw && !vanished.is_empty() {
                output::error(&format!(
                    "{} rows of this source are not in the file, and none is withdrawn: the {} rejected rows may be among them \
                     (correct these and import again, or --yes-really)",
                    vanished.len(),
                    plan.wrong
                ));
            }
            let gone = if may_withdraw { vanished.as_slice() } else { &[] };
            summary.withdrawn = Some(withdraw_vanished(&self.0, &source, gone).await?);
        }
        Ok(())
    }
}

/// What the store knows of the file, and where the import begins. Rows of a source are known one by one: it begins at the beginning.
fn starting_points(
    known: Option<ImportProgress>,
    again: bool,
    is_of_source: bool,
    beginning: ImportProgress,
) -> (ImportProgress, ImportProgress) {
    match known {
        None => (beginning, beginning),
        Some(known) if is_of_source || (known.finished && again) => (known, beginning),
        Some(known) => (known, known),
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
