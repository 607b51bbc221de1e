//! What stands before the chats: making an account, choosing one, unlocking it. State only; [`crate::app`] changes it, views
//! draw it.

use subrosa_client_core::{
    ApiError,
    account::{ContactLink, check_handle, is_link},
    relay_access::RelayAccess,
};
use zeroize::Zeroizing;

use crate::{
    account_service::{Keep, Known, NewAccount, Room, Secret},
    editor::Editor,
    hidden::Hidden,
    text,
};

/// What has the screen instead of the chats, or over them.
#[derive(Debug, Clone)]
pub(crate) enum SignIn {
    /// What is there is looked for.
    Looking,
    Choose(Choose),
    /// An account is opened that may need nothing for it.
    Opening(Known),
    /// A passphrase is asked for before anything is shown.
    Unlock(Unlock),
    /// Nothing can be opened, and why.
    Failed {
        error: ApiError,
        account: Option<Known>,
    },
    First(Box<First>),
    Words(Words),
    /// The person locked the screen.
    Locked(Unlock),
    /// The process that had the account is gone; over the chats.
    TakeOver(Unlock),
    /// Something to be read; over the chats.
    Told {
        title: &'static str,
        text: String,
    },
}

impl SignIn {
    /// The chats are not to be seen.
    pub(crate) const fn hides(&self) -> bool {
        !matches!(self, Self::TakeOver(_) | Self::Told { .. })
    }
}

/// Several accounts, and one row more: a new one.
#[derive(Debug, Clone)]
pub(crate) struct Choose {
    pub(crate) accounts: Vec<Known>,
    pub(crate) room: Room,
    pub(crate) selected: usize,
}

/// A passphrase is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unlock {
    pub(crate) account: Known,
    pub(crate) typed: Hidden,
    pub(crate) waiting: bool,
    pub(crate) error: Option<String>,
    /// A passphrase would help; otherwise something else is missing, and it is tried again.
    pub(crate) asks: bool,
}

/// A field of the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Relay,
    Token,
    Handle,
    Keep,
    Passphrase,
    Again,
    KeyFile,
    Make,
}

/// How a new account is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Passphrase,
    Keyring,
    KeyFile,
}

impl Kept {
    const ALL: [Self; 3] = [Self::Passphrase, Self::Keyring, Self::KeyFile];

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Passphrase => "a passphrase",
            Self::Keyring => "the system's keyring",
            Self::KeyFile => "a key file",
        }
    }
}

/// What is said under a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Remark {
    /// What belongs here.
    Hint(String),
    /// It is right.
    Good(String),
    /// It is not, and why.
    Wrong(String),
}

/// The form for a new account.
#[derive(Debug, Clone)]
pub(crate) struct First {
    pub(crate) relay: Editor,
    pub(crate) token: Editor,
    pub(crate) handle: Editor,
    pub(crate) kept: Kept,
    pub(crate) passphrase: Hidden,
    pub(crate) again: Hidden,
    pub(crate) key_file: Editor,
    pub(crate) room: Room,
    pub(crate) focus: Field,
    /// Asked for: the relay is being spoken to.
    pub(crate) waiting: bool,
    /// Why it was not made.
    pub(crate) error: Option<String>,
    /// The accounts to go back to.
    pub(crate) others: Vec<Known>,
}

impl First {
    pub(crate) fn new(room: Room, others: Vec<Known>) -> Self {
        Self {
            relay: Editor::default(),
            token: Editor::default(),
            handle: Editor::default(),
            kept: Kept::Passphrase,
            passphrase: Hidden::default(),
            again: Hidden::default(),
            key_file: Editor::with(&room.key_file),
            room,
            focus: Field::Relay,
            waiting: false,
            error: None,
            others,
        }
    }

    /// Nothing is written that would be missed.
    pub(crate) fn is_blank(&self) -> bool {
        self.relay.is_blank() && self.handle.is_blank() && self.passphrase.is_empty()
    }

    /// What was pasted is a contact link: its sender is met when the account is there.
    pub(crate) fn contact_link(&self) -> Option<String> {
        let text = self.relay.text().trim();
        ContactLink::is_meant_by(text).then(|| text.to_owned())
    }

    /// The fields that count now, in their order.
    pub(crate) fn fields(&self) -> Vec<Field> {
        let mut fields = vec![Field::Relay];
        // A link has the token, if one is needed.
        if !is_link(self.relay.text()) {
            fields.push(Field::Token);
        }
        fields.push(Field::Handle);
        if self.room.opens_with.is_none() {
            fields.push(Field::Keep);
            match self.kept {
                Kept::Passphrase => fields.extend([Field::Passphrase, Field::Again]),
                Kept::KeyFile => fields.push(Field::KeyFile),
                Kept::Keyring => {}
            }
        }
        fields.push(Field::Make);
        fields
    }

    pub(crate) fn go(&mut self, forward: bool) {
        let fields = self.fields();
        let at = fields.iter().position(|field| *field == self.focus).unwrap_or(0);
        let to = if forward { (at + 1) % fields.len() } else { (at + fields.len() - 1) % fields.len() };
        self.focus = fields[to];
    }

    pub(crate) fn turn(&mut self, forward: bool) {
        let at = Kept::ALL.iter().position(|kept| *kept == self.kept).unwrap_or(0);
        let count = Kept::ALL.len();
        self.kept = Kept::ALL[if forward { (at + 1) % count } else { (at + count - 1) % count }];
    }

    pub(crate) fn editor(&mut self) -> Option<&mut Editor> {
        match self.focus {
            Field::Relay => Some(&mut self.relay),
            Field::Token => Some(&mut self.token),
            Field::Handle => Some(&mut self.handle),
            Field::KeyFile => Some(&mut self.key_file),
            _ => None,
        }
    }

    pub(crate) fn hidden(&mut self) -> Option<&mut Hidden> {
        match self.focus {
            Field::Passphrase => Some(&mut self.passphrase),
            Field::Again => Some(&mut self.again),
            _ => None,
        }
    }

    /// What is to be said about a field, by the engine's own rules.
    pub(crate) fn remark(&self, field: Field) -> Remark {
        let hint = |text: &str| Remark::Hint(text.to_owned());
        match field {
            Field::Relay => self.relay_remark(),
            Field::Token => hint("only if the relay's host gave you one"),
            Field::Handle if self.handle.is_empty() => hint("your name at the relay: 3 to 32 of a-z 0-9 . _ -"),
            Field::Handle => match check_handle(self.handle.text()) {
                Ok(()) => Remark::Good("others find you by this name at your relay".to_owned()),
                Err(_) => Remark::Wrong("3 to 32 of a-z 0-9 . _ - and a letter or digit at both ends".to_owned()),
            },
            Field::Keep => hint(match self.kept {
                Kept::Passphrase => "asked for whenever subrosa starts (Left and Right: other ways)",
                Kept::Keyring => "open while you are logged in; needs a running keyring (Left and Right: other ways)",
                Kept::KeyFile => "opens without a question: as safe as the disk (Left and Right: other ways)",
            }),
            Field::Passphrase if self.passphrase.is_empty() => {
                hint("several words that nobody guesses; nobody can bring it back to you")
            }
            Field::Passphrase => {
                use crate::hidden::Strength::{Fair, Good, Weak};
                match self.passphrase.strength() {
                    Weak => hint("weak: who gets hold of this disk guesses it; take several words"),
                    Fair => hint("fair: another word or two make it good"),
                    Good => Remark::Good("good".to_owned()),
                }
            }
            Field::Again if self.again.is_empty() => hint("the same once more"),
            Field::Again if self.again.equals(&self.passphrase) => Remark::Good("the same".to_owned()),
            Field::Again => Remark::Wrong("not the same as above".to_owned()),
            Field::KeyFile if self.key_file.is_blank() => Remark::Wrong("where the key is to be kept".to_owned()),
            Field::KeyFile => hint("made if it is not there; whoever can read it can read your messages"),
            Field::Make => hint(""),
        }
    }

    fn relay_remark(&self) -> Remark {
        let text = self.relay.text().trim();
        if text.is_empty() {
            return Remark::Hint(
                "where your account will live: https://…, or the link you got (https://…/i#…)".to_owned(),
            );
        }
        match RelayAccess::read(text, None) {
            Ok(place) => {
                let at = text::line(place.url.as_str());
                let at = at.trim_end_matches('/');
                Remark::Good(match (self.contact_link().is_some(), place.pin.is_some(), place.registration.is_some()) {
                    (true, ..) => format!("{at}; you can meet who sent the link at once"),
                    (_, true, true) => format!("{at}, with its key and a token"),
                    (_, true, false) => format!("{at}, with its key"),
                    (_, false, true) => format!("{at}, with a token"),
                    _ => at.to_owned(),
                })
            }
            Err(_) if !text.contains("://") => {
                Remark::Wrong("it begins with https:// (or http:// on this machine)".to_owned())
            }
            Err(error) => Remark::Wrong(text::line(&error.message)),
        }
    }

    /// The account that is asked for, or the first field that is not right yet.
    pub(crate) fn finished(&self) -> Result<NewAccount, Field> {
        for field in self.fields() {
            let empty = match field {
                Field::Relay => self.relay.is_blank(),
                Field::Handle => self.handle.is_blank(),
                Field::Passphrase => self.passphrase.is_empty(),
                Field::Again => !self.again.equals(&self.passphrase),
                _ => false,
            };
            if empty || matches!(self.remark(field), Remark::Wrong(_)) {
                return Err(field);
            }
        }
        let token = self.token.text().trim();
        Ok(NewAccount {
            relay: self.relay.text().trim().to_owned(),
            token: (self.fields().contains(&Field::Token) && !token.is_empty()).then(|| token.to_owned()),
            handle: self.handle.text().to_owned(),
            keep: match (&self.room.opens_with, self.kept) {
                (Some(_), _) => Keep::AsChosen,
                (None, Kept::Passphrase) => Keep::Passphrase(self.passphrase.secret()),
                (None, Kept::Keyring) => Keep::Keyring,
                (None, Kept::KeyFile) => Keep::KeyFile(self.key_file.text().trim().to_owned()),
            },
        })
    }
}

/// The recovery words, shown once.
#[derive(Debug, Clone)]
pub(crate) struct Words {
    words: Secret,
    /// Which word is asked for, from 0.
    pub(crate) asked: usize,
    /// The question stands under the words.
    pub(crate) asking: bool,
    pub(crate) answer: Editor,
    pub(crate) wrong: bool,
    /// The relay knows the account.
    pub(crate) made: bool,
    /// It was opened, or why not.
    pub(crate) opened: Option<Result<(), ApiError>>,
    /// The word was the right one.
    pub(crate) confirmed: bool,
    /// What the form held, for when it is not made after all.
    pub(crate) form: Box<First>,
}

impl Words {
    pub(crate) fn new(words: Secret, asked: usize, form: Box<First>) -> Self {
        let count = words.as_str().split_whitespace().count().max(1);
        Self {
            words,
            asked: asked % count,
            asking: false,
            answer: Editor::default(),
            wrong: false,
            made: false,
            opened: None,
            confirmed: false,
            form,
        }
    }

    pub(crate) fn list(&self) -> impl Iterator<Item = &str> {
        self.words.as_str().split_whitespace()
    }

    /// The word that was asked for was typed.
    pub(crate) fn seen(&self) -> bool {
        let answer = Zeroizing::new(self.answer.text().trim().to_lowercase());
        self.list().nth(self.asked).is_some_and(|word| word == *answer)
    }
}
