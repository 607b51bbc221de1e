//! `backup`, `restore` and `check`: work on files, with or without a running relay.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde_json::json;

use super::DataArgs;
use crate::{backend::embedded::copies, json::json_line, tls::KEY_FILE};

/// Database files are called like this in a data directory.
const FILE_NAME: &str = "relay.db";

pub(super) fn backup(file: &Path, data: &DataArgs) -> anyhow::Result<()> {
    let bytes = copies::backup(&data.data, file)?;
    let mut out = io::stdout().lock();
    if data.json {
        let line = json!({"v": 1, "type": "backup", "file": file.display().to_string(), "bytes": bytes});
        writeln!(out, "{}", json_line(&line)?)?;
    } else {
        writeln!(out, "{}: {bytes} bytes, checked", file.display())?;
    }
    let key = data.data.join(KEY_FILE);
    if key.exists() {
        // Without it a restored relay is a stranger to everybody.
        eprintln!("Copy {} too: clients know this relay by that key. It never changes, once is enough.", key.display());
    }
    Ok(())
}

pub(super) fn restore(file: &Path, data: &DataArgs) -> anyhow::Result<()> {
    let old = copies::restore(file, &data.data)?;
    let mut out = io::stdout().lock();
    let old = old.map(|old| old.display().to_string());
    if data.json {
        let line = json!({"v": 1, "type": "restored", "data": data.data.display().to_string(), "old": old});
        writeln!(out, "{}", json_line(&line)?)?;
    } else {
        writeln!(out, "restored into {}: start the relay", data.data.display())?;
        if let Some(old) = old {
            writeln!(out, "what was there before is {old}")?;
        }
    }
    Ok(())
}

pub(super) fn check(file: Option<PathBuf>, data: Option<PathBuf>) -> anyhow::Result<()> {
    let Some(path) = file.or_else(|| data.map(|data| data.join(FILE_NAME))) else { return Ok(()) };
    copies::check(&path)?;
    writeln!(io::stdout().lock(), "{}: whole", path.display())?;
    Ok(())
}
