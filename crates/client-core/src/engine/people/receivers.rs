//! Whom a text is for. Decided for all receivers before anything is queued for one of them: half a line that was mistyped must
//! not reach anybody.

use subrosa_wire::{AccountId, Handle};

use crate::{
    api::{ApiError, ContactState, ErrorKind, Person, Receivers, ReceiversParams},
    clean::clean_line,
    conversation::ConversationId,
    engine::{
        core::Core,
        people::{
            self,
            chat_names::{find_chat, is_self},
            naming,
        },
    },
    limits::MAX_RECEIVERS,
    net::RelayEndpoint,
    store::contacts::{self, ContactRow},
};

/// What every refusal of a receiver ends with.
const NOTHING_SENT: &str = "nothing was sent to anybody";

/// What is known here about somebody a text is for.
pub(in crate::engine) enum Known {
    /// A conversation: with a contact, or with ourselves.
    Conversation(ConversationId),
    /// Nobody here: the own relay may be asked.
    Nobody(RelayEndpoint),
}

/// Refuses to write to who is blocked, or has asked and is not accepted.
pub(in crate::engine) fn check_writable(contact: &ContactRow) -> Result<(), ApiError> {
    let name = &contact.name;
    match contact.state {
        ContactState::Ok | ContactState::Requested => Ok(()),
        ContactState::Request => {
            Err(ApiError::new(ErrorKind::Failed, format!("{name} has asked to write to you and is not accepted yet"))
                .hint(format!("`subrosa contact accept '{name}'` accepts them")))
        }
        ContactState::Blocked => Err(ApiError::new(ErrorKind::Failed, format!("{name} is blocked"))
            .hint(format!("`subrosa contact unblock '{name}'` takes it back"))),
        ContactState::Removed => Err(people::not_found(&contact.account().to_string())),
    }
}

/// Our own handle is nobody to ask.
pub(in crate::engine) fn own_handle(handle: &str) -> ApiError {
    ApiError::new(ErrorKind::Usage, format!("{handle:?} is your own handle: {NOTHING_SENT}"))
        .hint("notes to yourself: subrosa send me -m TEXT")
}

/// Somebody who is no contact; says how a person would ask them, if it can be a handle.
fn stranger(who: &str) -> ApiError {
    let error =
        ApiError::new(ErrorKind::NotFound, format!("no contact is named {:?}: {NOTHING_SENT}", clean_line(who)));
    match who.parse::<Handle>() {
        Ok(handle) => error.hint(format!(
            "if you mean a stranger at your relay who has this handle, ask them: subrosa request {handle} -m TEXT"
        )),
        Err(_) => error.hint("`subrosa contact list` shows everybody; `subrosa join LINK` adds somebody"),
    }
}

/// The same refusal, saying also that nobody got anything.
fn nothing_sent(error: ApiError) -> ApiError {
    if error.message.ends_with(NOTHING_SENT) {
        return error;
    }
    ApiError { message: format!("{}: {NOTHING_SENT}", error.message), ..error }
}

impl Core {
    /// Finds a contact or ourselves; who is nobody here stays unknown only if a stranger may be meant.
    pub(in crate::engine) fn known_receiver(&self, who: &str, request: bool) -> Result<Known, ApiError> {
        match find_chat(&self.db, &self.own, who) {
            Ok(chat) => {
                if request {
                    self.check_request(who, chat.other.as_ref())?;
                }
                Ok(Known::Conversation(chat.id))
            }
            Err(error) if error.code == ErrorKind::NotFound && request => {
                let relay = RelayEndpoint::new(self.own.relay.clone(), self.own.pin);
                Ok(Known::Nobody(relay.map_err(|error| error.to_api())?))
            }
            Err(error) if error.code == ErrorKind::NotFound => Err(stranger(who)),
            Err(error) => Err(nothing_sent(error)),
        }
    }

    /// A handle was said: a contact who is only *named* so is somebody else.
    fn check_request(&self, who: &str, found: Option<&AccountId>) -> Result<(), ApiError> {
        if is_self(&self.own, who) {
            return Err(own_handle(who));
        }
        let Some(found) = found else { return Ok(()) };
        let Some(contact) = contacts::get(&self.db, found)? else { return Ok(()) };
        let by_name = naming::folded(&contact.name) == naming::folded(who);
        if by_name && (contact.peer.handle != who || contact.peer.relay != self.own.relay) {
            return Err(ApiError::new(
                ErrorKind::Usage,
                format!(
                    "{who:?} is a contact of yours ({}), and may also be the handle of a stranger at your relay: {NOTHING_SENT}",
                    naming::described(&contact)
                ),
            )
            .hint("to the contact: subrosa send; for the stranger, give the contact another name first"));
        }
        Ok(())
    }

    /// Who is meant by these names. All may be written to, or nobody is named.
    pub(in crate::engine) fn receivers(&self, params: &ReceiversParams) -> Result<Receivers, ApiError> {
        let to = &params.to;
        if to.len() > MAX_RECEIVERS {
            return Err(ApiError::new(
                ErrorKind::Usage,
                format!("at most {MAX_RECEIVERS} receivers at once: {NOTHING_SENT}"),
            )
            .hint("send it in several calls"));
        }
        let receivers = to.iter().map(|who| self.receiver_named(who)).collect::<Result<_, _>>();
        Ok(Receivers { receivers: receivers.map_err(nothing_sent)? })
    }

    fn receiver_named(&self, who: &str) -> Result<Person, ApiError> {
        let chat = match find_chat(&self.db, &self.own, who) {
            Err(error) if error.code == ErrorKind::NotFound => return Err(stranger(who)),
            found => found?,
        };
        let Some(account) = chat.other else {
            let notes = chat.id == self.own.notes();
            let id = if notes { self.own.address.account.to_string() } else { chat.id.to_string() };
            return Ok(Person { id, name: chat.name });
        };
        if let Some(contact) = contacts::get(&self.db, &account)? {
            check_writable(&contact)?;
        }
        Ok(Person { id: account.to_string(), name: chat.name })
    }
}
