//! The forms in which a receipt is kept: alone, as the desk saves it (lines of `name: value`), and JSON with the names of the answer.
//! What a file says beside the receipt is its own word: it is compared, never believed.

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::crypto::act_receipt::Act;
use crate::crypto::receipt::Claims;
use crate::domain::redacted::SaltText;
use crate::service::receipts::Verification;

/// A receipt as it was kept, and what the file says of it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ReceiptFile {
    /// Of a check or a write.
    #[serde(alias = "report_receipt")]
    pub(super) receipt: String,
    #[serde(alias = "report_receipt_salt")]
    pub(super) receipt_salt: Option<SaltText>,
    /// The name of the house, which no receipt has.
    pub(super) organization: Option<String>,
    check_id: Option<String>,
    verdict: Option<String>,
    as_of: Option<String>,
    /// The start of validity; `-` in lines: the check or the report had none.
    card_valid_from: Option<String>,
    report_id: Option<String>,
    reported_at: Option<String>,
    /// Of a found card that was returned: its start is the card's, not that of the report.
    found_card_id: Option<String>,
}

impl ReceiptFile {
    /// Reads any of the forms; a text that is none of them is a receipt alone, and is judged as such.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.starts_with('{') {
            // The parser's message could repeat what is in the file.
            return serde_json::from_str(text).ok().context("the JSON has no `receipt`");
        }
        let of = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let Some(receipt) = of("receipt").or_else(|| of("report_receipt")) else {
            return Ok(Self { receipt: text.to_owned(), ..Self::default() });
        };
        let receipt_salt = of("receipt_salt").or_else(|| of("report_receipt_salt")).map(SaltText::from);
        let [organization, check_id, verdict, as_of] = ["organization", "check_id", "verdict", "as_of"].map(of);
        let [card_valid_from, report_id, reported_at, found_card_id] =
            ["card_valid_from", "report_id", "reported_at", "found_card_id"].map(of);
        Ok(Self {
            receipt,
            receipt_salt,
            organization,
            check_id,
            verdict,
            as_of,
            card_valid_from,
            report_id,
            reported_at,
            found_card_id,
        })
    }

    /// Whether the words beside the receipt are the receipt's: who reads the file alone reads those.
    pub(super) fn agrees_with(&self, found: &Verification) -> anyhow::Result<()> {
        let claims = &found.claims;
        let id = claims.jti.to_string();
        let start = found.card_valid_from.map_or_else(|| "-".to_owned(), |start| start.to_string());
        let is_of = |said: &Option<String>, signed: Option<&str>| said.is_none() || said.as_deref() == signed;
        let is_start = found.opens != Some(true)
            || self.found_card_id.is_some()
            || is_of(&self.card_valid_from, Some(start.as_str()));
        for (name, agrees) in [
            ("check_id", is_of(&self.check_id, Some(id.as_str()))),
            ("report_id", is_of(&self.report_id, claims.says.act().map(|_| id.as_str()))),
            ("verdict", is_of(&self.verdict, claims.says.verdict())),
            ("as_of", is_of(&self.as_of, claims.says.as_of())),
            ("reported_at", self.reported_at.as_deref().is_none_or(|said| is_reported_at(said, claims))),
            ("card_valid_from", is_start),
        ] {
            if !agrees {
                bail!("the receipt is authentic, but the file beside it says another {name} than the receipt");
            }
        }
        Ok(())
    }
}

/// Whether a report was filed when its receipt says, to the second. That of a withdrawal does not say it.
fn is_reported_at(said: &str, claims: &Claims) -> bool {
    let said: Option<jiff::Timestamp> = said.parse().ok();
    match claims.says.act() {
        Some(Act::Withdrawal) => said.is_some(),
        Some(_) => said.is_some_and(|said| said.as_second() == claims.iat),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAVED: &str = "\u{feff}lostcard receipt\r\n\r\norganization: Harbour Hotels\r\ncheck_id: 1\r\nverdict: card_listed\r\n\
                         client_ref: -\r\nreceipt: a.b.c~d~e\r\nreceipt_salt: c2FsdA\r\n\r\nKeep it.\r\n";

    #[test]
    fn each_form_is_read() {
        let saved = ReceiptFile::parse(SAVED).unwrap();
        assert_eq!((saved.receipt.as_str(), saved.organization.as_deref()), ("a.b.c~d~e", Some("Harbour Hotels")));
        assert_eq!(saved.receipt_salt.as_ref().map(SaltText::expose), Some("c2FsdA"));
        let json =
            ReceiptFile::parse(r#"{"check_id":"1","receipt":"a.b.c~d~e","receipt_salt":"c2FsdA","seq":1}"#).unwrap();
        assert_eq!((json.receipt.as_str(), json.check_id.as_deref()), ("a.b.c~d~e", Some("1")));
        let of_report =
            ReceiptFile::parse(r#"{"report_id":"1","report_receipt":"a~b~c","report_receipt_salt":"c2Fs"}"#);
        assert_eq!(of_report.unwrap().receipt_salt.as_ref().map(SaltText::expose), Some("c2Fs"));
        let alone = ReceiptFile::parse("a.b.c~d~e\n").unwrap();
        assert_eq!(alone.receipt, "a.b.c~d~e");
        assert!(alone.receipt_salt.is_none());
        let error = ReceiptFile::parse(r#"{"receipt_salt":"c2FsdA"}"#).unwrap_err().to_string();
        assert!(!error.contains("c2FsdA"), "{error}");
    }

    /// A receipt that says this, opened by number and salt where a start of validity is given: "-" for none.
    fn found(says: &str, start: Option<&str>) -> Verification {
        let claims: Claims = serde_json::from_str(&format!(
            r#"{{"iss":"","aud":"01993c5e-0000-7000-8000-000000000000","iat":1795420800,
                "jti":"01993c5e-0000-7000-8000-000000000001",{says},"seq":1,"cm":""}}"#
        ))
        .unwrap();
        Verification {
            claims,
            opens: start.map(|_| true),
            card_valid_from: start.filter(|start| *start != "-").map(|start| start.parse().unwrap()),
        }
    }

    #[test]
    fn other_words_beside_the_receipt_are_found() {
        let check = r#""verdict":"card_listed","as_of":"2026-11-23T08:00:00.123Z""#;
        let (report, withdrawal) = (r#""act":"report""#, r#""act":"withdrawal""#);
        let id = "01993c5e-0000-7000-8000-000000000001";
        let file = |name: &str, value: &str| ReceiptFile::parse(&format!("{name}: {value}\nreceipt: a~b~c\n")).unwrap();
        for (says, start, name, value) in [
            (check, None, "check_id", id),
            (check, None, "verdict", "card_listed"),
            (check, None, "as_of", "2026-11-23T08:00:00.123Z"),
            (check, None, "organization", "Anybody"),
            (check, None, "card_valid_from", "2016-05-01"),
            (check, Some("2016-05-01"), "card_valid_from", "2016-05-01"),
            (check, Some("-"), "card_valid_from", "-"),
            (report, None, "report_id", id),
            (report, None, "reported_at", "2026-11-23T08:00:00.999Z"),
            (report, Some("-"), "card_valid_from", "-"),
            (withdrawal, None, "report_id", id),
            (withdrawal, None, "reported_at", "2026-11-20T08:00:00.999Z"),
        ] {
            file(name, value).agrees_with(&found(says, start)).unwrap();
        }
        for (says, start, name, value) in [
            (check, None, "check_id", "1"),
            (check, None, "verdict", "not_listed"),
            (check, None, "as_of", "2026-11-23T08:00:00.124Z"),
            (check, Some("2016-05-01"), "card_valid_from", "2016-05-02"),
            (check, Some("2016-05-01"), "card_valid_from", "-"),
            (check, Some("-"), "card_valid_from", "2016-05-01"),
            (check, None, "report_id", id),
            (check, None, "reported_at", "2026-11-23T08:00:00Z"),
            (report, None, "report_id", "1"),
            (report, None, "reported_at", "2026-11-23T08:00:01.000Z"),
            (report, None, "reported_at", "yesterday"),
            (report, Some("2016-05-01"), "card_valid_from", "2026-05-01"),
            (report, None, "verdict", "card_listed"),
            (withdrawal, None, "report_id", "1"),
        ] {
            let error = file(name, value).agrees_with(&found(says, start)).unwrap_err().to_string();
            assert!(error.contains(name) && !error.contains(value), "{error}");
        }
        // The card that was found has a start; the report that its return withdrew has none.
        let returned = r#"{"report_receipt":"a~b~c","found_card_id":"2","card_valid_from":"2016-05-01"}"#;
        ReceiptFile::parse(returned).unwrap().agrees_with(&found(withdrawal, Some("-"))).unwrap();
    }
}
