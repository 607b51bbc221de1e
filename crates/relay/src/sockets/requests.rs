//! What a device asks on its authenticated socket: prekeys, lists, capabilities, the request lane.

use bytes::Bytes;
use subrosa_wire::{
    AccountId, DeviceAddress, ErrorCode,
    limits::{MAX_PREVIOUS_KEY_VALIDITY, MAX_TOKEN_EXPIRY},
    mailbox::{MailboxRequest, RequestOutcome},
    submit::{EnvelopeClass, Refusal, Submit, SubmitResult},
};

use crate::{
    backend::{Batch, ItemOutcome, Permission, Source, Store, StoreError},
    clock::now_ms,
    policy::identity::{AccountRecord, DeviceList},
    router::Router,
    shared::Shared,
    sockets::submit::result_of,
};

/// Does what a device asks of its own account.
pub(crate) async fn answer<B: Store, R: Router>(
    shared: &Shared<B, R>,
    source: Source,
    device: DeviceAddress,
    request: MailboxRequest,
) -> Result<RequestOutcome, Refusal> {
    let account = device.account;
    let limited = |retry_after_s| Refusal { code: ErrorCode::RateLimited, retry_after_s };
    shared.rates.own_requests.take(account, 1, subrosa_ambient::instant()).map_err(limited)?;
    let store = &shared.store;
    let done = match request {
        MailboxRequest::PutPrekeys(upload) => store.put_prekeys(source, device, upload).await,
        MailboxRequest::PutDeviceList(list) => put_device_list(shared, source, account, list).await,
        MailboxRequest::SetDeliveryKeys { current, previous, previous_valid_s } => {
            let valid_s = u64::from(previous_valid_s).min(MAX_PREVIOUS_KEY_VALIDITY.as_secs());
            let until = now_ms().saturating_add(valid_s * 1_000);
            store.set_delivery_keys(source, account, current, previous.map(|hash| (hash, until))).await
        }
        MailboxRequest::PutContactToken { token, expiry_s } => {
            let longest = MAX_TOKEN_EXPIRY.as_secs();
            let lives_s = if expiry_s == 0 { longest } else { u64::from(expiry_s).min(longest) };
            store.put_contact_token(source, account, token, now_ms().saturating_add(lives_s * 1_000)).await
        }
        MailboxRequest::RemoveContactToken(token) => store.remove_contact_token(source, account, token).await,
        MailboxRequest::RemoveAccount => remove_account(shared, account).await,
        MailboxRequest::SubmitRequest(submit) => {
            return submit_request(shared, source, account, submit).await.map(RequestOutcome::Submit);
        }
    };
    done.map(|()| RequestOutcome::Done).map_err(|error| {
        let refusal = error.refusal();
        shared.metrics.refusal(refusal.code);
        refusal
    })
}

async fn put_device_list<B: Store, R: Router>(
    shared: &Shared<B, R>,
    source: Source,
    account: AccountId,
    bytes: Bytes,
) -> Result<(), StoreError> {
    let invalid = || StoreError::refused(ErrorCode::InvalidSignature);
    let held = shared.store.devices(account).await?.ok_or_else(|| StoreError::refused(ErrorCode::NotFound))?;
    let record = AccountRecord::parse(&held.account_record).map_err(|_| invalid())?;
    let list = DeviceList::parse(&bytes, &record).map_err(|_| invalid())?;
    for gone in shared.store.put_device_list(source, bytes, list).await? {
        shared.router.end(gone, ErrorCode::AuthenticationFailed).await;
    }
    Ok(())
}

/// The session that asked gets its answer first: it hears of its end when it looks for news again.
async fn remove_account<B: Store, R: Router>(shared: &Shared<B, R>, account: AccountId) -> Result<(), StoreError> {
    for gone in shared.store.remove_account(account).await? {
        shared.router.end(gone, ErrorCode::AuthenticationFailed).await;
    }
    Ok(())
}

/// The request lane: one account's devices, no capability, nothing ephemeral.
async fn submit_request<B: Store, R: Router>(
    shared: &Shared<B, R>,
    source: Source,
    sender: AccountId,
    submit: Submit,
) -> Result<Vec<SubmitResult>, Refusal> {
    let malformed = Refusal::never(ErrorCode::Malformed);
    let receiver = submit.items.first().ok_or(malformed)?.device.account;
    let fits = submit.items.iter().all(|item| {
        item.device.account == receiver && item.capability.is_none() && item.class == EnvelopeClass::Durable
    });
    if !fits {
        return Err(malformed);
    }
    let admitted = shared.lane.admit(sender, receiver, subrosa_ambient::instant());
    let permission = admitted.map_or_else(Permission::RequestRefused, |()| Permission::Request);
    let devices: Vec<DeviceAddress> = submit.items.iter().map(|item| item.device).collect();
    let batch = Batch::new(submit, now_ms(), |_| permission);
    let outcome = match shared.store.submit(source, batch).await {
        Ok(receipt) => receipt.outcome().await,
        Err(error) => Err(error),
    };
    outcome.iter().flatten().for_each(|outcome| shared.metrics.outcome(outcome));
    let stored: Vec<_> = outcome
        .iter()
        .flatten()
        .zip(&devices)
        .filter_map(|(outcome, device)| match outcome {
            ItemOutcome::Stored(seq) => Some((*device, *seq)),
            _ => None,
        })
        .collect();
    if admitted.is_ok() {
        shared.lane.stored(sender, receiver, stored.clone(), subrosa_ambient::instant());
    }
    for (device, _) in stored {
        shared.router.wake(device).await;
    }
    outcome.map(|outcomes| outcomes.into_iter().map(result_of).collect()).map_err(|error| error.refusal())
}
