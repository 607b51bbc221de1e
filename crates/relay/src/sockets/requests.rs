//! What a device asks on its authenticated socket: prekeys, lists, capabilities, the request lane.

use std::time::Duration;

use bytes::Bytes;
use subrosa_wire::{
    AccountId, CapabilityHash, DeviceAddress, ErrorCode,
    limits::{MAX_PREVIOUS_KEY_VALIDITY, MAX_PREVIOUS_MEMBER_KEY_VALIDITY, MAX_TOKEN_EXPIRY},
    mailbox::{MailboxRequest, RequestOutcome},
    submit::{Refusal, Submit, SubmitResult},
};

use crate::{
    backend::{Directory as _, KeyScope, Source, StoreError},
    clock::now_ms,
    ledger::{Ledger as _, Limit},
    parts::Parts,
    policy::{
        facts::Keys,
        found,
        identity::{AccountRecord, DeviceList},
        permission::Permission,
        submission::{ItemOutcome, judge_request},
        token_uses,
    },
    router::Router as _,
    shared::Shared,
    sockets::intake::{Queued, result_of},
};

/// Does what a device asks of its own account.
pub(crate) async fn answer<P: Parts>(
    shared: &Shared<P>,
    source: Source,
    device: DeviceAddress,
    request: MailboxRequest,
) -> Result<RequestOutcome, Refusal> {
    let account = device.account;
    let limited = |retry_after_s| Refusal { code: ErrorCode::RateLimited, retry_after_s };
    shared.ledger.take(Limit::OwnRequests(account), 1).await.map_err(limited)?;
    let store = &shared.store;
    let done = match request {
        MailboxRequest::PutPrekeys(upload) => store.put_prekeys(source, device, upload).await,
        MailboxRequest::PutDeviceList(list) => put_device_list(shared, source, account, list).await,
        MailboxRequest::SetDeliveryKeys { current, previous, previous_valid_s } => {
            let keys = keys(current, previous, previous_valid_s, MAX_PREVIOUS_KEY_VALIDITY);
            store.set_keys(source, account, KeyScope::Delivery, keys).await
        }
        MailboxRequest::SetMemberKeys { current, previous, previous_valid_s } => {
            let keys = keys(current, previous, previous_valid_s, MAX_PREVIOUS_MEMBER_KEY_VALIDITY);
            store.set_keys(source, account, KeyScope::Member, keys).await
        }
        MailboxRequest::PutContactToken { token, expiry_s, uses } => {
            let longest = MAX_TOKEN_EXPIRY.as_secs();
            let lives_s = if expiry_s == 0 { longest } else { u64::from(expiry_s).min(longest) };
            let expires_ms = now_ms().saturating_add(lives_s * 1_000);
            store.put_contact_token(source, account, token, expires_ms, token_uses(uses)).await
        }
        MailboxRequest::RemoveContactToken(token) => store.remove_contact_token(source, account, token).await,
        MailboxRequest::RemoveAccount => remove_account(shared, source, account).await,
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

/// A key and its predecessor, which is honoured no longer than `longest`.
fn keys(current: CapabilityHash, previous: Option<CapabilityHash>, valid_s: u32, longest: Duration) -> Keys {
    let valid_s = u64::from(valid_s).min(longest.as_secs());
    let until_ms = now_ms().saturating_add(valid_s * 1_000);
    Keys { current: Some(current), previous: previous.map(|hash| (hash, until_ms)) }
}

async fn put_device_list<P: Parts>(
    shared: &Shared<P>,
    source: Source,
    account: AccountId,
    bytes: Bytes,
) -> Result<(), StoreError> {
    let invalid = || Refusal::never(ErrorCode::InvalidSignature);
    let held = found(shared.store.devices(account).await?)?;
    let record = AccountRecord::parse(&held.account_record).map_err(|_| invalid())?;
    let list = DeviceList::parse(&bytes, &record).map_err(|_| invalid())?;
    for gone in shared.store.put_device_list(source, bytes, list).await? {
        shared.router.end(gone, ErrorCode::AuthenticationFailed).await;
    }
    Ok(())
}

/// The session that asked gets its answer first: it hears of its end when it looks for news again.
async fn remove_account<P: Parts>(shared: &Shared<P>, source: Source, account: AccountId) -> Result<(), StoreError> {
    for gone in shared.store.remove_account(source, account).await? {
        shared.router.end(gone, ErrorCode::AuthenticationFailed).await;
    }
    Ok(())
}

/// The request lane.
async fn submit_request<P: Parts>(
    shared: &Shared<P>,
    source: Source,
    sender: AccountId,
    submit: Submit,
) -> Result<Vec<SubmitResult>, Refusal> {
    let receiver = judge_request(&submit)?;
    let admitted = shared.ledger.request(sender, receiver).await;
    let permission = admitted.map_or_else(Permission::RequestRefused, |()| Permission::Request);
    let outcomes = Queued::new(shared, source, submit, |_| permission).await.settled(shared).await;
    if admitted.is_ok() {
        let stored = outcomes.iter().flatten().filter(|(_, outcome)| *outcome == ItemOutcome::Stored);
        let stored = stored.map(|(envelope, _)| *envelope).collect();
        shared.ledger.requested(sender, receiver, stored).await;
    }
    let outcomes = outcomes.map_err(|error| error.refusal())?;
    Ok(outcomes.into_iter().map(|(_, outcome)| result_of(outcome)).collect())
}
