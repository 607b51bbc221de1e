//! What can lie over the screen: palette, menus, cards, questions. State only; [`crate::app`] changes it, views draw it.

use subrosa_client_core::api::{Contact, Identity, Invite, Receipts};

use crate::{commands::Command, editor::Editor};

/// One thing over the screen.
#[derive(Debug, Clone)]
pub(crate) enum Overlay {
    /// All keys; the first row in view.
    Help {
        offset: usize,
    },
    Palette(Palette),
    Menu(Menu),
    Invite(Option<Invite>),
    Join(Join),
    Contact(Option<Contact>),
    Verify(Verify),
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
}

/// A fuzzy list of chats and commands.
#[derive(Debug, Clone)]
pub(crate) struct Palette {
    pub(crate) purpose: Purpose,
    pub(crate) query: Editor,
    pub(crate) found: Vec<Found>,
    pub(crate) selected: usize,
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
}

/// What can be done with a message.
#[derive(Debug, Clone)]
pub(crate) struct Menu {
    pub(crate) title: String,
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
