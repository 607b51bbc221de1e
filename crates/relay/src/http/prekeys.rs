//! Keys for a new session: who asks is judged, a share is counted, and one-time keys are taken.

use subrosa_wire::{
    DeviceAddress,
    http::{Prekeys, TakePrekeys},
};

use crate::{
    backend::{Directory as _, Source, StoreError, Take},
    clock::now_ms,
    ledger::Ledger as _,
    parts::Parts,
    policy::{
        permission::Permission,
        prekeys::{is_low, judge_taking},
    },
    router::Router as _,
    shared::Shared,
};

/// Takes the keys of a device.
///
/// # Errors
/// What the rules say, or a store that cannot.
pub(super) async fn take<P: Parts>(
    shared: &Shared<P>,
    source: Source,
    asked: TakePrekeys,
) -> Result<Prekeys, StoreError> {
    let DeviceAddress { account, device: number } = asked.device;
    let permission = Permission::of(asked.capability.as_ref());
    let token = permission.token().copied();
    let facts = shared.store.prekey_facts(account, vec![number], token).await?;
    let given =
        judge_taking(&permission, facts.account.as_ref(), facts.token.as_ref(), facts.devices.get(&number), now_ms())?;
    let mut prekeys = given.prekeys;
    let one_time = given.one_time && shared.ledger.share(source, asked.device, permission).await;
    if !one_time && token.is_none() {
        return Ok(prekeys);
    }
    let taken = shared.store.take_prekeys(source, vec![Take { device: asked.device, token, one_time }]).await?;
    for taken in taken {
        prekeys.one_time_ec = taken.ec;
        if let Some(kem) = taken.kem {
            prekeys.kem = kem;
            prekeys.kem_last_resort = false;
        }
        if let Some(left) = taken.left.filter(|left| is_low(*left)) {
            shared.router.prekeys_low(asked.device, left).await;
        }
    }
    Ok(prekeys)
}
