//! Keys for new sessions: who asks is judged, shares are counted, and one-time keys are taken.

use std::collections::HashMap;

use subrosa_wire::{
    AccountId, CapabilityHash, DeviceAddress,
    http::{PrekeyBundles, Prekeys, Take as Asked, TakePrekeys},
    submit::Refusal,
};

use crate::{
    backend::{Directory as _, PrekeyFacts, Source, StoreError, Take},
    clock::{now_ms, today},
    ledger::Ledger as _,
    parts::Parts,
    policy::{
        Moment, found,
        permission::Permission,
        prekeys::{Given, Standing, is_low, judge_taking},
    },
    router::Router as _,
    shared::Shared,
};

/// Who is asked about, with which token and binding: facts are fetched once for each.
type Subject = (AccountId, Option<(CapabilityHash, CapabilityHash)>);

/// Takes keys of devices, one result for each in order. Who is refused holds nobody up.
///
/// # Errors
/// A store that cannot.
pub(super) async fn take<P: Parts>(
    shared: &Shared<P>,
    source: Source,
    asked: &TakePrekeys,
) -> Result<PrekeyBundles, StoreError> {
    let asked: Vec<(&Asked, Permission)> =
        asked.takes().iter().map(|take| (take, Permission::of(take.capability.as_ref()))).collect();
    let now = Moment { ms: now_ms(), day: today() };
    let facts = facts(shared, &asked, now).await?;
    let judged = asked.iter().map(|(take, permission)| {
        let DeviceAddress { account, device } = take.device;
        let facts = facts.get(&(account, permission.token()));
        let listed = facts.is_some_and(|facts| facts.devices.contains(&device));
        let (account, token) =
            (facts.and_then(|facts| facts.account.as_ref()), facts.and_then(|facts| facts.token.as_ref()));
        judge_taking(permission, account, token, listed, now)
    });
    let judged: Vec<Result<Given, Refusal>> = judged.collect();
    // Only now: what is read for who is refused is the same for everybody.
    let given = asked.iter().zip(&judged).filter(|(_, given)| given.is_ok()).map(|((take, _), _)| take.device);
    let given: Vec<DeviceAddress> = given.collect();
    let standing = if given.is_empty() { HashMap::new() } else { shared.store.standing_prekeys(given).await? };
    let mut results: Vec<Result<Prekeys, Refusal>> = Vec::with_capacity(asked.len());
    let mut takes: Vec<(usize, Take)> = Vec::new();
    for (place, ((take, permission), given)) in asked.iter().zip(judged).enumerate() {
        let prekeys = match given {
            // Removed a moment ago, if it is not there.
            Ok(_) => found(standing.get(&take.device).cloned()).and_then(Standing::prekeys),
            Err(refusal) => Err(refusal),
        };
        if prekeys.is_ok() {
            let token = permission.token().map(|(token, _)| token);
            let one_time = given == Ok(Given::OneTime) && shared.ledger.share(source, take.device, *permission).await;
            if one_time || token.is_some() {
                takes.push((place, Take { device: take.device, token, one_time }));
            }
        }
        if let Err(refusal) = &prekeys {
            shared.metrics.refusal(refusal.code);
        }
        results.push(prekeys);
    }
    if takes.is_empty() {
        return Ok(PrekeyBundles(results));
    }
    let taken = shared.store.take_prekeys(source, takes.iter().map(|(_, take)| *take).collect()).await?;
    for ((place, take), taken) in takes.iter().zip(taken) {
        if let Some(Ok(prekeys)) = results.get_mut(*place) {
            prekeys.one_time_ec = taken.ec;
            if let Some(kem) = taken.kem {
                prekeys.kem = kem;
                prekeys.kem_last_resort = false;
            }
        }
        if let Some(left) = taken.left.filter(|left| is_low(*left)) {
            shared.router.prekeys_low(take.device, left).await;
        }
    }
    Ok(PrekeyBundles(results))
}

/// What the rules look at, fetched once for each account and token that is asked about.
async fn facts<P: Parts>(
    shared: &Shared<P>,
    asked: &[(&Asked, Permission)],
    now: Moment,
) -> Result<HashMap<Subject, PrekeyFacts>, StoreError> {
    let mut wanted: HashMap<Subject, Vec<u32>> = HashMap::new();
    for (take, permission) in asked {
        wanted.entry((take.device.account, permission.token())).or_default().push(take.device.device);
    }
    let mut facts = HashMap::with_capacity(wanted.len());
    for ((account, shown), devices) in wanted {
        facts.insert((account, shown), shared.store.prekey_facts(account, devices, shown, now.day).await?);
    }
    Ok(facts)
}
