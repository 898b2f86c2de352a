//! A device gets tokens for who is at it: the assertion names the person, and proves the device's PIN for its `jti`. The PIN itself
//! never comes here. Tries are spent before they are judged, in the store, so that no number of nodes has more of them.

use super::client_auth::Unlocking;
use super::devices::{DeviceEntry, UnlockFault};
use super::directory::ClientEntry;
use super::{Access, GrantError};
use crate::crypto::pairing::proves_pin;
use crate::crypto::signing::from_base64url;
use crate::domain::audit::{Action, Deed};
use crate::domain::client::Actor;
use crate::domain::pairing::PINS_MISSED_MAX;
use crate::domain::person::ShortName;
use crate::store::{StoreError, WriteTx};

impl Access {
    /// Who is at a device, where the assertion proves its PIN.
    pub(super) async fn unlock(
        &self,
        client: &ClientEntry,
        device: &DeviceEntry,
        shown: &Unlocking<'_>,
    ) -> Result<ShortName, GrantError> {
        let clerk = shown.clerk.and_then(|name| ShortName::parse(name, self.clock.today()));
        let proof = shown.pin.and_then(from_base64url);
        let (Some(clerk), Some(proof)) = (clerk, proof) else { return Err(GrantError::Locked(UnlockFault::Missing)) };
        // One transaction, in its turn: who asks beside it meets a try that is judged, not one that is only spent.
        let mut tx = self.store.begin().await?;
        tx.take_turn().await?;
        let spent = tx.spend_pin(device.pairing).await?.ok_or(GrantError::Locked(UnlockFault::Locked))?;
        let is_right = proves_pin(self.keyring.sealer(), device.pairing, &device.pin_key, shown.token_id, &proof);
        if is_right.map_err(|_| StoreError::Corrupt("pairings.pin_key"))? {
            tx.return_pins(device.pairing).await?;
            tx.commit_unlisted().await?;
            return Ok(clerk);
        }
        let is_locked = spent >= PINS_MISSED_MAX;
        if is_locked {
            self.lock(&mut tx, client, device, clerk).await?;
        }
        tx.commit_unlisted().await?;
        Err(GrantError::Locked(if is_locked { UnlockFault::Locked } else { UnlockFault::Pin }))
    }

    async fn lock(
        &self,
        tx: &mut WriteTx,
        client: &ClientEntry,
        device: &DeviceEntry,
        clerk: ShortName,
    ) -> Result<(), StoreError> {
        let now_ms = self.clock.now_ms();
        if tx.lock_device(device.pairing, client.client_id, now_ms).await? {
            let actor = Actor { person: Some(clerk), ..Actor::new(client.organization_id, client.client_id) };
            tx.record_deed(&Deed::of(actor, Action::DeviceLocked, device.pairing), now_ms).await?;
            let (client, organization) = (client.client_id, client.organization_id);
            tracing::warn!(%client, %organization, "a device is locked, for its PIN was missed too often");
        }
        Ok(())
    }
}
