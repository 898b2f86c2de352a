//! `serve --demo`: a registry of synthetic reports, two organizations, and lines to paste into a terminal.
//! Safe by default: loopback only, in a temporary folder that goes when the server stops, and it says that it is a demo.

use anyhow::{Context, bail};
use jiff::civil::Date;
use tempfile::TempDir;
use uuid::Uuid;

use super::clients::new_secret;
use super::{Global, output};
use crate::access::client_auth::hash_secret;
use crate::app;
use crate::clock::Clock;
use crate::config::Config;
use crate::crypto::Keyring;
use crate::crypto::digest::IdDigest;
use crate::crypto::pepper::Pepper;
use crate::crypto::random;
use crate::domain::card::CardValidity;
use crate::domain::client::{OrganizationKind, OrganizationName, RegionCode, Scope, Scopes};
use crate::domain::id_number::IdNumber;
use crate::domain::report::OfficeCode;
use crate::sample::{SampleRecord, records};
use crate::service::filing::Filing;
use crate::store::clients::{Client, Organization, Proof};
use crate::store::feed::ChangeKind;
use crate::store::reports::NewReport;
use crate::store::{Store, WriteTx};

/// Synthetic reports of a demo.
const REPORTS: usize = 3000;

/// What the tour shows.
#[derive(Debug)]
pub(super) struct Demo {
    /// Removed with the demo; none where the user named a folder.
    _folder: Option<TempDir>,
    hotel: Credentials,
    registrar: Credentials,
    /// Reported, with its card.
    listed: (String, Date),
    /// Nobody reported these.
    unlisted: String,
    to_report: String,
    today: Date,
}

#[derive(Debug)]
struct Credentials {
    client_id: Uuid,
    secret: String,
}

/// Makes the demo's data and points the configuration to it.
pub(super) async fn prepare(global: &Global, config: &mut Config) -> anyhow::Result<Demo> {
    if !config.listen.ip().is_loopback() {
        bail!("a demo listens on loopback only: its secrets are on the screen");
    }
    // Never into a real registry: neither a database nor keys from elsewhere, and a folder only if it is a demo's own.
    (config.database_url, config.keys) = (None, None);
    // Nobody balances load over a demo.
    config.drain_seconds = 0;
    let folder = if global.data.is_some() {
        let mark = config.data.join(".demo");
        let is_new = std::fs::read_dir(&config.data).map_or(true, |mut entries| entries.next().is_none());
        if !is_new && !mark.is_file() {
            bail!("this data folder is not a demo's: name another one, or none");
        }
        std::fs::create_dir_all(&config.data)?;
        std::fs::write(mark, "made by serve --demo\n")?;
        None
    } else {
        let folder = TempDir::with_prefix("lostcard-demo-").context("temporary folder")?;
        folder.path().clone_into(&mut config.data);
        Some(folder)
    };
    let (store, keyring) = app::open(config).await?;
    let today = Clock::System.today();
    // Two more than are stored: numbers of the same kind that nobody reported.
    let mut sample: Vec<SampleRecord> = records(2026, REPORTS as u64 + 2, today).collect();
    let (Some(to_report), Some(unlisted)) = (sample.pop(), sample.pop()) else { bail!("no sample") };
    let listed =
        sample.first().map(|record| (record.id_number.clone(), record.card_valid_from)).context("no sample")?;
    let hotel = organization(&store, "Harbour Hotel (demo)", OrganizationKind::Certifying, Scope::Checks).await?;
    let registrar =
        organization(&store, "Chaoyang station (demo)", OrganizationKind::Registrar, Scope::Registry).await?;
    if store.feed_totals().await?.0 < REPORTS as u64 {
        let pepper = keyring.pepper(store.key_versions().await?.current)?;
        let reports =
            sample.iter().map(|record| report(record, &keyring, &pepper, today)).collect::<anyhow::Result<Vec<_>>>()?;
        let mut tx: WriteTx = store.begin().await?;
        let subjects: Vec<_> = reports.iter().map(|report| report.number.lookup_key.as_bytes().as_slice()).collect();
        let last = tx.record_changes(ChangeKind::Listing, &subjects).await?;
        tx.insert_reports(&reports, last + 1 - reports.len() as u64).await?;
        tx.commit().await?;
    }
    store.close().await;
    Ok(Demo {
        _folder: folder,
        hotel,
        registrar,
        listed,
        unlisted: unlisted.id_number,
        to_report: to_report.id_number,
        today,
    })
}

async fn organization(store: &Store, name: &str, kind: OrganizationKind, scope: Scope) -> anyhow::Result<Credentials> {
    let now_ms = Clock::System.now_ms();
    let new = Organization {
        organization_id: random::uuid_v7(now_ms),
        name: OrganizationName::parse(name).context("name")?,
        kind,
        region: RegionCode::parse("110105").context("region")?,
        rate: None,
        created_at_ms: now_ms,
    };
    let client = Client {
        client_id: random::uuid_v7(now_ms),
        organization_id: new.organization_id,
        scopes: Scopes::from_iter([scope]),
        rate: None,
        created_at_ms: now_ms,
        disabled_at_ms: None,
    };
    let secret = new_secret()?;
    let proof = Proof::SecretHash(hash_secret(&secret));
    let mut tx = store.begin().await?;
    tx.insert_organization(&new).await?;
    tx.insert_client(&client).await?;
    tx.add_proof(client.client_id, random::uuid_v7(now_ms), &proof, now_ms).await?;
    tx.commit().await?;
    Ok(Credentials { client_id: client.client_id, secret })
}

fn report(record: &SampleRecord, keyring: &Keyring, pepper: &Pepper, today: Date) -> anyhow::Result<NewReport> {
    let report_id = random::uuid_v7(record.reported_at.as_millisecond());
    let digest = IdDigest::of(&IdNumber::parse(&record.id_number, today)?);
    let filing = Filing {
        digest,
        validity: CardValidity::new(Some(record.card_valid_from), record.card_valid_until, today)?,
        reason: record.reason,
        lost_on: Some(record.lost_on),
        reporter: record.reporter,
        office: OfficeCode::parse(&record.office).context("office")?,
        channel: record.channel,
        phone: None,
    };
    Ok(filing.seal(keyring, pepper, report_id, None, record.reported_at.as_millisecond())?)
}

impl Demo {
    /// Prints the lines. Each pair of lines is: what to expect, and the command that gives it (tests/demo runs them).
    pub(super) fn print_tour(&self, url: &str) {
        let token = |name: &str, of: &Credentials| {
            format!(
                r#"{name}=$(curl -s -u {}:{} -d grant_type=client_credentials {url}/oauth2/token | sed 's/.*"access_token":"\([^"]*\)".*/\1/')"#,
                of.client_id, of.secret
            )
        };
        let post = |token: &str, path: &str, body: String| {
            format!(
                r#"curl -s -w '\n' -H "Authorization: Bearer ${token}" -H 'Content-Type: application/json' -d '{body}' {url}{path}"#
            )
        };
        let check = |number: &str, start: Date| {
            let body = format!(r#"{{"id_number":"{number}","card_valid_from":"{start}","purpose":"lodging"}}"#);
            post("HOTEL", "/v1/checks", body)
        };
        let (listed, listed_start) = (&self.listed.0, self.listed.1);
        let loss = format!(
            r#"{{"id_number":"{}","card_valid_from":"2016-05-01","reason":"lost","reporter":"holder","office":"110105-03","channel":"station"}}"#,
            self.to_report
        );
        let lost_start = jiff::civil::date(2016, 5, 1);
        output::line(&format!(
            "
This is a DEMO: {REPORTS} synthetic reports, loopback only. Numbers are made up; secrets below are worth nothing.
Paste into another terminal:

# a token for a hotel and one for a police station, good for ten minutes
{}
{}

# a card that nobody reported -> not_listed
{}

# a card that was reported lost -> card_listed
{}

# a newer card of the same holder -> other_card_listed
{}

# the police station takes a loss report -> active
{}

# the hotel checks that card -> card_listed
{}

API reference: {url}/docs/   Stop with Ctrl-C.
",
            token("HOTEL", &self.hotel),
            token("STATION", &self.registrar),
            check(&self.unlisted, self.today),
            check(listed, listed_start),
            check(listed, self.today),
            post("STATION", "/v1/loss-reports", loss),
            check(&self.to_report, lost_start),
        ));
    }
}
