//! The course of a check: the list, what is done of it, batch after batch, and the summary.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::args::CheckArgs;
use super::checked::{Checked, Tally};
use super::credentials::Credentials;
use super::cutting::no_rows;
use super::guests::{Guest, Guests};
use super::receipts::Folder;
use super::service::{Answered, BATCH_ROWS_MAX, Said, Service};
use super::session::Session;
use crate::cli::exits::{listed, refused, usage};
use crate::cli::import::encoding::Encoding;
use crate::cli::import::input::Input;
use crate::cli::import::progress::Progress;
use crate::cli::import::stop::Stop;
use crate::cli::output;
use crate::clock::Clock;

/// `check FILE`
pub(super) async fn run(args: &CheckArgs) -> anyhow::Result<()> {
    let clock = Clock::System;
    let (input, lines) = open(args)?;
    let today = clock.today();
    let mut guests = Guests::open(&input, args.purpose, today)?;
    let session = Session::new(&args.url, Credentials::read(&args.credentials)?, clock.clone())?;
    let (path, folder) = places(args)?;
    let mut folder = Folder::open(&folder)?;
    let mut checked = Checked::open(&path, &mut guests, input.needs_mark())?;
    folder.claim(&path, checked.tally.rows, args.receipts.is_none())?;
    if checked.tally.rows > 0 {
        output::error(&format!("{} rows are checked already, and stay as they are", checked.tally.rows));
    }
    let patience = Duration::from_secs(args.patience.into());
    let mut service = Service::new(session, clock.clone(), Stop::on_ctrl_c(), patience);
    let mut progress = Progress::new(lines, "rows", clock, Vec::new());
    loop {
        let batch = take_batch(&mut guests, &mut checked)?;
        if batch.is_empty() {
            break;
        }
        let asked: Vec<_> = batch.iter().filter_map(|guest| guest.question.as_ref().ok()).collect();
        let answers = if asked.is_empty() { Vec::new() } else { service.ask(&asked).await? };
        write(&batch, answers, &mut checked, &mut folder)?;
        progress.show(checked.tally.rows);
    }
    progress.finish();
    summarize(&checked.tally, &path, args.json)
}

/// The list in its encoding, and how many lines it has.
fn open(args: &CheckArgs) -> anyhow::Result<(Input, u64)> {
    let input = Input::open(&args.file, args.format, args.encoding, &[])?;
    if let Some(place) = input.sheet_read().filter(|_| input.leaves_sheets_out()) {
        output::error(&format!(
            "the workbook has more than one sheet: sheet {place} is read, the first that shows, and no other"
        ));
    }
    let survey = input.survey()?;
    let Some(other) = input.as_gb18030(&survey)? else { return Ok((input, survey.lines)) };
    output::error(&format!("the file is no UTF-8, and is read as {}", Encoding::Gb18030.name()));
    Ok((other, survey.lines))
}

/// Where rows and receipts go.
fn places(args: &CheckArgs) -> anyhow::Result<(PathBuf, PathBuf)> {
    let beside = |path: &Path, suffix: &str| {
        let mut name = path.to_owned().into_os_string();
        name.push(suffix);
        PathBuf::from(name)
    };
    let output = args.output.clone().unwrap_or_else(|| beside(&args.file, ".checked.csv"));
    let receipts = args.receipts.clone().unwrap_or_else(|| beside(&output, ".receipts"));
    let is_input = output.canonicalize().is_ok_and(|path| args.file.canonicalize().is_ok_and(|file| file == path));
    if is_input {
        return Err(usage("the checked list would overwrite the list itself"));
    }
    Ok((output, receipts))
}

fn take_batch(guests: &mut Guests, checked: &mut Checked) -> anyhow::Result<Vec<Guest>> {
    let mut batch = Vec::new();
    while batch.len() < BATCH_ROWS_MAX {
        let next = match checked.next.take() {
            Some(guest) => Some(guest),
            None => guests.next()?,
        };
        match next {
            Some(guest) => batch.push(guest),
            None => break,
        }
    }
    Ok(batch)
}

/// Receipts first: a row names its receipt, and is done when it is there.
fn write(batch: &[Guest], answers: Vec<Answered>, checked: &mut Checked, folder: &mut Folder) -> anyhow::Result<()> {
    let mut answers = answers.into_iter();
    for guest in batch {
        let answered = match &guest.question {
            Ok(_) => answers.next().unwrap_or_else(|| Err("internal: the row was not answered".to_owned())),
            Err(problem) => Err(problem.clone()),
        };
        let kept = answered.as_ref().ok().and_then(Said::kept);
        let receipt = kept.map(|kept| folder.keep(checked.tally.rows + 1, &kept)).transpose()?;
        checked.add(guest, &answered, receipt.as_deref().unwrap_or_default());
    }
    folder.sync()?;
    Ok(checked.flush()?)
}

fn summarize(tally: &Tally, path: &Path, json: bool) -> anyhow::Result<()> {
    let Tally { rows, not_listed, other_card_listed, number_listed, card_listed, problems } = *tally;
    if rows == 0 {
        return Err(no_rows());
    }
    let value = json!({
        "rows": rows, "not_listed": not_listed, "other_card_listed": other_card_listed, "number_listed": number_listed,
        "card_listed": card_listed, "problems": problems, "output": path.display().to_string(),
    });
    let lines = [
        format!(
            "{rows} rows: {not_listed} not_listed, {other_card_listed} other_card_listed, {number_listed} number_listed, {card_listed} card_listed, {problems} could not be checked"
        ),
        format!("written to {}", path.display()),
    ];
    output::result(json, &value, &lines);
    if problems > 0 {
        return Err(refused(format!("{problems} of {rows} rows could not be checked: the column problem says why")));
    }
    if tally.listed() > 0 { Err(listed()) } else { Ok(()) }
}
