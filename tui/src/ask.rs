//! What the interface asks the engine, and what it hears: one table of calls.
//!
//! A row names a call, what it takes, what it gives and the method of [`Client`]. From it come the question ([`Call`]), the
//! answer with what was asked ([`Answer`]), and the one place where a question is carried to the engine.

use subrosa_client_core::{
    ApiError, Client,
    api::{
        AccountInfo, Chat, ChatDraftParams, ChatSetParams, Chats, ChatsParams, Contact, Done, History, HistoryParams,
        Hits, Identity, InfoParams, Invite, InviteParams, InviteRevokeParams, Invites, JoinParams, KeepShowParams,
        Keeping, NoParams, Outbox, OutboxCancelParams, OutboxListParams, OutboxRetryParams, ReadParams, Receipts,
        RenameParams, SearchParams, SendParams, Sent, Status, VerifyParams, WhoParams,
    },
};

/// Hits asked for at once: a few screens.
const HITS: u32 = 50;

macro_rules! calls {
    ($($name:ident($params:ty) -> $result:ty = $method:ident;)*) => {
        /// A question to the engine, or an act: what is asked, with all that the answer will be understood by.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) enum Call { $($name($params),)* }

        /// What was asked, and what the engine says.
        #[derive(Debug)]
        // It lives in one box; and some answers are understood without what was asked.
        #[allow(clippy::large_enum_variant, dead_code)]
        pub(crate) enum Answer { $($name($params, Result<$result, ApiError>),)* }

        impl Call {
            /// Asks the engine.
            pub(crate) async fn carry(self, client: &dyn Client) -> Answer {
                match self {
                    $(Self::$name(params) => {
                        let answer = client.$method(params.clone().into()).await;
                        Answer::$name(params, answer)
                    })*
                }
            }

            /// The answer to what could not be asked.
            pub(crate) fn refused(self, error: ApiError) -> Answer {
                match self { $(Self::$name(params) => Answer::$name(params, Err(error)),)* }
            }
        }
    };
}

calls! {
    Account(NoParams) -> AccountInfo = account;
    Status(NoParams) -> Status = status;
    Chats(ChatsParams) -> Chats = chats;
    History(PageOf) -> History = history;
    Search(Query) -> Hits = search;
    Send(SendParams) -> Sent = send;
    Draft(ChatDraftParams) -> Done = chat_draft;
    Read(UpTo) -> Done = read;
    SetChat(ChatSetParams) -> Chat = chat_set;
    KeepShow(KeepShowParams) -> Keeping = keep_show;
    Rename(RenameParams) -> Contact = contact_rename;
    Block(WhoParams) -> Contact = contact_block;
    Unblock(WhoParams) -> Contact = contact_unblock;
    Remove(WhoParams) -> Done = contact_remove;
    Accept(WhoParams) -> Contact = contact_accept;
    Contact(WhoParams) -> Contact = contact_show;
    Verify(VerifyParams) -> Identity = verify;
    Receipts(InfoParams) -> Receipts = info;
    Outbox(OutboxListParams) -> Outbox = outbox_list;
    Retry(OutboxRetryParams) -> Done = outbox_retry;
    TakeBack(OutboxCancelParams) -> Done = outbox_cancel;
    Invite(InviteParams) -> Invite = invite;
    Links(NoParams) -> Invites = invite_list;
    Revoke(InviteRevokeParams) -> Done = invite_revoke;
    Join(JoinParams) -> Contact = join;
}

impl Call {
    /// Every chat, the archived ones, too.
    pub(crate) fn all_chats() -> Self {
        Self::Chats(ChatsParams { archived: true, ..ChatsParams::default() })
    }

    /// A part of a chat's history.
    pub(crate) fn page(chat: &str, page: Page) -> Self {
        Self::History(PageOf { chat: chat.to_owned(), page })
    }

    /// Carried out in the order in which it was asked: what is written first is sent first. Everything else runs side by side.
    pub(crate) const fn in_order(&self) -> bool {
        matches!(self, Self::Send(_) | Self::Draft(_))
    }
}

/// Somebody, as calls name them.
pub(crate) fn who(account: &str) -> WhoParams {
    WhoParams { who: account.to_owned() }
}

/// Which part of a history is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Page {
    Newest {
        limit: u32,
    },
    /// The newest, to see what of the loaded ones is gone.
    StillThere {
        limit: u32,
    },
    Oldest {
        limit: u32,
    },
    Before {
        id: String,
        limit: u32,
    },
    After {
        id: String,
        limit: u32,
    },
    Around {
        id: String,
        limit: u32,
    },
}

/// A page of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageOf {
    pub(crate) chat: String,
    pub(crate) page: Page,
}

impl From<PageOf> for HistoryParams {
    fn from(PageOf { chat, page }: PageOf) -> Self {
        let whole = Self { chat, ..Self::default() };
        match page {
            Page::Newest { limit } | Page::StillThere { limit } => Self { limit: Some(limit), ..whole },
            Page::Oldest { limit } => Self { limit: Some(limit), oldest: true, ..whole },
            Page::Before { id, limit } => Self { limit: Some(limit), before: Some(id), ..whole },
            Page::After { id, limit } => Self { limit: Some(limit), after: Some(id), ..whole },
            Page::Around { id, limit } => Self { limit: Some(limit), around: Some(id), ..whole },
        }
    }
}

/// What is searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) words: String,
    /// Only in this chat.
    pub(crate) chat: Option<String>,
    /// Go on after this hit.
    pub(crate) before: Option<String>,
}

impl From<Query> for SearchParams {
    fn from(Query { words, chat, before }: Query) -> Self {
        Self { query: words, chat, limit: Some(HITS), before }
    }
}

/// A chat was read up to this message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UpTo {
    pub(crate) chat: String,
    pub(crate) id: String,
}

impl From<UpTo> for ReadParams {
    fn from(UpTo { id, .. }: UpTo) -> Self {
        Self { what: id }
    }
}
