//! What can lie over the screen: palette, menus, cards, questions. State only; [`crate::app`] changes it, views draw it.

use subrosa_client_core::api::{Contact, Identity, Invite, InviteInfo, Outbox, Receipts};

use crate::{
    ask::{Call, Query},
    commands::{Command, Scope},
    editor::Editor,
};

/// One thing over the screen.
#[derive(Debug, Clone)]
pub(crate) enum Overlay {
    /// All keys; the first row in view.
    Help {
        offset: usize,
    },
    Palette(Palette),
    Menu(Menu),
    Search(Search),
    /// Making a link, and those that are open.
    Links(Links),
    /// A new link.
    Invite(Option<Invite>),
    Join(Join),
    Contact(Option<Contact>),
    Verify(Verify),
    Rename(Rename),
    Question(Question),
    Outbox(Waiting),
    Receipts {
        text: String,
        receipts: Option<Receipts>,
    },
}

/// What the palette is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Open a chat or run a command.
    Everything,
    Commands,
    /// Choose who gets this text.
    Forward(String),
    /// Choose which of these web addresses is opened.
    OpenLink(Vec<String>),
    /// Choose which is copied.
    CopyLink(Vec<String>),
}

/// A fuzzy list of chats and commands.
#[derive(Debug, Clone)]
pub(crate) struct Palette {
    pub(crate) purpose: Purpose,
    pub(crate) query: Editor,
    pub(crate) found: Vec<Found>,
    pub(crate) selected: usize,
    /// The first entry is what was typed, by its name.
    pub(crate) named: bool,
    /// Somebody moved to the selected entry: it is no guess.
    pub(crate) chosen: bool,
}

/// An entry of the palette.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) title: String,
    pub(crate) target: Target,
    /// Characters of the title that matched.
    pub(crate) matched: Vec<u32>,
}

/// What an entry leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Chat(String),
    Command(Command),
    /// Look for these words in all messages.
    Words(String),
    /// A web address, as browsers take it.
    Link(String),
}

/// Words that are looked for, and the messages that have them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Search {
    /// The chat that was open: its id and name.
    pub(crate) here: Option<(String, String)>,
    /// Only in that chat.
    pub(crate) only_here: bool,
    pub(crate) words: Editor,
    /// Newest first.
    pub(crate) hits: Vec<Hit>,
    /// What the hits are for.
    pub(crate) found: Option<Query>,
    /// Asked, not answered yet.
    pub(crate) asked: Option<Query>,
    /// Where more hits begin.
    pub(crate) next: Option<String>,
    pub(crate) selected: usize,
    pub(crate) error: Option<String>,
}

/// A message that was found, cleaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) chat: String,
    pub(crate) chat_name: String,
    pub(crate) id: String,
    /// Who wrote it; nobody: we.
    pub(crate) from: Option<String>,
    pub(crate) ts_ms: u64,
    /// Pieces of text, and whether each is one of the words.
    pub(crate) snippet: Vec<(String, bool)>,
}

/// What can be done with a message or a chat.
#[derive(Debug, Clone)]
pub(crate) struct Menu {
    pub(crate) title: String,
    /// Where the commands have the keys that they have here, too.
    pub(crate) scope: Scope,
    pub(crate) commands: Vec<Command>,
    pub(crate) selected: usize,
}

/// A contact link is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Join {
    pub(crate) link: Editor,
    pub(crate) waiting: bool,
    pub(crate) error: Option<String>,
}

/// Another name for a contact is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rename {
    pub(crate) chat: String,
    pub(crate) old: String,
    pub(crate) name: Editor,
    pub(crate) waiting: bool,
    pub(crate) error: Option<String>,
}

/// Whether to do what cannot be taken back easily. Not doing it is selected first.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) no: &'static str,
    pub(crate) yes: &'static str,
    pub(crate) then: Then,
    pub(crate) is_yes: bool,
}

/// What a yes does.
#[derive(Debug, Clone)]
pub(crate) enum Then {
    Ask(Call),
    /// With what takes it back.
    Act {
        act: Call,
        undo: Call,
    },
    /// Sends somebody else's text on.
    Forward {
        chat: String,
        text: String,
    },
}

/// Contact links that are open; the first entry makes a new one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Links {
    pub(crate) open: Option<Vec<InviteInfo>>,
    pub(crate) selected: usize,
}

impl Links {
    /// The link that is selected, if it is not the entry for a new one.
    pub(crate) fn selected(&self) -> Option<&InviteInfo> {
        self.open.as_ref()?.get(self.selected.checked_sub(1)?)
    }

    /// Entries, the one for a new link included.
    pub(crate) fn count(&self) -> usize {
        1 + self.open.as_ref().map_or(0, Vec::len)
    }
}

/// What waits in the outbox, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waiting {
    pub(crate) outbox: Option<Outbox>,
    pub(crate) selected: usize,
}

/// A safety number, and the question for the other one.
#[derive(Debug, Clone)]
pub(crate) struct Verify {
    pub(crate) chat: String,
    pub(crate) identity: Option<Identity>,
    /// The number that they read out, once one compares.
    pub(crate) number: Option<Editor>,
    pub(crate) waiting: bool,
    pub(crate) error: Option<String>,
}
