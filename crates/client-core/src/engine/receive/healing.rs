//! Healing (docs/protocol.md, "What a client does with them"): what a verified peer sent and this device could not decrypt
//! is asked for again, in a new session; and what a peer could not decrypt is encrypted anew for it.
//!
//! A failed decryption never alters a session. Both directions are bounded: one request an hour and three a day for
//! each device, 64 envelopes each, answered as rarely; a content is sent again at most twice, and only to the device it
//! went to before.

use subrosa_wire::{DeviceAddress, EnvelopeId};

use crate::{
    api::ApiError,
    content::{Body, RetryRequest},
    engine::core::{Change, Core, arrival::Sender},
    limits::MAX_RESENDS,
    store::{self, deliveries, envelopes::Outcome, outbox, retries, sessions},
};

impl Change<'_> {
    /// Asks a device for what is in quarantine, if it may be asked now.
    pub(crate) fn ask_again(&mut self, device: &DeviceAddress) -> Result<(), ApiError> {
        let envelope_ids = retries::take_request(self.db, device, self.now_ms)?;
        if envelope_ids.is_empty() {
            return Ok(());
        }
        // The request is the first message of a new session: whatever is wrong with the old ones stays behind.
        sessions::archive(self.db, device)?;
        self.queue_for(&device.account, device.device, Body::RetryRequest(RetryRequest { envelope_ids }))
    }

    /// A device could not decrypt envelopes of ours. It is answered for ids that our log shows as sent to it, and as rarely
    /// as it may ask: an answer to anything else would tell whoever asks, unseen by the person, that this device is on.
    /// Whatever the envelopes carried is encrypted anew, from its encoded form: a receiver that has it after all drops it.
    pub(in crate::engine) fn send_again(
        &mut self,
        sender: &DeviceAddress,
        request: &RetryRequest,
    ) -> Result<Outcome, ApiError> {
        if !deliveries::any_sent(self.db, &request.envelope_ids, sender)?
            || !retries::take_answer(self.db, sender, self.now_ms)?
        {
            return Ok(Outcome::Applied);
        }
        for id in &request.envelope_ids {
            if outbox::send_again(self.db, id, sender, MAX_RESENDS)? {
                self.wake_outbox();
            }
        }
        Ok(Outcome::Applied)
    }

    /// Sets an envelope of a verified device aside and asks for it again.
    pub(in crate::engine) fn set_aside(
        &mut self,
        id: &EnvelopeId,
        sender: &Sender,
        envelope: (&[u8], &[u8]),
        reason: &str,
    ) -> Result<Outcome, ApiError> {
        // Only for people we talk to: strangers neither fill the quarantine nor get an answer.
        if !self.may_leave_for(&sender.device.account)? {
            return Ok(Outcome::Junk);
        }
        store::envelopes::quarantine(self.db, id, &sender.device, envelope, reason, self.now_ms)?;
        Ok(Outcome::Quarantined)
    }
}

impl Core {
    /// Asks every device whose turn has come.
    pub(crate) fn ask_all_again(&mut self) -> Result<(), ApiError> {
        self.change(|change| {
            for device in retries::devices_to_ask(change.db)? {
                change.ask_again(&device)?;
            }
            Ok(())
        })
    }
}
