//! The forms in which a receipt is kept: alone, as the desk saves it (lines of `name: value`), and JSON with the names of the answer.
//! What a file says beside the receipt is its own word: it is compared, never believed.

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::crypto::receipt::Claims;
use crate::domain::redacted::SaltText;

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
        Ok(Self { receipt, receipt_salt, organization, check_id, verdict, as_of })
    }

    /// Whether the words beside the receipt are the receipt's: who reads the file alone reads those.
    pub(super) fn agrees_with(&self, claims: &Claims) -> anyhow::Result<()> {
        let check_id = claims.jti.to_string();
        for (name, said, signed) in [
            ("check_id", &self.check_id, Some(check_id.as_str())),
            ("verdict", &self.verdict, claims.says.verdict()),
            ("as_of", &self.as_of, claims.says.as_of()),
        ] {
            if said.as_deref().is_some_and(|said| Some(said) != signed) {
                bail!("the receipt is authentic, but the file beside it says another {name} than the receipt");
            }
        }
        Ok(())
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

    #[test]
    fn other_words_beside_the_receipt_are_found() {
        let claims: Claims = serde_json::from_str(
            r#"{"iss":"","aud":"01993c5e-0000-7000-8000-000000000000","iat":1,"jti":"01993c5e-0000-7000-8000-000000000001",
                "verdict":"card_listed","as_of":"2026-11-23T09:00:00.123Z","seq":1,"cm":""}"#,
        )
        .unwrap();
        let file = |name: &str, value: &str| ReceiptFile::parse(&format!("{name}: {value}\nreceipt: a~b~c\n")).unwrap();
        for (name, value) in [
            ("check_id", "01993c5e-0000-7000-8000-000000000001"),
            ("verdict", "card_listed"),
            ("as_of", "2026-11-23T09:00:00.123Z"),
            ("organization", "Anybody"),
        ] {
            file(name, value).agrees_with(&claims).unwrap();
        }
        for (name, value) in [("check_id", "1"), ("verdict", "not_listed"), ("as_of", "2026-11-23T09:00:00.124Z")] {
            let error = file(name, value).agrees_with(&claims).unwrap_err().to_string();
            assert!(error.contains(name) && !error.contains(value), "{error}");
        }
    }
}
