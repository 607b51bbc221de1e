//! Meeting people: what needs a relay's answer before the core can act. By handle, and by contact link from both ends.

use std::time::Duration;

use subrosa_crypto::{AccountRecord, LinkKeys};
use subrosa_wire::{
    AccountId, Capability, ContactLink, ContactToken, DeviceAddress, ErrorCode, Handle, LinkError, LinkSecret,
    RegistrationToken, TokenBinding,
    http::{Devices, GetDevices, Resolve},
    link::is_loopback,
};
use tokio::time::timeout;

use crate::{
    api::{ApiError, Connection, Contact, ErrorKind, Invite, InviteParams, JoinParams},
    conversation::ConversationId,
    engine::{
        Engine,
        core::ids::random_id,
        people::{
            self,
            receivers::{self, Known},
        },
    },
    net::{NetError, RelayEndpoint},
    requests,
    store::{self, contacts::OpenedLink},
};

/// A link must be at the relay within this time, or it is not handed out.
pub(in crate::engine) const LINK_TIMEOUT: Duration = Duration::from_secs(15);

impl Engine {
    /// Whom a text is for. Somebody who is no contact only by their handle, and only if that was said: a mistyped name must
    /// not become a message to whoever has it as a handle.
    pub(in crate::engine) async fn receiver(&self, who: String, request: bool) -> Result<ConversationId, ApiError> {
        let core = &self.inner.core;
        let asked = who.clone();
        let known = core.run(move |core| core.known_receiver(&asked, request)).await?;
        let relay = match known {
            Known::Conversation(conversation) => return Ok(conversation),
            Known::Nobody(relay) => relay,
        };
        let Ok(handle) = who.parse::<Handle>() else { return Err(people::not_found(&who)) };
        let resolved = match self.inner.http.call(&relay, &Resolve { handle: handle.clone() }).await {
            Ok(resolved) => resolved,
            Err(error) if is_not_found(&error) => {
                return Err(ApiError::new(
                    ErrorKind::NotFound,
                    format!(
                        "no contact is named {handle:?}, and nobody at {relay} has that handle: nothing was sent to anybody",
                        handle = handle.as_str()
                    ),
                )
                .hint(
                    "`subrosa contact list` shows your contacts; people on other relays are reached by a contact link",
                ));
            }
            Err(error) => return Err(error.to_api()),
        };
        let (record, devices) = self.devices_at(&relay, resolved.account).await?;
        core.run(move |core| {
            if resolved.account == core.own.address.account {
                return Err(receivers::own_handle(handle.as_str()));
            }
            let account = core.change(|change| change.add_requested(handle.as_str(), &record, &devices.device_list))?;
            Ok(core.own.chat_with(&account))
        })
        .await
    }

    /// An account's record and list from a relay; the record must be the account's.
    async fn devices_at(
        &self,
        relay: &RelayEndpoint,
        account: AccountId,
    ) -> Result<(AccountRecord, Devices), ApiError> {
        let devices = self.inner.http.call(relay, &GetDevices { account }).await.map_err(|error| error.to_api())?;
        let record = AccountRecord::decode(&devices.account_record).ok().filter(|record| record.id() == account.0);
        let record = record.ok_or_else(|| {
            ApiError::new(ErrorKind::IdentityChanged, format!("{relay} gave another account than the one asked for"))
                .hint("do not trust this relay; get a new contact link over another channel")
        })?;
        Ok((record, devices))
    }

    pub(in crate::engine) async fn make_link(&self, params: InviteParams) -> Result<Invite, ApiError> {
        let registration = params.registration_token.as_deref().map(RegistrationToken::from_text).transpose();
        let registration = registration.map_err(|error| ApiError::new(ErrorKind::Usage, error.to_string()))?;
        let core = &self.inner.core;
        // Made again with its request id after a death, this is the same link, and the wait goes on.
        let (link, expires_ms, task) = core
            .once(move |core| {
                let (secret, expires_ms, task) = core.new_link(params.ttl_s)?;
                let handle = core.own.handle.parse().map_err(|_| store::StoreError::Damaged("account row"))?;
                let link = ContactLink {
                    relay: core.own.relay.clone(),
                    pin: core.own.pin,
                    account: core.own.address.account,
                    handle,
                    list_version: core.own.list.version(),
                    secret,
                    registration,
                };
                Ok((link.to_string(), expires_ms, task))
            })
            .await?;
        let made: ContactLink =
            link.parse().map_err(|_| ApiError::new(ErrorKind::Failed, "the new link is not valid"))?;
        let token = link_token(&made.secret, &made.account);
        let failures = self.inner.link.borrow().failures;
        let registered = async {
            let mut link = self.inner.link.clone();
            let mut progress = self.inner.signals.progress.subscribe();
            loop {
                let id = token.clone();
                let (waits, stands) = core
                    .run(move |core| {
                        let stands = store::invites::get(&core.db, id.as_bytes())?.is_some();
                        Ok((store::tasks::waits(&core.db, task)?, stands))
                    })
                    .await?;
                if !stands {
                    return Err(ApiError::new(ErrorKind::RateLimited, "your relay takes no more contact links now")
                        .hint("wait until some have expired; links with a short --ttl make room sooner"));
                }
                if !waits {
                    return Ok(());
                }
                let failed = {
                    let state = link.borrow_and_update();
                    let failed = state.failures > failures
                        || matches!(
                            state.connection,
                            Connection::Offline | Connection::Displaced | Connection::Removed
                        );
                    failed.then(|| state.error.clone().unwrap_or_else(unreachable))
                };
                if let Some(error) = failed {
                    return Err(error);
                }
                tokio::select! {
                    biased;
                    _ = link.changed() => {}
                    _ = progress.changed() => {}
                }
            }
        };
        let registered = timeout(LINK_TIMEOUT, registered).await.unwrap_or_else(|_| Err(unreachable()));
        if let Err(error) = registered {
            let request = requests::current().map(|request| request.id);
            core.run(move |core| core.withdraw_link(&token, task, request)).await?;
            return Err(error);
        }
        Ok(Invite { link, expires_ms })
    }

    pub(in crate::engine) async fn use_link(&self, params: JoinParams) -> Result<Contact, ApiError> {
        let link: ContactLink = params.link.parse().map_err(|error: LinkError| {
            let hint = match error {
                LinkError::IsRelay => "make an account there with it: subrosa init --relay LINK --name NAME",
                LinkError::Old => "each program makes links for its own time; both of you need the newest version",
                _ => "paste the whole link, in quotes",
            };
            ApiError::new(ErrorKind::Usage, error.to_string()).hint(hint)
        })?;
        let core = &self.inner.core;
        let account = link.account;
        let token = link_token(&link.secret, &account);
        let used = token.clone();
        let (own, own_relay, known) = core
            .run(move |core| {
                // Also by this very link: a call that was cut off is made again. The token is bound by our first envelope,
                // so that another binding would be refused as somebody else's.
                let known = store::contacts::get(&core.db, &account)?.filter(|contact| {
                    let by_this_link = contact.reach.link.as_ref().is_some_and(|opened| opened.token == used);
                    contact.verified && (contact.state == crate::api::ContactState::Ok || by_this_link)
                });
                Ok((
                    core.own.address.account,
                    core.own.relay.clone(),
                    known.map(|contact| people::view(&core.own, &contact)),
                ))
            })
            .await?;
        if own == account {
            return Err(ApiError::new(ErrorKind::Usage, "this is your own link")
                .hint("give it to the person who is to write to you"));
        }
        if let Some(contact) = known {
            return Ok(contact);
        }
        // Their client will not call at its own machine because we say so (`Change::may_call`): without this, the link would be
        // used up, everything would seem sent, and nothing would ever be shown to them.
        if is_loopback(&own_relay) && !is_loopback(&link.relay) {
            let (ours, theirs) = (own_relay.as_str().trim_end_matches('/'), link.relay.as_str().trim_end_matches('/'));
            return Err(ApiError::new(
                ErrorKind::Usage,
                format!("your relay {ours} is reached from this machine only, so somebody at {theirs} could not answer you"),
            )
            .hint("make an account at a relay that both of you reach; the link stays good: subrosa init --link LINK --name NAME"));
        }
        let relay = RelayEndpoint::new(link.relay.clone(), link.pin).map_err(|error| error.to_api())?;
        let (record, devices) = self.devices_at(&relay, account).await?;
        let binding = TokenBinding::new(random_id()?);
        // Taking a bundle proves that the link still works, before anything is stored.
        let device = subrosa_crypto::DeviceList::decode(&devices.device_list)
            .ok()
            .and_then(|list| list.verify(&record).ok())
            .and_then(|list| list.devices().first().map(subrosa_crypto::DeviceCertificate::number))
            .map(|device| DeviceAddress { account, device });
        let capability = Capability::ContactToken { token: token.clone(), binding: binding.clone() };
        let proof = LinkKeys::derive(link.secret.as_bytes(), &account.0).prove(&own.0);
        let opened = OpenedLink { token, binding, proof };
        let mut bundle = None;
        if let Some(device) = device {
            let asked = self.inner.http.prekeys(&relay, &[device], Some(&capability)).await;
            let prekeys = asked.map_err(|error| link_error(&error))?.pop();
            let prekeys = prekeys.transpose().map_err(|refusal| link_error(&NetError::refused(refusal)))?;
            bundle = prekeys.map(|prekeys| (device, prekeys));
        }
        // One transaction: a bundle that does not verify leaves no contact behind.
        core.run(move |core| {
            core.change(|change| {
                let contact = change.join(&link, &record, &devices.device_list, opened)?;
                if let Some((device, prekeys)) = bundle
                    && !store::sessions::has_current(change.db, &device)?
                {
                    change.start_session(device, &prekeys)?;
                }
                Ok(contact)
            })
        })
        .await
    }
}

/// What the relay of `inviter` is shown of a link.
pub(in crate::engine) fn link_token(secret: &LinkSecret, inviter: &AccountId) -> ContactToken {
    ContactToken::new(LinkKeys::derive(secret.as_bytes(), &inviter.0).token())
}

fn unreachable() -> ApiError {
    ApiError::new(ErrorKind::RelayUnreachable, "your relay is not reached").hint("`subrosa status` says why")
}

fn is_not_found(error: &crate::net::NetError) -> bool {
    matches!(error, crate::net::NetError::Refused(refusal) if refusal.code == ErrorCode::NotFound)
}

/// What a refusal of a link's token means.
fn link_error(error: &crate::net::NetError) -> ApiError {
    match error {
        crate::net::NetError::Refused(refusal)
            if matches!(refusal.code, ErrorCode::CapabilityRefused | ErrorCode::TokenUsed) =>
        {
            let what = if refusal.code == ErrorCode::TokenUsed {
                "this contact link was already used by somebody else"
            } else {
                "this contact link was already used, has expired or was withdrawn"
            };
            ApiError::new(ErrorKind::LinkUsed, what).hint("ask for a new one: each works once")
        }
        other => other.to_api(),
    }
}
