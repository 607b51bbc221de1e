//! What a mouse does. Every one of these acts has a key, too.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use super::{App, Focus};
use crate::{
    commands::Command,
    view::{
        chats::archive_row,
        overlays::{Spot, spot},
        status::outbox_columns,
    },
};

/// Rows of one step of the wheel.
const WHEEL_ROWS: isize = 3;

impl App {
    pub(super) fn mouse(&mut self, event: &MouseEvent) {
        if self.gate.is_some() {
            return;
        }
        let at = Position { x: event.column, y: event.row };
        match event.kind {
            MouseEventKind::ScrollUp => self.wheel(at, -1),
            MouseEventKind::ScrollDown => self.wheel(at, 1),
            MouseEventKind::Down(MouseButton::Left) => self.click(at),
            MouseEventKind::Down(MouseButton::Right) => self.menu_at(at),
            _ => {}
        }
    }

    fn wheel(&mut self, at: Position, by: isize) {
        if !self.overlays.is_empty() {
            return self.overlay_move(by);
        }
        let areas = self.areas();
        let within = |area: Option<Rect>| area.is_some_and(|area| area.contains(at));
        if within(areas.list) {
            self.chats.move_by(by);
        } else if within(areas.body)
            && let Some(open) = &mut self.open
        {
            open.scroll(by * WHEEL_ROWS);
        }
    }

    fn click(&mut self, at: Position) {
        if let Some(overlay) = self.overlays.last() {
            return match spot(self, overlay, at) {
                Spot::Entry(entry) => self.take_entry(entry),
                Spot::Outside => self.run(Command::Back),
                Spot::Elsewhere => {}
            };
        }
        let areas = self.areas();
        let outbox = outbox_columns(self);
        if areas.status.contains(at) && outbox.contains(&usize::from(at.x)) {
            self.run(Command::Outbox);
        } else if let Some(list) = areas.list.filter(|list| list.contains(at)) {
            if archive_row(self, list, areas.list_step).is_some_and(|row| row.contains(at)) {
                self.run(Command::Archived);
            } else if let Some(chat) = self.chat_at(at) {
                self.open_chat(&chat);
            }
        } else if areas.composer.is_some_and(|composer| composer.contains(at)) {
            self.run(Command::WriteHere);
        } else if let Some(body) = areas.body.filter(|body| body.contains(at))
            && let Some(open) = &mut self.open
            && let Some(id) = open.at_row(usize::from(at.y - body.y)).map(str::to_owned)
        {
            open.select(&id);
            self.focus = Focus::Messages;
        }
    }

    /// The chat in the list under the mouse.
    fn chat_at(&self, at: Position) -> Option<String> {
        let areas = self.areas();
        let list = areas.list.filter(|list| list.contains(at))?;
        let row = self.chats.offset + usize::from((at.y - list.y) / areas.list_step.max(1));
        self.chats.rows().get(row).map(|row| row.id.clone())
    }

    /// The menu of the chat or the message under the mouse.
    fn menu_at(&mut self, at: Position) {
        if !self.overlays.is_empty() {
            return;
        }
        if let Some(chat) = self.chat_at(at) {
            // What a chat's menu does is about the chat that has the keys.
            if self.open.as_ref().is_some_and(|open| open.chat != chat) {
                self.focus = Focus::List;
            }
            self.chats.select(&chat);
            self.run(Command::ChatMenu);
        } else {
            self.click(at);
            if self.focus == Focus::Messages {
                self.run(Command::Menu);
            }
        }
    }
}
