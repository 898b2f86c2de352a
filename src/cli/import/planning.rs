//! What comes before the storing: what the store knows of the file and its source, and the plan. A dry run ends with it, and may have
//! no store at all.

use std::path::{Path, PathBuf};

use jiff::civil::Date;

use super::args::ImportArgs;
use super::context::Context;
use super::input::{Input, Survey};
use super::judge::Judge;
use super::plan::{Plan, survey_and_plan};
use super::rejects::Rejects;
use super::runs;
use super::stop::Stop;
use crate::cli::output;
use crate::store::import_rows::{RowFingerprint, SourceId};
use crate::store::imports::ImportProgress;

/// An import that is planned.
pub(super) struct Planned {
    pub(super) input: Input,
    pub(super) survey: Survey,
    pub(super) plan: Plan,
    pub(super) vanished: Vec<RowFingerprint>,
    pub(super) rejects: Option<PathBuf>,
    pub(super) fingerprint: [u8; 32],
    /// An earlier start of the same import stored a part of it.
    pub(super) is_begun: bool,
    pub(super) stored_as: ImportProgress,
    pub(super) from: ImportProgress,
}

/// By what an import is planned.
pub(super) struct Planner<'a> {
    pub(super) args: &'a ImportArgs,
    /// None: a dry run, and there is no store yet.
    pub(super) context: Option<&'a Context>,
    pub(super) source: Option<SourceId>,
    pub(super) stop: Stop,
    pub(super) today: Date,
}

type Read = (Survey, anyhow::Result<(Plan, Vec<RowFingerprint>, Option<PathBuf>)>);

impl Planner<'_> {
    pub(super) async fn plan(&self, mut input: Input, rejects: &Path) -> anyhow::Result<Planned> {
        let rejects = (!self.args.dry_run).then_some(rejects);
        let (survey, mut planned) = self.read_through(&input, rejects, self.today).await?;
        if let Some(other) = input.as_gb18030(&survey)? {
            output::error("the file is no UTF-8 but GB18030 in every row, and is read as that");
            input = other;
            (_, planned) = self.read_through(&input, rejects, self.today).await?;
        }
        let mut fingerprint = [0; 32];
        let mut known = None;
        let mut beginning = ImportProgress::beginning(self.today, 0);
        if let Some(context) = self.context {
            let parts = [survey.hash.as_slice(), self.source.as_ref().map_or(&[], |source| source.as_slice())];
            fingerprint = context.keyring.fingerprints().of("import-file", &parts);
            known = context.store.import_progress(&fingerprint).await?;
            beginning.key_version = context.store.key_versions().await?.current;
        }
        let is_begun = known.is_some_and(|known| !known.finished);
        let (stored_as, from) = starting_points(known, self.args.again, self.source.is_some(), beginning);
        if from.judged_on != self.today {
            // An import that continues after midnight takes and rejects the same rows as before.
            (_, planned) = self.read_through(&input, rejects, from.judged_on).await?;
        }
        let (mut plan, vanished, rejects) = planned?;
        if let (Some(context), Some(source), true) = (self.context, self.source, self.args.full) {
            // A row whose report has ended is forgotten, and nothing is withdrawn for it.
            plan.vanished = context.store.count_listed_rows(&source, &vanished).await?;
        }
        input.expect_unchanged()?;
        if from.finished {
            output::error("this file was imported already: nothing is stored (--again imports it once more)");
        }
        Ok(Planned { input, survey, plan, vanished, rejects, fingerprint, is_begun, stored_as, from })
    }

    async fn read_through(&self, input: &Input, rejects: Option<&Path>, today: Date) -> anyhow::Result<Read> {
        let mut known = match self.context {
            Some(context) => context.known(self.source).await?,
            None => None,
        };
        let judge = Judge { today, zone: self.args.zone };
        let rejects = rejects.map(Path::to_owned);
        let stop = self.stop.clone();
        let rows_kept = if self.args.dry_run { 0 } else { runs::RUN_RECORDS_MAX };
        survey_and_plan(input, move |input, bytes| {
            let mut rejects = rejects.as_deref().map(Rejects::at).transpose()?;
            let plan = Plan::of(input, judge, bytes, rows_kept, known.as_mut(), rejects.as_mut(), &stop)?;
            let vanished = known.map(|known| known.vanished()).unwrap_or_default();
            let rejects = rejects.map(Rejects::finish).transpose()?.flatten();
            Ok((plan, vanished, rejects))
        })
        .await
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
