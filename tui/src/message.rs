//! What goes into the state ([`Msg`]) and what comes out of it ([`Effect`]).
//!
//! The state is changed by one function, [`crate::app::App::update`], which does nothing else: everything that takes time or
//! touches the world is an effect, done outside, whose outcome comes back as a message.

use crossterm::event::{KeyEvent, MouseEvent};
use subrosa_client_core::{
    ApiError,
    api::{
        AccountInfo, Chats, Contact, Done, EventPage, History, Hits, Identity, Invite, Outbox, Receipts, Sent, Status,
    },
    open::EngineAt,
};

use crate::door::{Found, NewAccount, Secret};

/// Something happened.
#[derive(Debug)]
pub(crate) enum Msg {
    Key(KeyEvent),
    Paste(String),
    Mouse(MouseEvent),
    Resize(u16, u16),
    /// The terminal's window got or lost the keyboard.
    Focus(bool),
    /// The moment that [`crate::app::App::due_ms`] named has come.
    Due,
    /// Events are followed from now on: what is asked now misses none.
    Begun,
    Account(Result<AccountInfo, ApiError>),
    /// The connection is another one.
    Connection(Status),
    Chats(Result<Chats, ApiError>),
    Status(Result<Status, ApiError>),
    Page {
        chat: String,
        page: Page,
        answer: Result<History, ApiError>,
    },
    Found {
        search: Query,
        answer: Result<Hits, ApiError>,
    },
    Events(EventPage),
    /// The engine no longer tells events, and why.
    EventsEnded(ApiError),
    Sent {
        chat: String,
        id: String,
        answer: Result<Sent, ApiError>,
    },
    Read {
        chat: String,
        answer: Result<Done, ApiError>,
    },
    Invited(Result<Invite, ApiError>),
    Joined(Result<Contact, ApiError>),
    Accepted(Result<Contact, ApiError>),
    Contact {
        answer: Result<Contact, ApiError>,
    },
    Identity {
        compared: bool,
        answer: Result<Identity, ApiError>,
    },
    Receipts(Result<Receipts, ApiError>),
    ChatSet(Box<Result<subrosa_client_core::api::Chat, ApiError>>),
    /// A contact was renamed, blocked or unblocked.
    ContactSet {
        deed: Deed,
        answer: Result<Contact, ApiError>,
    },
    Removed {
        chat: String,
        answer: Result<Done, ApiError>,
    },
    /// What waits in the outbox.
    Waiting(Result<Outbox, ApiError>),
    /// A message that waited is tried now, or was taken back.
    Outbox {
        taken_back: bool,
        answer: Result<Done, ApiError>,
    },
    /// A draft could not be kept.
    NotKept(ApiError),
    /// Too long for the terminal's clipboard.
    NotCopied,
    /// Why a link was not opened.
    NotOpened(String),
    /// What is there.
    Looked(Result<Found, ApiError>),
    /// The recovery words of the account that is being made.
    Words(Secret),
    Made(Result<(), ApiError>),
    Opened(Result<Opened, ApiError>),
    /// Whether the passphrase was right.
    Unlocked(Result<(), ApiError>),
    /// The engine is elsewhere, or nowhere; and whether a passphrase is needed to run it here.
    EngineAt {
        at: EngineAt,
        asks: bool,
    },
}

/// What opening an account came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Opened {
    Open {
        /// What opens it, if that is no passphrase.
        opens_with: Option<String>,
    },
    Asks,
}

/// Which part of a history was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Page {
    Newest { limit: u32 },
    Oldest { limit: u32 },
    Before { id: String, limit: u32 },
    After { id: String, limit: u32 },
    Around { id: String, limit: u32 },
}

/// What was done with a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Renamed,
    Blocked,
    Unblocked,
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

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// What is there?
    Look,
    Make(NewAccount),
    OpenAccount {
        account: String,
        passphrase: Option<Secret>,
    },
    /// Is this the passphrase? Without one: try again now.
    Unlock(Option<Secret>),
    LoadChats,
    LoadStatus,
    LoadPage {
        chat: String,
        page: Page,
    },
    Search(Query),
    Send {
        chat: String,
        id: String,
        body: String,
        reply_to: Option<String>,
    },
    Read {
        chat: String,
        id: String,
    },
    /// Keep what is written and not sent; an empty text forgets it.
    Draft {
        chat: String,
        text: String,
    },
    /// What is absent stays as it is.
    SetChat {
        chat: String,
        muted_until_ms: Option<u64>,
        pinned: Option<bool>,
        archived: Option<bool>,
    },
    /// Show a contact under another name, here only.
    Rename {
        chat: String,
        name: String,
    },
    Block {
        chat: String,
    },
    Unblock {
        chat: String,
    },
    /// Forget a contact and the conversation.
    Remove {
        chat: String,
    },
    LoadOutbox,
    /// Send what waits for the receiver of this message now.
    Retry {
        id: String,
    },
    /// Take a message back that no relay has.
    TakeBack {
        id: String,
    },
    Invite,
    Join {
        link: String,
    },
    Accept {
        chat: String,
    },
    LoadContact {
        chat: String,
    },
    LoadIdentity {
        chat: String,
    },
    Compare {
        chat: String,
        number: String,
    },
    LoadReceipts {
        id: String,
    },
    /// To the clipboard.
    Copy(String),
    /// With the person's browser.
    OpenLink(String),
    /// The window's title.
    Title(String),
    /// Somebody wrote while nobody looked.
    Notify {
        title: String,
        body: String,
    },
    Suspend,
    /// Draw everything anew, also what did not change.
    Redraw,
    Quit,
}
