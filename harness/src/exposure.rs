//! What a relay has written, held against what it may know (`docs/threat-model.md`).
//!
//! Three questions about a stopped relay's directory and logs: does any byte show a text, a message
//! id or a capability; does a table other than the directory's name anybody; does a name stand next
//! to mail in the raw files, where deleted rows and the write-ahead log also lie.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags, types::ValueRef};

use crate::needles::{Haystacks, Needle};

/// Columns in which a relay names accounts and devices. Everything else is mail, and mail names nobody.
const DIRECTORY: [(&str, &[&str]); 3] = [
    ("account", &["account", "record", "handle", "list"]),
    ("device", &["identity", "signed_prekey", "last_resort_kem"]),
    ("prekey", &["bytes"]),
];

/// Pages of the database; a page of the write-ahead log has a header of its own before it.
const PAGE: usize = 4096;
const WAL_HEADER: usize = 32;
const WAL_FRAME_HEADER: usize = 24;

/// What to look for.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// Must not occur in any byte: texts, message ids, capabilities.
    pub never: Vec<Needle>,
    /// Account ids, identity keys and handles of the relay's own accounts: only in the directory's tables.
    pub names: Vec<Needle>,
    /// The same of people who only write to this relay: must not occur in any byte.
    pub strangers: Vec<Needle>,
}

/// One thing the relay should not have written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// File, or table and column.
    pub place: String,
    /// What stands there.
    pub what: String,
}

/// Judges a relay's data directory and what it printed.
///
/// # Errors
/// A file cannot be read; an empty or foreign directory is an error too, since nothing would be found in it.
pub fn examine(data: &Path, logs: &[PathBuf], secrets: &Secrets) -> Result<Vec<Leak>> {
    let mut leaks = Vec::new();
    let prepare = |needles: &[Needle]| Haystacks::of(needles).map_err(anyhow::Error::msg);
    let never = prepare(&[secrets.never.as_slice(), &secrets.strangers].concat())?;
    let names = prepare(&secrets.names)?;
    let database = data.join("relay.db");
    let mail = mail_marks(&database)?;
    let marks = prepare(&mail)?;
    for path in files(data)? {
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let place = path.display().to_string();
        leaks.extend(never.search(&bytes).into_iter().map(|find| Leak {
            place: place.clone(),
            what: format!("{} ({}) at byte {}", find.name, find.form, find.offset),
        }));
        for (start, page) in pages(&path, &bytes) {
            if !marks.search(page).is_empty() {
                leaks.extend(names.search(page).into_iter().map(|find| Leak {
                    place: place.clone(),
                    what: format!("{} ({}) on the page of mail at byte {start}", find.name, find.form),
                }));
            }
        }
    }
    for path in logs {
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        for find in never.search(&bytes).into_iter().chain(names.search(&bytes)) {
            leaks.push(Leak { place: path.display().to_string(), what: format!("{} ({})", find.name, find.form) });
        }
    }
    leaks.extend(named_in_mail(&database, &names)?);
    Ok(leaks)
}

/// All regular files below a directory.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(files(&entry.path())?);
        } else {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// The pages of a database or write-ahead log; any other file is one page.
fn pages<'a>(path: &Path, bytes: &'a [u8]) -> Vec<(usize, &'a [u8])> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (start, step, skip) = match name.as_str() {
        "relay.db" => (0, PAGE, 0),
        "relay.db-wal" => (WAL_HEADER, PAGE + WAL_FRAME_HEADER, WAL_FRAME_HEADER),
        _ => return vec![(0, bytes)],
    };
    let rest = bytes.get(start..).unwrap_or_default();
    rest.chunks(step)
        .enumerate()
        .map(|(number, chunk)| (start + number * step + skip, chunk.get(skip..).unwrap_or_default()))
        .collect()
}

fn open(database: &Path) -> Result<Connection> {
    Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .with_context(|| format!("opening {}", database.display()))
}

/// The heads, envelope ids and beginnings of bodies that wait in the mailboxes: they mark the pages that hold mail.
fn mail_marks(database: &Path) -> Result<Vec<Needle>> {
    let db = open(database)?;
    let mut statement = db.prepare("SELECT env_id, head FROM mailbox")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    let mut marks = Vec::new();
    for row in rows {
        let (id, head) = row?;
        marks.push(Needle::new("envelope id", id));
        marks.push(Needle::new("head", head));
    }
    let mut statement = db.prepare("SELECT CAST(substr(bytes, 2, 32) AS BLOB) FROM body")?;
    let bodies = statement.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
    for body in bodies {
        marks.push(Needle::new("body", body?));
    }
    anyhow::ensure!(!marks.is_empty(), "no mail waits in {}: there would be nothing to find", database.display());
    Ok(marks)
}

/// The tables of a relay's database.
///
/// # Errors
/// It cannot be read.
pub fn tables(database: &Path) -> Result<Vec<String>> {
    let db = open(database)?;
    let mut statement = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?;
    let names = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(names)
}

/// Every value of every column that is not the directory's, searched for names.
fn named_in_mail(database: &Path, names: &Haystacks) -> Result<Vec<Leak>> {
    let db = open(database)?;
    let mut leaks = Vec::new();
    for table in tables(database)? {
        let allowed = DIRECTORY.iter().find(|(name, _)| *name == table).map_or(&[][..], |(_, columns)| *columns);
        let mut statement = db.prepare(&format!("SELECT * FROM \"{table}\""))?;
        let columns: Vec<String> = statement.column_names().map(ToString::to_string).collect();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for (index, column) in columns.iter().enumerate() {
                let (ValueRef::Blob(bytes) | ValueRef::Text(bytes)) = row.get_ref(index)? else { continue };
                if allowed.contains(&column.as_str()) {
                    continue;
                }
                leaks.extend(names.search(bytes).into_iter().map(|find| Leak {
                    place: format!("{table}.{column}"),
                    what: format!("{} ({})", find.name, find.form),
                }));
            }
        }
    }
    Ok(leaks)
}
