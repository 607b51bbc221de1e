//! What goes into the state ([`Msg`]) and what comes out of it ([`Effect`]).
//!
//! The state is changed by one function, [`crate::app::App::update`], which does nothing else: everything that takes time or
//! touches the world is an effect, done outside, whose outcome comes back as a message. What the engine is asked, and what it
//! answers, stands in [`crate::ask`].

use crossterm::event::KeyEvent;
use subrosa_client_core::{
    ApiError,
    api::{EventPage, Status},
    open::EngineAt,
};

use crate::{
    account_service::{Found, NewAccount, Secret},
    ask::{Answer, Call},
};

/// Something happened.
#[derive(Debug)]
pub(crate) enum Msg {
    Key(KeyEvent),
    Paste(String),
    /// The mouse did something there.
    Mouse(Pointed),
    Resize(u16, u16),
    /// The terminal's window got or lost the keyboard.
    Focus(bool),
    /// The moment that [`crate::app::App::due_ms`] named has come.
    Due,
    /// Events are followed from now on: what is asked now misses none.
    Begun,
    /// The connection is another one.
    Connection(Status),
    /// The engine has answered.
    Answered(Box<Answer>),
    Events(EventPage),
    /// The engine no longer tells events, and why.
    EventsEnded(ApiError),
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

/// What the mouse means, by what is drawn where it stands ([`crate::view::pointer`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pointed {
    /// The left button.
    Press(Spot),
    /// The right one: what can be done with it.
    Menu(Spot),
    /// The wheel, by so many steps.
    Wheel(Pane, isize),
    Nothing,
}

/// What can be pressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Spot {
    /// An entry of what lies over the screen.
    Entry(usize),
    /// Beside what lies over the screen.
    Beside,
    /// The count of what waits.
    Outbox,
    /// The way to the archived chats, or back.
    Archive,
    Chat(String),
    Message(String),
    /// The text being written.
    Composer,
}

/// What a wheel moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pane {
    Overlay,
    List,
    Messages,
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
    /// Of the engine; the answer is [`Msg::Answered`].
    Ask(Call),
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
