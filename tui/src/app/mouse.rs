//! What a mouse does. Every one of these acts has a key, too.

use super::{App, Focus};
use crate::{
    commands::Command,
    message::{Pane, Pointed, Spot},
};

/// Rows of one step of the wheel.
const WHEEL_ROWS: isize = 3;

impl App {
    pub(super) fn mouse(&mut self, pointed: Pointed) {
        if self.sign_in.is_some() {
            return;
        }
        match pointed {
            Pointed::Press(spot) => self.press(spot),
            Pointed::Menu(spot) => self.menu_of(spot),
            Pointed::Wheel(pane, by) => self.wheel(pane, by),
            Pointed::Nothing => {}
        }
    }

    fn wheel(&mut self, pane: Pane, by: isize) {
        match (pane, &mut self.open) {
            (Pane::Overlay, _) => self.overlay_move(by),
            (Pane::List, _) => self.chats.move_by(by),
            (Pane::Messages, Some(open)) => open.scroll(by * WHEEL_ROWS),
            (Pane::Messages, None) => {}
        }
    }

    fn press(&mut self, spot: Spot) {
        match spot {
            Spot::Entry(entry) => self.take_entry(entry),
            Spot::Beside => self.run(Command::Back),
            Spot::Outbox => self.run(Command::Outbox),
            Spot::Archive => self.run(Command::Archived),
            Spot::Chat(chat) => self.open_chat(&chat),
            Spot::Composer => self.run(Command::WriteHere),
            Spot::Message(id) => {
                if let Some(open) = &mut self.open {
                    open.select(&id);
                    self.focus = Focus::Messages;
                }
            }
        }
    }

    /// The menu of the chat or the message there.
    fn menu_of(&mut self, spot: Spot) {
        match spot {
            Spot::Chat(chat) => {
                // What a chat's menu does is about the chat that has the keys.
                if self.open.as_ref().is_some_and(|open| open.chat != chat) {
                    self.focus = Focus::List;
                }
                self.chats.select(&chat);
                self.run(Command::ChatMenu);
            }
            Spot::Message(_) => {
                self.press(spot);
                self.run(Command::Menu);
            }
            _ => {}
        }
    }
}
