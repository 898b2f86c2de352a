//! `serve --demo`: a registry of synthetic reports, two organizations, and lines to paste into a terminal.
//! Safe by default: loopback only, in a temporary folder that goes when the server stops, and it says that it is a demo.

use std::sync::Arc;

use anyhow::{Context, bail};
use jiff::civil::Date;
use tempfile::TempDir;

use super::global::Global;
use super::opening;
use super::output;
use crate::clock::Clock;
use crate::config::Config;
use crate::crypto::Keyring;
use crate::crypto::client_secret::{hash_secret, new_secret};
use crate::crypto::digest::IdDigest;
use crate::crypto::pepper::Pepper;
use crate::crypto::random;
use crate::domain::card::CardValidity;
use crate::domain::client::{OrganizationKind, OrganizationName, RegionCode, Scope, Scopes};
use crate::domain::ids::{ClientId, OrganizationId};
use crate::domain::instant::UnixMs;
use crate::domain::pairing::PairingCode;
use crate::domain::redacted::{IdNumberText, SecretText};
use crate::domain::report::{Label, OfficeCode};
use crate::own_files;
use crate::sample::{SampleRecord, records};
use crate::service::filing::Filing;
use crate::service::listing;
use crate::service::pairings::{NewPairing, open_lasting};
use crate::service::writing::{Writing, leave_to_followers};
use crate::store::Store;
use crate::store::clients::{Client, Organization, Proof};
use crate::store::reports::NewReport;

/// Synthetic reports of a demo.
const REPORTS: usize = 3000;

/// What the tour shows.
#[derive(Debug)]
pub(super) struct Demo {
    /// Removed with the demo; none where the user named a folder.
    _folder: Option<TempDir>,
    hotel: Credentials,
    registrar: Credentials,
    portal: Credentials,
    operator: Credentials,
    /// By which pages become devices of the hotel and of the station, as often as they like.
    codes: (PairingCode, PairingCode),
    /// Reported, with its card.
    listed: (IdNumberText, Date),
    /// Nobody reported these.
    unlisted: IdNumberText,
    to_report: IdNumberText,
    today: Date,
}

/// What a client signs in with.
#[derive(Debug)]
pub(super) struct Credentials {
    client_id: ClientId,
    secret: SecretText,
}

impl Credentials {
    /// As programs take them, for the screen of a demo or of a sandbox.
    pub(super) fn to_pair(&self) -> String {
        format!("{}:{}", self.client_id, self.secret.expose())
    }
}

/// Makes the demo's data and points the configuration to it.
pub(super) async fn prepare(global: &Global, config: &mut Config) -> anyhow::Result<Demo> {
    if !config.listen.is_loopback() {
        bail!("a demo listens on loopback only: its secrets are on the screen");
    }
    // Never into a real registry: neither a database nor keys from elsewhere, and a folder only if it is a demo's own.
    (config.database_url, config.keys) = (None, None);
    // Nor does it tell others, or let others act: what is set here may be that of a real one.
    config.redis_url = None;
    (config.audit.head_file, config.audit.head_syslog, config.audit.head_webhook) = (None, None, None);
    (config.traces.endpoint, config.witnesses.policy) = (None, None);
    // Nobody balances load over a demo.
    config.drain_seconds = 0;
    let folder = if global.settings.overrides().has("data") {
        let mark = config.data.join(".demo");
        let is_new = std::fs::read_dir(&config.data).map_or(true, |mut entries| entries.next().is_none());
        if !is_new && !mark.is_file() {
            bail!("this data folder is not a demo's: name another one, or none");
        }
        own_files::create_folder(&config.data)?;
        own_files::write_public(&mark, "made by serve --demo\n")?;
        None
    } else {
        let folder = TempDir::with_prefix("lostcard-demo-").context("temporary folder")?;
        folder.path().clone_into(&mut config.data);
        Some(folder)
    };
    let (store, keyring) = opening::open(config).await?;
    let today = Clock::System.today();
    // Two more than are stored: numbers of the same kind that nobody reported.
    let mut sample: Vec<SampleRecord> = records(2026, REPORTS as u64 + 2, today).collect();
    let (Some(to_report), Some(unlisted)) = (sample.pop(), sample.pop()) else { bail!("no sample") };
    let listed =
        sample.first().map(|record| (record.id_number.clone(), record.card_valid_from)).context("no sample")?;
    let hotel = organization(&store, "Harbour Hotel (demo)", OrganizationKind::Certifying, Scope::Checks).await?;
    let registrar =
        organization(&store, "Chaoyang station (demo)", OrganizationKind::Registrar, Scope::Registry).await?;
    let portal = organization(&store, "Citizens' portal (demo)", OrganizationKind::Portal, Scope::Citizen).await?;
    let operator = organization(&store, "Operator (demo)", OrganizationKind::Operator, Scope::Admin).await?;
    if store.feed_totals().await?.0 < REPORTS as u64 {
        let pepper = keyring.pepper(store.key_versions().await?.current)?;
        let reports =
            sample.iter().map(|record| report(record, &keyring, &pepper, today)).collect::<anyhow::Result<Vec<_>>>()?;
        let mut writing = Writing::of_command(store.begin().await?, &keyring, Clock::System.now_ms()).await?;
        listing::reported(&mut writing, &reports).await?;
        leave_to_followers(writing.tx).await?;
    }
    let codes = codes(&store, &keyring, (hotel.client_id, registrar.client_id)).await?;
    store.close().await;
    Ok(Demo {
        _folder: folder,
        codes,
        hotel,
        registrar,
        portal,
        operator,
        listed,
        unlisted: unlisted.id_number,
        to_report: to_report.id_number,
        today,
    })
}

/// Makes a code for each page, which lasts until the next start.
async fn codes(
    store: &Store,
    keyring: &Arc<Keyring>,
    (hotel, station): (ClientId, ClientId),
) -> anyhow::Result<(PairingCode, PairingCode)> {
    let mut writing = Writing::of_command(store.begin().await?, keyring, Clock::System.now_ms()).await?;
    writing.tx.use_up_lasting_codes().await?;
    let mut made = Vec::new();
    for (client, scopes, site) in
        [(hotel, vec![Scope::Checks], "harbour-1"), (station, vec![Scope::Registry, Scope::Checks], "110105-03")]
    {
        let owner = writing.tx.read_client(client).await?.context("a client of the demo")?.client.organization_id;
        let site = Label::parse(site).context("site")?;
        let new =
            NewPairing { organization: owner, scopes: scopes.into_iter().collect(), site, name: None, numbers: None };
        made.push(open_lasting(&mut writing, new).await?.code);
    }
    leave_to_followers(writing.tx).await?;
    let [desk, station] = made[..] else { bail!("codes") };
    Ok((desk, station))
}

/// Makes an organization with one client.
pub(super) async fn organization(
    store: &Store,
    name: &str,
    kind: OrganizationKind,
    scope: Scope,
) -> anyhow::Result<Credentials> {
    let now_ms = Clock::System.now_ms();
    let (name, region) =
        (OrganizationName::parse(name).context("name")?, RegionCode::parse("110105").context("region")?);
    let new = Organization::new(random::id(now_ms), name, kind, region, now_ms);
    let mut tx = store.begin().await?;
    tx.insert_organization(&new).await?;
    tx.commit_unlisted().await?;
    client(store, new.organization_id, scope).await
}

/// Makes a client of an organization.
pub(super) async fn client(store: &Store, organization: OrganizationId, scope: Scope) -> anyhow::Result<Credentials> {
    let now_ms = Clock::System.now_ms();
    let client = Client::new(random::id(now_ms), organization, Scopes::from_iter([scope]), now_ms);
    let secret = new_secret()?;
    let proof = Proof::SecretHash(hash_secret(&secret));
    let mut tx = store.begin().await?;
    tx.insert_client(&client).await?;
    tx.add_proof(client.client_id, random::id(now_ms), &proof, now_ms).await?;
    tx.commit_unlisted().await?;
    Ok(Credentials { client_id: client.client_id, secret })
}

fn report(record: &SampleRecord, keyring: &Keyring, pepper: &Pepper, today: Date) -> anyhow::Result<NewReport> {
    let report_id = random::id(UnixMs::new(record.reported_at.as_millisecond()));
    let digest = IdDigest::of(&record.id_number.parse(today)?);
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
    Ok(filing.seal(keyring, pepper, report_id, None, UnixMs::new(record.reported_at.as_millisecond()))?)
}

/// What is printed: `{...}` are filled in, and each comment that ends in `-> word` comes before a line that gives it
/// (tests/demo pastes them).
const TOUR: &str = r#"
This is a DEMO: {reports} synthetic reports, loopback only. Numbers are made up; secrets below are worth nothing.
Paste into another terminal:

# where, who and a card that was reported: what the programs in README.md and docs/guides read
export URL={url} CLIENT_ID={hotel_id} CLIENT_SECRET={hotel_secret} ID_NUMBER={listed} CARD_VALID_FROM={listed_start}

# two helpers, and tokens for a hotel, a police station and the citizens' portal, good for ten minutes
post() { curl -s -w '\n' -H "Authorization: Bearer $1" -H 'Content-Type: application/json' -d "$3" {url}$2; }
field() { sed 's/.*"'$1'":"\([^"]*\)".*/\1/'; }
token() { curl -s -u $1 -d grant_type=client_credentials {url}/oauth2/token | field access_token; }
HOTEL=$(token {hotel})
STATION=$(token {registrar})
PORTAL=$(token {portal})

# a card that nobody reported -> not_listed
post $HOTEL /v1/checks '{"id_number":"{unlisted}","card_valid_from":"{today}","purpose":"lodging"}'

# a card that was reported lost -> card_listed
post $HOTEL /v1/checks '{"id_number":"{listed}","card_valid_from":"{listed_start}","purpose":"lodging"}'

# a newer card of the same holder -> other_card_listed
post $HOTEL /v1/checks '{"id_number":"{listed}","card_valid_from":"{today}","purpose":"lodging"}'

# The story of one lost card. Its holder goes to the police station -> active
LOSS=$(post $STATION /v1/loss-reports '{"id_number":"{to_report}","card_valid_from":"2016-05-01","reason":"lost","reporter":"holder","office":"110105-03","channel":"station"}'); echo "$LOSS"

# somebody checks in with it -> card_listed
post $HOTEL /v1/checks '{"id_number":"{to_report}","card_valid_from":"2016-05-01","purpose":"lodging","site":"harbour-1"}'

# the hotel tells the police -> open
post $HOTEL /v1/misuse-reports '{"id_number":"{to_report}","kind":"impersonation","observed_at":"'$(date -u +%FT%TZ)'"}'

# the station sees where, a moment later -> card_listed
until curl -s -w '\n' -H "Authorization: Bearer $STATION" {url}/v1/loss-reports/$(field report_id <<< "$LOSS")/sightings | grep check_id; do sleep 0.2; done

# its holder gets a certificate for the night (the answer has its QR code too); the hotel verifies it -> valid
CERTIFICATE=$(post $STATION /v1/temporary-certificates '{"id_number":"{to_report}","purpose":"lodging","office":"110105-03","valid_hours":24}' | field certificate)
post $HOTEL /v1/temporary-certificates/verify '{"certificate":"'$CERTIFICATE'","id_number":"{to_report}","purpose":"lodging"}'

# a bank would not -> another_purpose
post $HOTEL /v1/temporary-certificates/verify '{"certificate":"'$CERTIFICATE'","id_number":"{to_report}","purpose":"banking"}'

# the card is handed in, and known to be the reported one -> held
FOUND=$(post $STATION /v1/found-cards '{"id_number":"{to_report}","card_valid_from":"2016-05-01","found_on":"{today}","found_at_region":"110105","office":"110105-03"}'); echo "$FOUND"

# its holder sees on the portal that it waits -> held
post $PORTAL /v1/citizen/records '{"id_number":"{to_report}"}'

# and gets it back, which withdraws the report -> returned
post $STATION /v1/found-cards/$(field found_card_id <<< "$FOUND")/return '{"office":"110105-03","holder_verified_by":"face"}'

# the same card at the same hotel -> not_listed
post $HOTEL /v1/checks '{"id_number":"{to_report}","card_valid_from":"2016-05-01","purpose":"lodging"}'

# the card is damaged. May one from Zhengzhou apply in Beijing? -> listed_place
curl -s -w '\n' -H 'Content-Type: application/json' -d '{"household_region":"410102","applying_region":"110105","on":"{today}","fingerprint_on_file":true,"appearance_changed":false,"credit_flag":false}' {url}/v1/acceptance/eligibility

# the application -> accepted
NEW=$(post $STATION /v1/replacement-applications '{"id_number":"{to_report}","applied_at_office":"110105-03","household_office":"410102-01","reason":"damaged","fingerprint_on_file":true,"appearance_changed":false,"credit_flag":false}'); echo "$NEW"

# the new card -> issued
post $STATION /v1/replacement-applications/$(field application_id <<< "$NEW")/issue '{"card_valid_from":"{today}","office":"110105-03"}'

# the old one is refused from now on -> card_listed
post $HOTEL /v1/checks '{"id_number":"{to_report}","card_valid_from":"2016-05-01","purpose":"lodging"}'

# A bank opens an account and wants an alert about a report in the next two days -> not_listed
post $HOTEL /v1/checks '{"id_number":"{unlisted}","card_valid_from":"2016-05-01","purpose":"banking","watch_hours":48}'

# the report comes -> active
post $STATION /v1/loss-reports '{"id_number":"{unlisted}","card_valid_from":"2016-05-01","reason":"stolen","reporter":"holder","office":"110105-03","channel":"station"}'

# and the bank knows (by a signed webhook too, if it has one) -> card_listed
curl -s -w '\n' -H "Authorization: Bearer $HOTEL" "{url}/v1/alerts?after=0"

API reference: {url}/docs/   Stop with Ctrl-C.
For the clerk: {url}/desk#pair={desk_code}
For the station: {url}/station#pair={station_code}
For the operator: {url}/console, with client ID {operator_id} and secret {operator_secret}.
"#;

impl Demo {
    /// Prints the lines to paste.
    pub(super) fn print_tour(&self, url: &str) {
        let filled = [
            ("{reports}", REPORTS.to_string()),
            ("{url}", url.to_owned()),
            ("{hotel}", self.hotel.to_pair()),
            ("{registrar}", self.registrar.to_pair()),
            ("{portal}", self.portal.to_pair()),
            ("{operator_id}", self.operator.client_id.to_string()),
            ("{operator_secret}", self.operator.secret.expose().to_owned()),
            ("{desk_code}", self.codes.0.to_text().expose().to_owned()),
            ("{station_code}", self.codes.1.to_text().expose().to_owned()),
            ("{hotel_id}", self.hotel.client_id.to_string()),
            ("{hotel_secret}", self.hotel.secret.expose().to_owned()),
            ("{unlisted}", self.unlisted.expose().to_owned()),
            ("{listed}", self.listed.0.expose().to_owned()),
            ("{listed_start}", self.listed.1.to_string()),
            ("{to_report}", self.to_report.expose().to_owned()),
            ("{today}", self.today.to_string()),
        ];
        let fill = |text: String, (place, value): (&str, String)| text.replace(place, &value);
        output::line(&filled.into_iter().fold(TOUR.to_owned(), fill));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::routes::ROUTES;

    /// The path of a line of the tour; what the shell fills in is one segment.
    fn path_of(line: &str) -> Option<String> {
        let (mut path, mut rest) = (String::new(), &line[line.find("/v1/")?..]);
        while let Some(next) = rest.chars().next().filter(|next| !next.is_whitespace() && !"\"'?".contains(*next)) {
            if let Some(filled) = rest.strip_prefix("$(") {
                path.push('_');
                rest = &filled[filled.find(')')? + 1..];
            } else {
                path.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
        Some(path)
    }

    fn is_of(path: &str, row: &str) -> bool {
        let (segments, places) = (path.split('/'), row.split('/'));
        segments.clone().count() == places.clone().count()
            && segments.zip(places).all(|(segment, place)| segment == place || place.starts_with('{'))
    }

    #[test]
    fn the_tour_calls_operations_that_there_are() {
        let calls: Vec<_> = TOUR.lines().filter_map(|line| Some((line, path_of(line)?))).collect();
        assert!(calls.len() > 15, "{calls:?}");
        for (line, path) in calls {
            let sends = line.contains("post ") || line.contains(" -d ");
            let method = if sends { "POST" } else { "GET" };
            let is_there = ROUTES.iter().any(|row| row.method.as_str() == method && is_of(&path, row.path));
            assert!(is_there, "no operation {method} {path}: {line}");
        }
    }
}
