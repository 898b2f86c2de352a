//! The registry of a sandbox: what it holds from the first start on, and its reset. Both are ordinary writes in the turn of
//! writers, told by the feed, so that every node sees them as it sees a report.

use std::sync::Arc;

use jiff::civil::Date;

use super::ServiceError;
use super::filing::Filing;
use super::listing::{self, Replacing};
use super::writing::{Writer, Writing, leave_to_followers};
use uuid::Uuid;

use crate::clock::Clock;
use crate::crypto::Keyring;
use crate::crypto::digest::IdDigest;
use crate::domain::audit::{Action, Deed};
use crate::domain::authority::Offices;
use crate::domain::card::CardValidity;
use crate::domain::client::{Actor, OrganizationKind, OrganizationName, RegionCode};
use crate::domain::id_number::IdNumber;
use crate::domain::ids::{Id, OrganizationId};
use crate::domain::instant::UnixMs;
use crate::domain::report::{Channel, OfficeCode, Reason, Reporter};
use crate::domain::sandbox::{MAGIC_NUMBERS, MagicNumber, Seed};
use crate::domain::sequence::Sequence;
use crate::store::Store;
use crate::store::clients::Organization;

/// The registrar whose clients own the seeded reports: the same in every sandbox.
pub const STATION: OrganizationId = OrganizationId::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0001);
/// The ids of seeded records: this, and the number's sequence code as its last digits.
const SEEDED: u128 = 0x0000_0000_0000_7000_8000_0000_0000_0000;

/// A reset that is done.
#[derive(Debug)]
pub struct Reset {
    pub at_ms: UnixMs,
    pub sequence: Sequence,
}

/// Resets the sandbox.
#[derive(Debug)]
pub struct Sandbox {
    writer: Arc<Writer>,
}

impl Sandbox {
    pub fn new(writer: Arc<Writer>) -> Self {
        Self { writer }
    }

    /// Removes what the caller's organization wrote, and puts the magic numbers back as they were, no matter who changed them. Once this
    /// returns no check that starts anywhere sees anything from before.
    pub async fn reset(&self, actor: Actor) -> Result<Reset, ServiceError> {
        let mut writing = self.writer.begin_once().await?;
        let (now_ms, today) = (writing.now_ms, self.writer.clock.today());
        let keys: Vec<_> = magic_digests(today)?.iter().flat_map(|(_, digest)| writing.lookup_keys(digest)).collect();
        listing::removed(&mut writing, actor.organization, &keys).await?;
        plant(&mut writing, today).await?;
        let sequence = writing.tx.head().await?;
        let deed = Deed::of_many(actor, Action::SandboxReset);
        self.writer.finish(writing, &deed, None).await?;
        Ok(Reset { at_ms: now_ms, sequence })
    }
}

/// Every magic number with its digest.
pub fn magic_digests(today: Date) -> Result<Vec<(&'static MagicNumber, IdDigest)>, ServiceError> {
    let digest = |magic: &'static MagicNumber| {
        let number = IdNumber::parse(magic.number, today);
        let number = number.map_err(|_| ServiceError::WrongConstant("a magic number is none on this day"))?;
        Ok((magic, IdDigest::of(&number)))
    };
    MAGIC_NUMBERS.iter().map(digest).collect()
}

/// Makes the station and the seeded records of a new sandbox.
pub async fn furnish(store: &Store, keyring: &Arc<Keyring>, clock: &Clock) -> Result<(), ServiceError> {
    if store.find_organization(STATION).await?.is_some() {
        return Ok(());
    }
    let now_ms = clock.now_ms();
    let mut writing = Writing::of_command(store.begin().await?, keyring, now_ms).await?;
    // Another node may have been faster.
    if store.find_organization(STATION).await?.is_some() {
        return Ok(());
    }
    let words = OrganizationName::parse("Sandbox station").zip(RegionCode::parse(REGION));
    let (name, region) = words.ok_or(ServiceError::WrongConstant("the station of the sandbox"))?;
    let mut station = Organization::new(STATION, name, OrganizationKind::Registrar, region, now_ms);
    // Integrators try all that a registrar does, for any office, on what any of them has filed.
    let offices = Offices::parse("1 2 3 4 5 6 7 8", true);
    station.offices = offices.ok_or(ServiceError::WrongConstant("the offices of the sandbox's station"))?;
    writing.tx.insert_organization(&station).await?;
    plant(&mut writing, clock.today()).await?;
    writing.tx.record_deed(&Deed::of_operator(Action::OrganizationCreated, Some(STATION.into())), now_ms).await?;
    Ok(leave_to_followers(writing.tx).await?)
}

const REGION: &str = "119999";
const OFFICE: &str = "119999-01";

async fn plant(writing: &mut Writing, today: Date) -> Result<(), ServiceError> {
    let office = OfficeCode::parse(OFFICE).ok_or(ServiceError::WrongConstant("the office of the sandbox"))?;
    for (magic, digest) in magic_digests(today)? {
        let Some(seed) = magic.seed else { continue };
        match seed {
            Seed::Report { card_valid_from } => {
                let validity = CardValidity::new(card_valid_from, None, today)
                    .map_err(|_| ServiceError::WrongConstant("a magic card is none on this day"))?;
                let filing = Filing {
                    digest,
                    validity,
                    reason: Reason::Lost,
                    lost_on: None,
                    reporter: Reporter::Holder,
                    office: office.clone(),
                    channel: Channel::Station,
                    phone: None,
                };
                let (keyring, pepper) = (&writing.keyring, &writing.peppers.current);
                let new = filing.seal(keyring, pepper, seeded_id(magic.number)?, Some(STATION), writing.now_ms)?;
                listing::reported(writing, std::slice::from_ref(&new)).await?;
            }
            Seed::Replacement { card_valid_from } => {
                let replacing = Replacing { digest, card_valid_from, office: office.clone() };
                listing::replaced(writing, STATION, seeded_id(magic.number)?, &replacing).await?;
            }
        }
    }
    Ok(())
}

/// The id of a magic number's seeded record.
pub fn seeded_id<T: Id>(number: &str) -> Result<T, ServiceError> {
    let code = number.get(14..17).and_then(|code| u128::from_str_radix(code, 16).ok());
    let code = code.ok_or(ServiceError::WrongConstant("a magic number has no code"))?;
    Ok(T::from_uuid(Uuid::from_u128(SEEDED | code)))
}
