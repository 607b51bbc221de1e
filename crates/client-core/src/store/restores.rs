//! What this copy lacks and asks for, and who was given what they lack (docs/protocol.md, "What a client does with them").

use subrosa_wire::{AccountId, DeviceAddress, MessageId, mailbox::Way};

use super::{Db, OptionalExtension, StoreError, array, from_sql, params, to_sql};
use crate::{
    conversation::ConversationId,
    limits::{MAX_RESTORES_ANSWERED, RESTORE_ANSWERS_KEPT, millis},
};

/// What is in these tables, for errors.
const WHAT: &str = "restore row";

/// How far a restore of this copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// There is none.
    None,
    /// What waits in the mailbox is collected.
    Collecting,
    /// Everybody was asked.
    Asked,
}

/// A restore of this copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Restore {
    pub(crate) stage: Stage,
    pub(crate) id: [u8; 16],
    /// When it began.
    pub(crate) began_ms: u64,
    /// From when on this copy may lack something.
    pub(crate) from_ms: u64,
    /// What waits may not be all that is lacking: something was taken from the mailbox that is not here.
    pub(crate) holes: bool,
}

/// The restore of this copy.
pub(crate) fn current(db: &Db) -> Result<Restore, StoreError> {
    db.prepare_cached("SELECT restore_state, restore_id, restore_ms, restore_from_ms, restore_holes FROM account")?
        .query_row([], |row| {
            let stage = match row.get::<_, u32>(0)? {
                1 => Stage::Collecting,
                2 => Stage::Asked,
                _ => Stage::None,
            };
            let id: Option<[u8; 16]> = row.get(1)?;
            let (began_ms, from_ms) = (from_sql(row.get(2)?), from_sql(row.get(3)?));
            Ok(Restore { stage, id: id.unwrap_or_default(), began_ms, from_ms, holes: row.get(4)? })
        })
        .map_err(StoreError::from)
}

/// This copy lacks what it was sent after `from_ms`: once its mailbox is drained, everybody is asked.
pub(crate) fn begin(db: &Db, id: [u8; 16], from_ms: u64, now_ms: u64) -> Result<(), StoreError> {
    db.execute(
        "UPDATE account SET restore_state = 1, restore_id = ?1, restore_from_ms = ?2, restore_ms = ?3, restore_holes = 1",
        params![id, to_sql(from_ms), to_sql(now_ms)],
    )?;
    db.execute_batch("DELETE FROM restore; DELETE FROM restore_gone")?;
    Ok(())
}

/// Nothing was taken from the mailbox that is not here.
pub(crate) fn no_holes(db: &Db) -> Result<(), StoreError> {
    db.execute("UPDATE account SET restore_holes = 0", [])?;
    Ok(())
}

/// Everybody was asked.
pub(crate) fn set_asked(db: &Db) -> Result<(), StoreError> {
    db.execute("UPDATE account SET restore_state = 2", [])?;
    Ok(())
}

/// Nothing is asked for any more.
pub(crate) fn end(db: &Db) -> Result<(), StoreError> {
    db.execute_batch("UPDATE account SET restore_state = 0; DELETE FROM restore; DELETE FROM restore_gone")?;
    Ok(())
}

/// How a device stands that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AskState {
    /// It will be.
    Due,
    /// It was, and has not answered to the end.
    Asked,
    /// It has answered.
    Answered,
    /// It never did.
    Silent,
}

impl AskState {
    const fn number(self) -> u32 {
        match self {
            Self::Due => 0,
            Self::Asked => 1,
            Self::Answered => 2,
            Self::Silent => 3,
        }
    }
}

/// A device that is asked for what this copy lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AskedRow {
    pub(crate) device: DeviceAddress,
    pub(crate) state: AskState,
    /// Envelopes of theirs that nothing here opens.
    pub(crate) unread: u64,
    /// Their lines wait so long for those before them.
    pub(crate) hold_until_ms: u64,
    pub(crate) asked_ms: u64,
    /// Answers that came.
    pub(crate) parts: u32,
    /// Lines that came again.
    pub(crate) came: u64,
    /// They were asked too often.
    pub(crate) refused: bool,
}

impl AskedRow {
    /// One that was not asked yet.
    pub(crate) const fn due(device: DeviceAddress) -> Self {
        Self {
            device,
            state: AskState::Due,
            unread: 0,
            hold_until_ms: 0,
            asked_ms: 0,
            parts: 0,
            came: 0,
            refused: false,
        }
    }
}

const COLUMNS: &str = "account, device, state, unread, hold_until_ms, asked_ms, parts, came, refused";

fn read(row: &rusqlite::Row<'_>) -> Result<AskedRow, StoreError> {
    Ok(AskedRow {
        device: DeviceAddress { account: AccountId(array(&row.get::<_, Vec<u8>>(0)?, WHAT)?), device: row.get(1)? },
        state: match row.get::<_, u32>(2)? {
            0 => AskState::Due,
            1 => AskState::Asked,
            2 => AskState::Answered,
            3 => AskState::Silent,
            _ => return Err(StoreError::Damaged(WHAT)),
        },
        unread: from_sql(row.get(3)?),
        hold_until_ms: from_sql(row.get(4)?),
        asked_ms: from_sql(row.get(5)?),
        parts: row.get(6)?,
        came: from_sql(row.get(7)?),
        refused: row.get(8)?,
    })
}

/// One device that is asked.
pub(crate) fn get(db: &Db, device: &DeviceAddress) -> Result<Option<AskedRow>, StoreError> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM restore WHERE account = ?1 AND device = ?2"))?
        .query_and_then(params![device.account.0, device.device], read)?
        .next()
        .transpose()
}

/// All of them, or those of an account.
pub(crate) fn all(db: &Db, account: Option<&AccountId>) -> Result<Vec<AskedRow>, StoreError> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM restore WHERE ?1 IS NULL OR account = ?1"))?
        .query_and_then(params![account.map(|account| account.0)], read)?
        .collect()
}

/// Stores one.
pub(crate) fn put(db: &Db, row: &AskedRow) -> Result<(), StoreError> {
    db.prepare_cached(&format!(
        "INSERT OR REPLACE INTO restore ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
    ))?
    .execute(params![
        row.device.account.0,
        row.device.device,
        row.state.number(),
        to_sql(row.unread),
        to_sql(row.hold_until_ms),
        to_sql(row.asked_ms),
        row.parts,
        to_sql(row.came),
        row.refused,
    ])?;
    Ok(())
}

/// Somebody does not have these lines any more.
pub(crate) fn put_gone(db: &Db, account: &AccountId, message: &MessageId) -> Result<(), StoreError> {
    db.prepare_cached("INSERT OR IGNORE INTO restore_gone (message, account) VALUES (?1, ?2)")?
        .execute(params![message.0, account.0])?;
    Ok(())
}

/// Lines of somebody that nobody has any more: they are not here, and their author said so.
pub(crate) fn gone(db: &Db, account: &AccountId) -> Result<u64, StoreError> {
    let count: i64 = db
        .prepare_cached(
            "SELECT count(*) FROM restore_gone WHERE account = ?1
             AND NOT EXISTS (SELECT 1 FROM message WHERE message.id = restore_gone.message)",
        )?
        .query_row(params![account.0], |row| row.get(0))?;
    Ok(from_sql(count))
}

/// The last line of a device in a conversation that was applied here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastLine {
    pub(crate) conversation: ConversationId,
    pub(crate) message: MessageId,
    pub(crate) clock: u64,
}

/// A line of a device was applied.
pub(crate) fn set_last(db: &Db, device: &DeviceAddress, last: &LastLine, now_ms: u64) -> Result<(), StoreError> {
    // A line that came again does not hide those after it: the highest place counts.
    db.prepare_cached(
        "INSERT INTO last_line (account, device, conversation, message, clock, at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET message = excluded.message, clock = excluded.clock, at_ms = excluded.at_ms
             WHERE excluded.clock >= clock",
    )?
    .execute(params![
        device.account.0,
        device.device,
        last.conversation.0,
        last.message.0,
        to_sql(last.clock),
        to_sql(now_ms)
    ])?;
    Ok(())
}

/// The last lines of a device, the newest first.
pub(crate) fn last_lines(db: &Db, device: &DeviceAddress, most: usize) -> Result<Vec<LastLine>, StoreError> {
    db.prepare_cached(
        "SELECT conversation, message, clock FROM last_line WHERE account = ?1 AND device = ?2 ORDER BY at_ms DESC LIMIT ?3",
    )?
    .query_and_then(params![device.account.0, device.device, i64::try_from(most).unwrap_or(i64::MAX)], |row| {
        Ok(LastLine {
            conversation: ConversationId(array(&row.get::<_, Vec<u8>>(0)?, WHAT)?),
            message: MessageId(array(&row.get::<_, Vec<u8>>(1)?, WHAT)?),
            clock: from_sql(row.get(2)?),
        })
    })?
    .collect()
}

/// A line that waits for those before it.
pub(crate) struct HeldRow {
    pub(crate) id: i64,
    pub(crate) device: DeviceAddress,
    pub(crate) content: Vec<u8>,
    pub(crate) received_ms: u64,
    pub(crate) way: Way,
}

/// Holds a line.
pub(crate) fn put_held(
    db: &Db,
    device: &DeviceAddress,
    line: &LastLine,
    content: &[u8],
    received_ms: u64,
    way: Way,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO held_line (account, device, conversation, clock, message, content, received_ms, way)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        device.account.0,
        device.device,
        line.conversation.0,
        to_sql(line.clock),
        line.message.0,
        content,
        to_sql(received_ms),
        way.number()
    ])?;
    Ok(())
}

/// Which held lines of a device.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Held<'a> {
    /// Those that stand before a place in a conversation.
    Before(&'a ConversationId, u64),
    /// All.
    All,
}

/// The next of them, in their order.
pub(crate) fn held(db: &Db, device: &DeviceAddress, which: Held<'_>, most: u32) -> Result<Vec<HeldRow>, StoreError> {
    let (conversation, before) = match which {
        Held::Before(conversation, clock) => (Some(conversation.0), to_sql(clock)),
        Held::All => (None, i64::MAX),
    };
    db.prepare_cached(
        "SELECT id, account, device, content, received_ms, way FROM held_line
         WHERE account = ?1 AND device = ?2 AND (?3 IS NULL OR conversation = ?3) AND clock < ?4
         ORDER BY conversation, clock, id LIMIT ?5",
    )?
    .query_and_then(params![device.account.0, device.device, conversation, before, most], |row| {
        let account = AccountId(array(&row.get::<_, Vec<u8>>(1)?, WHAT)?);
        Ok(HeldRow {
            id: row.get(0)?,
            device: DeviceAddress { account, device: row.get(2)? },
            content: row.get(3)?,
            received_ms: from_sql(row.get(4)?),
            way: Way::from_number(row.get(5)?),
        })
    })?
    .collect()
}

/// Lines of this device that are held: the beginnings of their ids.
pub(crate) fn held_ids(db: &Db, device: &DeviceAddress, most: usize) -> Result<Vec<[u8; 8]>, StoreError> {
    db.prepare_cached(
        "SELECT substr(message, 1, 8) FROM held_line WHERE account = ?1 AND device = ?2 ORDER BY id DESC LIMIT ?3",
    )?
    .query_and_then(params![device.account.0, device.device, i64::try_from(most).unwrap_or(i64::MAX)], |row| {
        Ok(row.get::<_, [u8; 8]>(0)?)
    })?
    .collect()
}

/// Whether any are.
pub(crate) fn any_held(db: &Db) -> Result<bool, StoreError> {
    Ok(db.prepare_cached("SELECT 1 FROM held_line LIMIT 1")?.exists([])?)
}

/// Whether any of this device are.
pub(crate) fn held_of(db: &Db, device: &DeviceAddress) -> Result<bool, StoreError> {
    Ok(db
        .prepare_cached("SELECT 1 FROM held_line WHERE account = ?1 AND device = ?2 LIMIT 1")?
        .exists(params![device.account.0, device.device])?)
}

/// Devices of which lines are held.
pub(crate) fn devices_held(db: &Db) -> Result<Vec<DeviceAddress>, StoreError> {
    db.prepare_cached("SELECT DISTINCT account, device FROM held_line")?
        .query_and_then([], |row| {
            let account = AccountId(array(&row.get::<_, Vec<u8>>(0)?, WHAT)?);
            Ok(DeviceAddress { account, device: row.get(1)? })
        })?
        .collect()
}

/// It is held no longer.
pub(crate) fn delete_held(db: &Db, id: i64) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM held_line WHERE id = ?1")?.execute(params![id])?;
    Ok(())
}

/// What is said to a device that asks for what it lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It is sent again.
    Yes,
    /// It was, for this request.
    Known,
    /// It was too often already.
    TooOften,
}

/// Whether a restore request is answered; it counts as answered then.
pub(crate) fn take_turn(db: &Db, device: &DeviceAddress, id: &[u8], now_ms: u64) -> Result<Turn, StoreError> {
    let known = db
        .prepare_cached("SELECT 1 FROM restore_answer WHERE account = ?1 AND device = ?2 AND restore_id = ?3")?
        .query_row(params![device.account.0, device.device, id], |_| Ok(()))
        .optional()?;
    if known.is_some() {
        return Ok(Turn::Known);
    }
    let since_ms = now_ms.saturating_sub(millis(RESTORE_ANSWERS_KEPT));
    let answered: u32 = db
        .prepare_cached(
            "SELECT count(*) FROM restore_answer WHERE account = ?1 AND device = ?2 AND at_ms BETWEEN ?3 AND ?4",
        )?
        // A time that is still to come was set by a clock that was ahead: it counts for nothing.
        .query_row(params![device.account.0, device.device, to_sql(since_ms), to_sql(now_ms)], |row| row.get(0))?;
    if answered >= MAX_RESTORES_ANSWERED {
        return Ok(Turn::TooOften);
    }
    db.prepare_cached("INSERT INTO restore_answer (account, device, restore_id, at_ms) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![device.account.0, device.device, id, to_sql(now_ms)])?;
    Ok(Turn::Yes)
}

/// Forgets answers that do not count any more.
pub(crate) fn forget_before(db: &Db, before_ms: u64) -> Result<(), StoreError> {
    db.execute("DELETE FROM restore_answer WHERE at_ms < ?1", params![to_sql(before_ms)])?;
    Ok(())
}
