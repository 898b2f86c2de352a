//! What an answer says: a cheap count of verdicts by their bytes for every
//! answer of `run`, and a full reading for the sampled ones of `saturate`.

use anyhow::{Context, bail, ensure};
use memchr::memmem;
use serde::Deserialize;

use crate::traffic::requests::Request;

pub(crate) const VERDICTS: [&str; 4] = ["not_listed", "card_listed", "other_card_listed", "number_listed"];
const MARK: &[u8] = b"\"verdict\":\"";

/// One counter per entry of `VERDICTS`.
pub(crate) type VerdictCounts = [u64; VERDICTS.len()];

/// Adds the verdicts in a body to `counts`; gives how many say that something
/// is listed. Expects JSON without white space, which `check_fully` verifies.
pub(crate) fn count_verdicts(body: &[u8], counts: &mut VerdictCounts) -> u64 {
    let mut listed = 0;
    for at in memmem::find_iter(body, MARK) {
        let rest = &body[at + MARK.len()..];
        let value = &rest[..rest.iter().position(|byte| *byte == b'"').unwrap_or(0)];
        if let Some(index) = VERDICTS.iter().position(|verdict| verdict.as_bytes() == value) {
            counts[index] += 1;
            listed += u64::from(index > 0);
        }
    }
    listed
}

#[derive(Deserialize)]
struct Check {
    #[serde(rename = "check_id")]
    id: String,
    verdict: String,
    as_of: String,
}

#[derive(Deserialize)]
struct Batch {
    results: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: u32,
    check: Option<Check>,
    problem: Option<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    code: String,
}

/// Reads an answer as a client would; the error never repeats a number.
pub(crate) fn check_fully(status: u16, body: &[u8], request: &Request, batch: bool) -> anyhow::Result<()> {
    ensure!(status == 200, "the server answered {status}: {}", problem_code(body));
    let checks = if batch {
        let batch: Batch = serde_json::from_slice(body).context("not the JSON of a batch")?;
        for (expected, item) in (0..).zip(&batch.results) {
            ensure!(item.index == expected, "result {expected} has index {}", item.index);
            if let Some(problem) = &item.problem {
                bail!("result {expected} is the problem {}", problem.code);
            }
        }
        batch.results.into_iter().filter_map(|item| item.check).collect()
    } else {
        vec![serde_json::from_slice::<Check>(body).context("not the JSON of a check")?]
    };
    ensure!(checks.len() == usize::try_from(request.items)?, "{} results for {} checks", checks.len(), request.items);
    for check in &checks {
        ensure!(VERDICTS.contains(&check.verdict.as_str()), "unknown verdict");
        ensure!(!check.id.is_empty() && !check.as_of.is_empty(), "empty check_id or as_of");
    }
    let mut counts = VerdictCounts::default();
    count_verdicts(body, &mut counts);
    ensure!(counts.iter().sum::<u64>() == u64::from(request.items), "the verdicts cannot be counted by their bytes");
    Ok(())
}

/// The `code` of an RFC 9457 problem, for messages.
fn problem_code(body: &[u8]) -> String {
    serde_json::from_slice::<serde_json::Value>(body)
        .ok()
        .and_then(|problem| problem.get("code")?.as_str().map(str::to_owned))
        .unwrap_or_else(|| "no problem document".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{VerdictCounts, check_fully, count_verdicts};
    use crate::traffic::requests::Request;

    const MISS: &str =
        r#"{"check_id":"a","verdict":"not_listed","advice":"proceed","as_of":"b","registry_sequence":1}"#;

    fn request(items: u32) -> Request {
        Request { bytes: Box::default(), items, listed: 0 }
    }

    #[test]
    fn verdicts_are_counted_by_their_bytes() {
        let mut counts = VerdictCounts::default();
        let body = r#"{"verdict":"not_listed"},{"verdict":"number_listed"},{"verdict":"odd"},{"verdict":"card_listed"},{"verdict":""#;
        assert_eq!(count_verdicts(body.as_bytes(), &mut counts), 2);
        assert_eq!(counts, [1, 1, 0, 1]);
    }

    #[test]
    fn sampled_answers_must_be_complete() {
        let batch = format!(r#"{{"results":[{{"index":0,"check":{MISS}}},{{"index":1,"check":{MISS}}}]}}"#);
        assert!(check_fully(200, MISS.as_bytes(), &request(1), false).is_ok());
        assert!(check_fully(200, batch.as_bytes(), &request(2), true).is_ok());
        assert!(check_fully(200, batch.as_bytes(), &request(3), true).is_err());
        let wrong = MISS.replace("not_listed", "fine");
        let spoilt = r#"{"results":[{"index":0,"problem":{"code":"id_number_invalid"}}]}"#;
        for (status, body, batch) in
            [(200, "{}", false), (200, wrong.as_str(), false), (200, spoilt, true), (500, MISS, false)]
        {
            assert!(check_fully(status, body.as_bytes(), &request(1), batch).is_err(), "{body}");
        }
        let error = check_fully(401, br#"{"code":"invalid_token"}"#, &request(1), false).unwrap_err();
        assert!(error.to_string().contains("invalid_token"));
    }
}
