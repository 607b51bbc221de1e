//! What a mouse does. Every one of these acts has a key, too.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use super::{App, Focus};
use crate::commands::Command;

/// Rows of one step of the wheel.
const WHEEL_ROWS: isize = 3;

impl App {
    pub(super) fn mouse(&mut self, event: &MouseEvent) {
        let at = Position { x: event.column, y: event.row };
        match event.kind {
            MouseEventKind::ScrollUp => self.wheel(at, -1),
            MouseEventKind::ScrollDown => self.wheel(at, 1),
            MouseEventKind::Down(MouseButton::Left) => self.click(at),
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
        if !self.overlays.is_empty() {
            return self.run(Command::Back);
        }
        let areas = self.areas();
        if let Some(list) = areas.list.filter(|list| list.contains(at)) {
            let row = self.chats.offset + usize::from((at.y - list.y) / areas.list_step.max(1));
            if let Some(chat) = self.chats.rows().get(row).map(|row| row.id.clone()) {
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
}
