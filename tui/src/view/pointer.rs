//! What a mouse points at: read from the picture, which alone knows what stands where.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use super::{chats::archive_row, overlays::spot, status::outbox_columns};
use crate::{
    app::App,
    message::{Pane, Pointed, Spot},
};

/// What this event means on the screen as it is.
pub(crate) fn pointed(app: &App, event: &MouseEvent) -> Pointed {
    let at = Position { x: event.column, y: event.row };
    match event.kind {
        MouseEventKind::ScrollUp => wheel(app, at, -1),
        MouseEventKind::ScrollDown => wheel(app, at, 1),
        MouseEventKind::Down(MouseButton::Left) => under(app, at).map_or(Pointed::Nothing, Pointed::Press),
        MouseEventKind::Down(MouseButton::Right) => under(app, at).map_or(Pointed::Nothing, Pointed::Menu),
        _ => Pointed::Nothing,
    }
}

fn wheel(app: &App, at: Position, by: isize) -> Pointed {
    let areas = app.areas();
    let within = |area: Option<Rect>| area.is_some_and(|area| area.contains(at));
    if !app.overlays.is_empty() {
        Pointed::Wheel(Pane::Overlay, by)
    } else if within(areas.list) {
        Pointed::Wheel(Pane::List, by)
    } else if within(areas.body) {
        Pointed::Wheel(Pane::Messages, by)
    } else {
        Pointed::Nothing
    }
}

fn under(app: &App, at: Position) -> Option<Spot> {
    if let Some(overlay) = app.overlays.last() {
        return spot(app, overlay, at);
    }
    let areas = app.areas();
    if areas.status.contains(at) {
        return outbox_columns(app).contains(&usize::from(at.x)).then_some(Spot::Outbox);
    }
    if let Some(list) = areas.list.filter(|list| list.contains(at)) {
        if archive_row(app, list, areas.list_step).is_some_and(|row| row.contains(at)) {
            return Some(Spot::Archive);
        }
        let row = app.chats.offset + usize::from((at.y - list.y) / areas.list_step.max(1));
        return app.chats.rows().get(row).map(|row| Spot::Chat(row.id.clone()));
    }
    if areas.composer.is_some_and(|composer| composer.contains(at)) {
        return Some(Spot::Composer);
    }
    let body = areas.body.filter(|body| body.contains(at))?;
    app.shown()?.at_row(usize::from(at.y - body.y)).map(|id| Spot::Message(id.to_owned()))
}
