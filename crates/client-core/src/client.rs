//! The one trait through which every interface drives an engine: in this process or over its socket.
//!
//! The table below is the only list of methods. From it come the trait, the engine's side of it, the JSON-RPC dispatch of the
//! engine's socket, the client that speaks JSON-RPC, and which calls are carried out once; so CLI verbs, RPC methods and trait
//! methods cannot drift apart.
//!
//! Within a process a call is a function call, whoever hands it on ([`HandedOn`]). It becomes JSON where it leaves.

use std::future::Future;

use futures_util::future::BoxFuture;
use schemars::{Schema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::api::{
    AccountInfo, ApiError, BackupMade, BackupParams, Chat, ChatDraftParams, ChatSetParams, Chats, ChatsParams, Checkup,
    Contact, Contacts, Done, ErrorKind, EventPage, EventsParams, ExportPage, ExportParams, History, HistoryParams,
    Hits, Identity, InfoParams, Invite, InviteParams, InviteRevokeParams, Invites, JoinParams, KeepAgreeParams,
    KeepShowParams, Keeping, NoParams, Outbox, OutboxCancelParams, OutboxListParams, OutboxRetryParams, ReadParams,
    Receipts, ReceiveCommitParams, ReceiveParams, ReceiveReleaseParams, Received, Receivers, ReceiversParams,
    RenameParams, SearchParams, SendParams, Sent, Status, StatusWatchParams, TimeoutParams, VerifyParams, WaitParams,
    Waited, WhoParams,
};
use crate::requests::{self, REQUEST_ID};

/// One method, for the published schema.
pub(crate) struct MethodSchema {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) params: Schema,
    pub(crate) result: Schema,
}

/// The table of methods, given to a macro that makes something of it: a row for each,
/// `method = "JSON-RPC name"(parameters) -> result: who carries it out`.
///
/// - `core`: the function of that name of the engine's core does, with the parameters. It needs nothing but the store.
/// - `act`: the function of that name in `engine/acts.rs` does: it waits, or asks a relay.
/// - `once` before either: repeated, it would change something more or be answered otherwise, so its first result is kept and
///   given again ([`crate::requests`]).
macro_rules! method_table {
    ($make:ident) => {
        $make! {
            /// The account of this engine.
            account = "account"(NoParams) -> AccountInfo: act;
            /// Goes on with this copy of the account after another one was used; that one stops. `count` 0: this one goes on already.
            account_keep = "account.keep"(NoParams) -> Done: once act;
            /// Connection, outbox, unread, engine owner.
            status = "status"(NoParams) -> Status: act;
            /// Waits until the connection is another one than `relay`; then, or when time is up, as `status`.
            status_watch = "status.watch"(StatusWatchParams) -> Status: act;
            /// Makes a contact link; it is registered at the relay before it is returned.
            invite = "invite"(InviteParams) -> Invite: once act;
            /// Contact links that were made here and have not ended, used or not.
            invite_list = "invite.list"(NoParams) -> Invites: core;
            /// Takes a link back that nobody has used: neither the relay nor the engine lets anybody in with it any more.
            invite_revoke = "invite.revoke"(InviteRevokeParams) -> Done: once act;
            /// Uses a contact link: checks it against the inviter's relay, queues the introduction.
            join = "join"(JoinParams) -> Contact: act;
            /// Everybody.
            contact_list = "contact.list"(NoParams) -> Contacts: core;
            /// One contact.
            contact_show = "contact.show"(WhoParams) -> Contact: core;
            /// Accepts a request: they get our delivery key, receipts begin.
            contact_accept = "contact.accept"(WhoParams) -> Contact: once core;
            /// Shows a contact under another name, on this device only.
            contact_rename = "contact.rename"(RenameParams) -> Contact: once core;
            /// Blocks a contact: their key to our mailbox is dead at once, the others get a new one.
            contact_block = "contact.block"(WhoParams) -> Contact: once core;
            /// Takes a block back: the contact is what it was before.
            contact_unblock = "contact.unblock"(WhoParams) -> Contact: once core;
            /// Forgets a contact and the conversation with it; declines a request.
            contact_remove = "contact.remove"(WhoParams) -> Done: once core;
            /// Safety number; compares it when one is given.
            verify = "verify"(VerifyParams) -> Identity: once core;
            /// Who is meant by several names: all of them may be written to, or the error says which one may not. Nothing is sent.
            receivers = "receivers"(ReceiversParams) -> Receivers: core;
            /// Queues a message; it is durable when this returns.
            send = "send"(SendParams) -> Sent: act;
            /// Waits until a message got as far as asked.
            wait = "wait"(WaitParams) -> Sent: act;
            /// Waits until everything that was in the mailbox is committed here.
            drain = "drain"(TimeoutParams) -> Waited: act;
            /// Waits until everything in the outbox (receipts too) that can go has gone.
            flush = "flush"(TimeoutParams) -> Waited: act;
            /// Events after a cursor.
            events = "events"(EventsParams) -> EventPage: act;
            /// Takes the consumer, unless somebody else has it, and gives incoming messages after its cursor.
            receive = "receive"(ReceiveParams) -> Received: act;
            /// Moves the consumer's cursor: call it after the messages are safely out.
            receive_commit = "receive.commit"(ReceiveCommitParams) -> Done: act;
            /// Gives the consumer back, so that others need not wait for the end of the connection.
            receive_release = "receive.release"(ReceiveReleaseParams) -> Done: act;
            /// Conversations.
            chats = "chats"(ChatsParams) -> Chats: core;
            /// Mutes, pins or archives a conversation on this device, and says how long its messages are kept.
            chat_set = "chat.set"(ChatSetParams) -> Chat: once core;
            /// How long messages are kept here, and how many another time would delete.
            keep_show = "keep.show"(KeepShowParams) -> Keeping: core;
            /// The setting `keep` may delete messages of this account. `count`: so many are too old by it.
            keep_agree = "keep.agree"(KeepAgreeParams) -> Done: once core;
            /// Keeps a text that was begun and not sent.
            chat_draft = "chat.draft"(ChatDraftParams) -> Done: once core;
            /// Finds messages by their words.
            search = "search"(SearchParams) -> Hits: core;
            /// Messages that wait to leave.
            outbox_list = "outbox.list"(OutboxListParams) -> Outbox: core;
            /// Tries again now what waits for its next try.
            outbox_retry = "outbox.retry"(OutboxRetryParams) -> Done: once act;
            /// Takes back a message that no relay has accepted.
            outbox_cancel = "outbox.cancel"(OutboxCancelParams) -> Done: once core;
            /// Messages of one conversation.
            history = "history"(HistoryParams) -> History: core;
            /// A page of a whole conversation, from its oldest message on.
            export = "export"(ExportParams) -> ExportPage: core;
            /// Writes an encrypted backup of the store to a file, and checks it.
            backup = "backup"(BackupParams) -> BackupMade: act;
            /// Checks store and its size, relay, mailbox, clock, prekeys and outbox.
            doctor = "doctor"(NoParams) -> Checkup: act;
            /// Receipts of a message.
            info = "info"(InfoParams) -> Receipts: core;
            /// Marks as read; read receipts go out.
            read = "read"(ReadParams) -> Done: once core;
        }
    };
}
pub(crate) use method_table;

macro_rules! is_once {
    (once $($how:ident)+) => {
        true
    };
    ($how:ident) => {
        false
    };
}

macro_rules! methods {
    ($($(#[doc = $doc:literal])* $method:ident = $name:literal ($params:ty) -> $result:ty: $($how:ident)+;)*) => {
        /// What an engine can be asked. Object-safe: interfaces hold an `Arc<dyn Client>`.
        pub trait Client: Send + Sync {
            $($(#[doc = $doc])* fn $method(&self, params: $params) -> BoxFuture<'_, Result<$result, ApiError>>;)*
        }

        /// Every method's JSON-RPC name.
        pub const METHODS: &[&str] = &[$($name),*];

        /// Every method of the trait, and its JSON-RPC name.
        #[cfg(test)]
        const NAMES: &[(&str, &str)] = &[$((stringify!($method), $name)),*];

        /// Whether a repetition of this method is answered as the first time.
        pub(crate) fn runs_once(method: &str) -> bool {
            match method {
                $($name => is_once!($($how)+),)*
                _ => false,
            }
        }

        /// What every method is for, takes and gives: made from the types.
        pub(crate) fn method_schemas(input: &mut SchemaGenerator, output: &mut SchemaGenerator) -> Vec<MethodSchema> {
            vec![$(MethodSchema {
                name: $name,
                description: concat!($($doc),*).trim(),
                params: input.subschema_for::<$params>(),
                result: output.subschema_for::<$result>(),
            }),*]
        }

        /// Calls the method of that name with JSON parameters: the socket server's whole knowledge of the methods.
        ///
        /// # Errors
        /// What the method returns; [`ErrorKind::Usage`] for an unknown method or parameters that do not fit.
        pub async fn dispatch(client: &dyn Client, method: &str, mut params: Value) -> Result<Value, ApiError> {
            let request_id = requests::take_id(method, runs_once(method), &mut params)?;
            match method {
                $($name => {
                    let params: $params = serde_json::from_value(params)
                        .map_err(|error| ApiError::new(ErrorKind::Usage, format!("parameters of {}: {error}", $name)))?;
                    let request = requests::request($name, request_id, &params)?;
                    let result = requests::within(request, client.$method(params)).await?;
                    serde_json::to_value(result)
                        .map_err(|error| ApiError::new(ErrorKind::Failed, format!("result of {}: {error}", $name)))
                })*
                _ => Err(ApiError::new(ErrorKind::Usage, format!("no method named {method}"))),
            }
        }

        impl<T: RemoteCall> Client for Remote<T> {
            $(fn $method(&self, params: $params) -> BoxFuture<'_, Result<$result, ApiError>> {
                Box::pin(self.call($name, params))
            })*
        }

        impl<T: HandOn> Client for HandedOn<T> {
            $(fn $method(&self, params: $params) -> BoxFuture<'_, Result<$result, ApiError>> {
                let call = Call {
                    name: $name,
                    once: is_once!($($how)+),
                    make: |client, params| client.$method(params),
                };
                Box::pin(self.0.hand_on(call, params))
            })*
        }
    };
}

method_table!(methods);

/// Something that carries a JSON-RPC call to an engine.
pub trait RemoteCall: Send + Sync {
    /// Calls `method` and returns its result.
    fn call(&self, method: &'static str, params: Value) -> impl Future<Output = Result<Value, ApiError>> + Send;
}

/// A [`Client`] over a [`RemoteCall`].
#[derive(Debug)]
pub struct Remote<T>(pub T);

impl<T: RemoteCall> Remote<T> {
    async fn call<P: Serialize + Send, R: DeserializeOwned>(
        &self,
        method: &'static str,
        params: P,
    ) -> Result<R, ApiError> {
        let mut params = serde_json::to_value(params)
            .map_err(|error| ApiError::new(ErrorKind::Failed, format!("parameters of {method}: {error}")))?;
        if let (Some(request), Some(params)) = (requests::current(), params.as_object_mut()) {
            params.insert(REQUEST_ID.to_owned(), hex::encode(request.id).into());
        }
        let result = self.0.call(method, params).await?;
        serde_json::from_value(result).map_err(|error| {
            ApiError::new(ErrorKind::Failed, format!("the engine's answer to {method} is not understood: {error}"))
                .hint("the engine may be another version of subrosa: stop it and try again")
        })
    }
}

/// A method of the table, to be called of whichever client is there.
#[derive(Clone, Copy)]
pub(crate) struct Call<P, R> {
    pub(crate) name: &'static str,
    /// Its repetition is answered as the first time.
    pub(crate) once: bool,
    /// Calls it.
    pub(crate) make: for<'c> fn(&'c dyn Client, P) -> BoxFuture<'c, Result<R, ApiError>>,
}

/// Something that hands calls on to a client, and may do so again.
pub(crate) trait HandOn: Send + Sync {
    /// Makes the call of a client.
    fn hand_on<P: Clone + Serialize + Send + Sync, R: Send>(
        &self,
        call: Call<P, R>,
        params: P,
    ) -> impl Future<Output = Result<R, ApiError>> + Send;
}

/// A [`Client`] over a [`HandOn`].
pub(crate) struct HandedOn<T>(pub(crate) T);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_has_one_name_here_and_outside() {
        for (at, (method, name)) in NAMES.iter().enumerate() {
            assert_eq!(method.replacen('_', ".", 1), *name);
            assert!(!METHODS[..at].contains(name), "{name} stands twice");
        }
        assert_eq!(NAMES.len(), METHODS.len());
    }
}
