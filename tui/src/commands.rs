//! The one table of commands: names, what they do, where they apply, their keys.
//!
//! From it come the key bindings, the help overlay, the palette, and the names in the configuration. A command that is not in
//! the table cannot be reached; one that is in it does something ([`crate::app`] matches all of them).

/// Where a key is pressed. A key is looked up in its scope first, then in [`Scope::Anywhere`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    /// Wherever one is.
    Anywhere,
    /// The list of chats.
    List,
    /// The text being written.
    Write,
    /// Messages, one of them selected.
    Messages,
    /// A list over the screen: palette, menu, results.
    Choose,
    /// A card over the screen that is read.
    Card,
}

impl Scope {
    /// For headings.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Anywhere => "Anywhere",
            Self::List => "Chats",
            Self::Write => "Writing",
            Self::Messages => "Messages",
            Self::Choose => "Lists and questions",
            Self::Card => "Cards",
        }
    }

    /// In the order of the help.
    pub(crate) const ALL: [Self; 6] =
        [Self::Anywhere, Self::List, Self::Write, Self::Messages, Self::Choose, Self::Card];

    /// Printable keys are text here.
    pub(crate) const fn takes_text(self) -> bool {
        matches!(self, Self::Write | Self::Choose)
    }
}

/// Keys of a command in each profile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keys {
    pub(crate) vim: &'static [&'static str],
    pub(crate) emacs: &'static [&'static str],
    pub(crate) plain: &'static [&'static str],
}

const fn all(keys: &'static [&'static str]) -> Keys {
    Keys { vim: keys, emacs: keys, plain: keys }
}

const fn each(vim: &'static [&'static str], emacs: &'static [&'static str], plain: &'static [&'static str]) -> Keys {
    Keys { vim, emacs, plain }
}

/// What the table says about a command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spec {
    pub(crate) command: Command,
    /// In the configuration.
    pub(crate) name: &'static str,
    /// In menus and hints.
    pub(crate) title: &'static str,
    /// In the help.
    pub(crate) help: &'static str,
    pub(crate) scopes: &'static [Scope],
    pub(crate) keys: Keys,
    /// Offered by the palette.
    pub(crate) palette: bool,
    pub(crate) sort: Sort,
}

/// What running a command comes to: how sure it must be that it is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Shows, goes, writes into a text field or opens a form: nothing that is stored, sent or opened elsewhere is another one
    /// afterwards. May be guessed, may have a letter for a key.
    Moves,
    /// Asks before it does what leaves a trace. May have a letter for a key, is never guessed.
    Asks,
    /// Does at once what leaves a trace. Takes a modifier or a menu, is never guessed.
    Acts,
}

/// Words that people type for a command besides its own name, after `:`.
const ALIASES: &[(&str, Command)] = &[
    ("q", Command::Quit),
    ("q!", Command::Quit),
    ("qa", Command::Quit),
    ("qa!", Command::Quit),
    ("wq", Command::Quit),
    ("wqa", Command::Quit),
    ("x", Command::Quit),
    ("xa", Command::Quit),
    ("exit", Command::Quit),
    ("leave", Command::Quit),
    ("h", Command::Help),
    ("keys", Command::Help),
    ("undo", Command::UndoAct),
    ("links", Command::Invite),
];

impl Spec {
    /// Where its keys count. What has no keys of its own, and is given some, has them everywhere.
    pub(crate) const fn scopes(&self) -> &'static [Scope] {
        if self.scopes.is_empty() { &[Scope::Anywhere] } else { self.scopes }
    }
}

macro_rules! commands {
    ($($command:ident(
        $name:literal, $title:literal, $help:literal, $scopes:expr, $keys:expr, $palette:literal $(, $sort:ident)?
    );)*) => {
        /// What a person can ask for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Command { $(#[doc = $help] $command,)* }

        /// Every command, in the order of the help.
        pub(crate) const TABLE: &[Spec] = &[$(Spec {
            command: Command::$command, name: $name, title: $title, help: $help, scopes: $scopes, keys: $keys,
            palette: $palette, sort: sort!($($sort)?),
        },)*];
    };
}

macro_rules! sort {
    () => {
        Sort::Moves
    };
    ($sort:ident) => {
        Sort::$sort
    };
}

use Scope::{Anywhere, Card, Choose, List, Messages, Write};

commands! {
    Palette("palette", "Find", "Find a chat, a person or a command", &[Anywhere],
        each(&["ctrl+k", "ctrl+p"], &["alt+x"], &["ctrl+k", "ctrl+p"]), false);
    Commands("commands", "Commands", "Find a command by its name", &[List, Messages], all(&[":"]), false);
    Search("search", "Search", "Find an old message, in this chat or in all", &[Anywhere],
        each(&["ctrl+f"], &["ctrl+s"], &["ctrl+f", "ctrl+s"]), true);
    SearchHere("search-here", "Search", "Find an old message", &[List, Messages], all(&["/"]), false);
    SearchAll("search-all", "Search all chats", "Find an old message in all chats", &[], all(&[]), true);
    NextUnread("next-unread", "Next unread", "Open the next chat with unread messages", &[Anywhere], all(&["alt+u"]), true);
    NextChat("next-chat", "Next chat", "Open the chat below", &[Anywhere],
        each(&["alt+down", "tab"], &["alt+down", "tab", "alt+n"], &["alt+down", "tab"]), false);
    PreviousChat("previous-chat", "Previous chat", "Open the chat above", &[Anywhere],
        each(&["alt+up", "shift+tab"], &["alt+up", "shift+tab", "alt+p"], &["alt+up", "shift+tab"]), false);
    Help("help", "Help", "All keys that work now", &[Anywhere], all(&["f1"]), true);
    HelpHere("help-here", "Help", "All keys that work now", &[List, Messages], all(&["?"]), false);
    Suspend("suspend", "Suspend", "Back to the shell; `fg` comes back here", &[Anywhere], all(&["ctrl+z"]), false);
    Redraw("redraw", "Redraw", "Draw the whole screen again", &[Anywhere],
        each(&[], &["alt+l"], &[]), true);
    Lock("lock", "Lock", "Hide everything until the passphrase is given again", &[Anywhere], all(&["f9"]), true);
    QuitTwice("quit-twice", "Leave", "Leave: press it twice", &[Anywhere], all(&["ctrl+c"]), false);
    Quit("quit", "Leave", "Leave at once; the outbox is sent next time", &[Anywhere], all(&["ctrl+q"]), true);

    Open("open", "Open", "Open the selected chat", &[List], all(&["enter", "right"]), false);
    ListDown("list-down", "Down", "Next chat in the list", &[List], each(&["down", "j"], &["down", "ctrl+n"], &["down"]), false);
    ListUp("list-up", "Up", "Previous chat in the list", &[List], each(&["up", "k"], &["up", "ctrl+p"], &["up"]), false);
    ListTop("list-top", "First", "First chat", &[List], each(&["g", "home"], &["home", "alt+<"], &["home"]), false);
    ListBottom("list-bottom", "Last", "Last chat", &[List], each(&["G", "end"], &["end", "alt+>"], &["end"]), false);
    Invite("invite", "Invite", "Make a contact link for somebody, with a QR code; see and revoke those that are open", &[List], all(&["i"]), true, Asks);
    Join("join", "Use a link", "Open the contact link that somebody gave you", &[List], each(&["J"], &["j"], &["j"]), true);
    Archived("archived", "Archived chats", "The archived chats, or the others again", &[List], all(&["A"]), true);
    Outbox("outbox", "Outbox", "What waits to be sent, and why", &[List], all(&["o"]), true);
    ChatMenu("chat-menu", "Menu", "What can be done with this chat", &[List, Card], all(&["m"]), true);
    Contact("contact", "Contact", "Who this is: state, devices, relay, safety number", &[List, Messages], all(&["c"]), true);
    Verify("verify", "Verify", "Compare the safety number", &[], all(&[]), true);
    Mute("mute", "Mute", "No notification of what comes in this chat, or again", &[List], all(&["alt+m"]), true, Acts);
    MuteHours("mute-8h", "For 8 hours", "Mute this chat for 8 hours", &[], all(&[]), true, Acts);
    MuteWeek("mute-week", "For a week", "Mute this chat for a week", &[], all(&[]), true, Acts);
    MuteAlways("mute-always", "Until I end it", "Mute this chat until you unmute it", &[], all(&[]), true, Acts);
    Unmute("unmute", "Unmute", "Be told again of what comes in this chat", &[], all(&[]), true, Acts);
    Pin("pin", "Pin", "Keep this chat at the top of the list, or no longer", &[List], all(&["alt+t"]), true, Acts);
    Unpin("unpin", "Unpin", "Keep this chat at the top of the list no longer", &[], all(&[]), true, Acts);
    Archive("archive", "Archive", "Take this chat off the list until something new comes, or bring it back", &[List], all(&["alt+e"]), true, Acts);
    Unarchive("unarchive", "Unarchive", "Bring this chat back into the list", &[], all(&[]), true, Acts);
    Keep("keep", "Keep messages", "How long the messages of this chat are kept here; asks before any is deleted", &[], all(&[]), true, Asks);
    KeepMonth("keep-30d", "For 30 days", "Delete messages of this chat here that are older than 30 days; asks first", &[], all(&[]), true, Asks);
    KeepYear("keep-1y", "For a year", "Delete messages of this chat here that are older than a year; asks first", &[], all(&[]), true, Asks);
    KeepForEver("keep-off", "For ever", "Keep all messages of this chat, whatever is set for all", &[], all(&[]), true, Asks);
    KeepAsAll("keep-default", "As in all chats", "Keep the messages of this chat as long as those of all; asks first", &[], all(&[]), true, Asks);
    Rename("rename", "Rename", "Another name for this contact, on this device only", &[List], all(&["f2"]), true);
    Block("block", "Block", "Nothing of this person arrives any more; asks first", &[List], all(&["B"]), true, Asks);
    Unblock("unblock", "Unblock", "Take the block of this person back; asks first", &[], all(&[]), true, Asks);
    Remove("remove", "Remove", "Forget this person and the conversation; asks first", &[List], all(&["D"]), true, Asks);
    Accept("accept", "Accept", "Accept the request of this chat: receipts begin; asks first", &[List, Messages], all(&["a"]), true, Asks);
    UndoAct("undo-act", "Undo", "Take back what was just done, as long as the lowest row says so", &[List, Messages], all(&["u"]), true, Acts);

    Send("send", "Send", "Send the text", &[Write], all(&["enter"]), false, Acts);
    Newline("newline", "New line", "Begin a new line", &[Write],
        each(&["shift+enter", "alt+enter", "ctrl+j"], &["shift+enter", "alt+enter", "ctrl+j", "ctrl+o"], &["shift+enter", "alt+enter", "ctrl+j"]), false);
    Browse("browse", "Messages", "Select messages instead of writing", &[Write], each(&["esc", "ctrl+up"], &["ctrl+up"], &["ctrl+up"]), false);
    ScrollUp("scroll-up", "Older", "A page towards older messages", &[Write, Messages],
        each(&["pgup"], &["pgup", "alt+v"], &["pgup"]), false);
    ScrollDown("scroll-down", "Newer", "A page towards newer messages", &[Write, Messages],
        each(&["pgdn"], &["pgdn", "ctrl+v"], &["pgdn"]), false);

    WriteHere("write", "Write", "Write a message", &[Messages], each(&["i"], &["i"], &["i"]), false);
    SelectUp("select-up", "Up", "Select the message above", &[Messages], each(&["up", "k"], &["up", "ctrl+p"], &["up"]), false);
    SelectDown("select-down", "Down", "Select the message below", &[Messages], each(&["down", "j"], &["down", "ctrl+n"], &["down"]), false);
    LineUp("line-up", "Line up", "Scroll a line towards older messages", &[Messages], each(&["K", "ctrl+y"], &[], &["ctrl+up"]), false);
    LineDown("line-down", "Line down", "Scroll a line towards newer messages", &[Messages], each(&["J", "ctrl+e"], &[], &["ctrl+down"]), false);
    HalfUp("half-up", "Half a page up", "Scroll half a page towards older messages", &[Messages], each(&["ctrl+u"], &[], &[]), false);
    HalfDown("half-down", "Half a page down", "Scroll half a page towards newer messages", &[Messages], each(&["ctrl+d"], &[], &[]), false);
    Oldest("oldest", "Oldest", "To the oldest message", &[Messages], each(&["g", "home"], &["home", "alt+<"], &["home"]), true);
    Newest("newest", "Newest", "To the newest message", &[Messages], each(&["G", "end"], &["end", "alt+>"], &["end"]), true);
    Menu("menu", "Menu", "What can be done with this message", &[Messages], all(&["enter"]), false);
    Reply("reply", "Reply", "Answer this message", &[Messages], all(&["r"]), false);
    Retry("retry", "Send now", "Send this message that waits now, without waiting for the next try", &[Messages, Card], all(&["ctrl+r"]), false, Acts);
    TakeBack("take-back", "Take back", "Take this message back that no relay has yet, or a contact link", &[Messages, Card], all(&["ctrl+x"]), false, Acts);
    JumpToQuote("jump-to-quote", "To the quoted message", "Select the message that this one answers", &[Messages], all(&["Q"]), false);
    NextHit("next-hit", "Next hit", "To the next, older message that the search found", &[Messages], all(&["n"]), false);
    PreviousHit("previous-hit", "Previous hit", "To the previous, newer message that the search found", &[Messages], all(&["N"]), false);
    JumpBack("jump-back", "Jump back", "Back to where the last jump began", &[Messages], each(&["ctrl+o"], &["ctrl+o", "alt+,"], &["ctrl+o"]), true);
    Copy("copy", "Copy", "Copy the message to the clipboard", &[Messages], all(&["y"]), false);
    OpenLink("open-link", "Open link", "Open a web address of this message; shows it first", &[Messages], all(&["o"]), false);
    CopyLink("copy-link", "Copy link", "Copy the web address in this message", &[Messages], all(&["Y"]), false);
    Quote("quote", "Quote", "Begin a message that quotes this one", &[Messages], all(&["q"]), false);
    Forward("forward", "Forward", "Send the text on to somebody else; asks first", &[Messages], all(&["f"]), false, Asks);
    Info("info", "Info", "When it was sent, delivered and read", &[Messages], all(&["I"]), false);

    ChooseDown("choose-down", "Down", "Next entry", &[Choose, Card], each(&["down", "ctrl+n", "ctrl+j"], &["down", "ctrl+n"], &["down"]), false);
    ChooseUp("choose-up", "Up", "Previous entry", &[Choose, Card], each(&["up", "ctrl+p"], &["up", "ctrl+p"], &["up"]), false);
    PageDown("page-down", "Page down", "A page further", &[Choose, Card], all(&["pgdn"]), false);
    PageUp("page-up", "Page up", "A page back", &[Choose, Card], all(&["pgup"]), false);
    Confirm("confirm", "Go on", "Take the selected entry", &[Choose, Card], all(&["enter"]), false);
    Scope("scope", "Here or everywhere", "Search: in the open chat, or in all chats", &[Choose], all(&["tab"]), false);
    CopyCard("copy-card", "Copy", "Copy what the card shows (a link, a safety number)", &[Card], all(&["y"]), false);
    VerifyHere("verify-here", "Compare", "Compare the safety number, step by step", &[Card], all(&["v"]), false);
    AcceptHere("accept-here", "Accept", "Accept the request; asks first", &[Card], all(&["a"]), false, Asks);

    Back("back", "Back", "Back: closes what is open; from a chat to the list, where it stays open", &[List, Messages, Choose, Card], each(&["esc"], &["esc", "ctrl+g"], &["esc"]), false);
    BackToList("back-to-list", "Chats", "Back to the list of chats; this one stays as it is", &[Write], each(&["ctrl+b"], &["esc", "ctrl+g"], &["esc"]), false);
    BackLeft("back-left", "Chats", "Back to the list of chats", &[Messages], all(&["left"]), false);

    Left("left", "Left", "A character left", &[Write, Choose], each(&["left"], &["left", "ctrl+b"], &["left"]), false);
    Right("right", "Right", "A character right", &[Write, Choose], each(&["right"], &["right", "ctrl+f"], &["right"]), false);
    Up("up", "Up", "A row up; from the first row of an empty text to the messages", &[Write], each(&["up"], &["up", "ctrl+p"], &["up"]), false);
    Down("down", "Down", "A row down", &[Write], each(&["down"], &["down", "ctrl+n"], &["down"]), false);
    WordLeft("word-left", "Word left", "A word left", &[Write, Choose], all(&["ctrl+left", "alt+left", "alt+b"]), false);
    WordRight("word-right", "Word right", "A word right", &[Write, Choose], all(&["ctrl+right", "alt+right", "alt+f"]), false);
    Home("home", "Line begin", "To the beginning of the line", &[Write, Choose], all(&["home", "ctrl+a"]), false);
    End("end", "Line end", "To the end of the line", &[Write, Choose], all(&["end", "ctrl+e"]), false);
    Backspace("backspace", "Delete back", "Delete the character before", &[Write, Choose], all(&["backspace", "ctrl+h"]), false);
    Delete("delete", "Delete", "Delete the character after", &[Write, Choose], each(&["delete"], &["delete", "ctrl+d"], &["delete"]), false);
    DeleteWord("delete-word", "Delete word", "Delete the word before", &[Write, Choose], all(&["ctrl+w", "alt+backspace", "ctrl+backspace"]), false);
    DeleteToBegin("delete-to-begin", "Delete to begin", "Delete to the beginning of the line", &[Write, Choose], all(&["ctrl+u"]), false);
    DeleteToEnd("delete-to-end", "Delete to end", "Delete to the end of the line", &[Write, Choose], each(&[], &["ctrl+k"], &[]), false);
    Undo("undo", "Undo", "Take the last change of the text back, or what was just done", &[Write, Choose], each(&["ctrl+_", "ctrl+7", "alt+z"], &["ctrl+_", "ctrl+7", "ctrl+/"], &["ctrl+_", "ctrl+7", "alt+z"]), false);
}

impl Command {
    /// Its row of the table.
    pub(crate) fn spec(self) -> &'static Spec {
        // The table has a row for every variant: the macro makes both.
        TABLE.iter().find(|spec| spec.command == self).unwrap_or(&TABLE[0])
    }

    /// The command that is meant by exactly this: its name, its title, or a usual word for it. A colon before it is none.
    pub(crate) fn called(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches(':').trim().to_lowercase();
        let named = TABLE.iter().find(|spec| spec.palette && spec.name == text).map(|spec| spec.command);
        let alias = || ALIASES.iter().find(|(alias, _)| *alias == text).map(|(_, command)| *command);
        let titled = || TABLE.iter().find(|spec| spec.palette && spec.title.to_lowercase() == text);
        named.or_else(alias).or_else(|| titled().map(|spec| spec.command))
    }

    /// May be run because it fits best what was typed, without being named or chosen.
    pub(crate) fn may_be_guessed(self) -> bool {
        self.spec().sort == Sort::Moves
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_every_command_says_what_it_does() {
        let mut names = HashSet::new();
        for spec in TABLE {
            assert!(names.insert(spec.name), "{} twice", spec.name);
            assert!(!spec.title.is_empty() && !spec.help.is_empty(), "{}", spec.name);
            assert!(
                spec.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
                "{}",
                spec.name
            );
            assert!(spec.palette || !spec.scopes.is_empty(), "{} cannot be reached", spec.name);
            assert_eq!(spec.command.spec().name, spec.name);
        }
    }

    #[test]
    fn no_letter_alone_does_what_leaves_a_trace() {
        for spec in TABLE.iter().filter(|spec| spec.sort == Sort::Acts) {
            // It does something only while the lowest row names it, and takes back what was just done.
            if spec.command == Command::UndoAct {
                continue;
            }
            let Keys { vim, emacs, plain } = spec.keys;
            for key in [vim, emacs, plain].into_iter().flatten() {
                let key: crate::key::Key = key.parse().unwrap();
                assert_eq!(key.typed(), None, "{} by {key}", spec.name);
            }
        }
    }

    #[test]
    fn what_leaves_a_trace_is_never_guessed_and_usual_words_are_known() {
        use Command::{Accept, Archive, Block, Forward, Invite, MuteAlways, Pin, Quit, Remove, Retry, Send, TakeBack};
        for act in [Accept, Archive, Block, Forward, Invite, MuteAlways, Pin, Remove, Retry, Send, TakeBack] {
            assert!(!act.may_be_guessed(), "{act:?}");
        }
        for text in ["q", ":q", ":wq", "wq", ":quit", ":x", "Leave", ":q!", ":wqa", ":exit"] {
            assert_eq!(Command::called(text), Some(Quit), "{text}");
        }
        assert_eq!(Command::called(":help"), Some(Command::Help));
        assert_eq!(Command::called("mute-always"), Some(MuteAlways));
        assert_eq!(Command::called("QR"), None);
        let mut words = HashSet::new();
        assert!(ALIASES.iter().all(|(alias, _)| words.insert(*alias) && !TABLE.iter().any(|spec| spec.name == *alias && spec.palette)));
    }
}
