//! `keys fingerprints`: what auditors pin, of the key folder or of a published set. Public halves alone.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::global::Global;
use super::output;
use super::reading::read_keys;
use crate::crypto::keyfiles::KeyFolder;
use crate::crypto::signing::PublicKey;

#[derive(Debug, Args)]
pub(super) struct FingerprintsArgs {
    /// A published set of keys, in place of the key folder; it does not say what each is for
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A key as it is told.
struct Told {
    line: String,
    value: Value,
}

/// `keys fingerprints`
pub(super) fn fingerprints(global: &Global, args: &FingerprintsArgs) -> anyhow::Result<()> {
    let told = match &args.jwks {
        Some(file) => read_keys(file)?.iter().map(of_set).collect(),
        None => of_folder(&KeyFolder::new(global.config()?.key_folder()))?,
    };
    let (lines, values): (Vec<_>, Vec<_>) = told.into_iter().map(|told| (told.line, told.value)).unzip();
    output::result(args.json, &json!({ "keys": values }), &lines);
    Ok(())
}

fn of_set(key: &PublicKey) -> Told {
    let (kid, fingerprint) = (key.kid(), key.fingerprint());
    Told { line: format!("{kid}  {fingerprint}"), value: json!({"kid": kid, "fingerprint": fingerprint}) }
}

/// Every key of the folder, those that sign first.
fn of_folder(folder: &KeyFolder) -> anyhow::Result<Vec<Told>> {
    let mut told = Vec::new();
    for purpose in folder.signing_purposes()? {
        let name = purpose.as_str();
        // The first is the one that signs.
        for (at, (version, key)) in folder.public_keys(purpose)?.into_iter().enumerate() {
            let state = if at == 0 { "signs" } else { "retired" };
            let Told { line, mut value } = of_set(&key);
            value["purpose"] = json!(name);
            value["version"] = json!(version);
            value["state"] = json!(state);
            told.push(Told { line: format!("{name:11} {version:>3}  {state:7}  {line}"), value });
        }
    }
    Ok(told)
}
