//! The configuration file: flat TOML, a key for each setting.

use std::path::Path;

use super::{SettingError, all, closest};

/// Longest file that is read: a hundred times what all settings need.
const MAX_FILE_BYTES: u64 = 256 * 1024;

/// What stands in a file.
pub(super) fn read(path: &Path) -> Result<String, SettingError> {
    let failed = |why: String| SettingError::File { path: path.to_owned(), why };
    let size = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if size > MAX_FILE_BYTES {
        return Err(failed(format!("it is longer than {MAX_FILE_BYTES} bytes")));
    }
    std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))
}

/// The settings in a file, each as text.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<(&'static str, String)>, SettingError> {
    let failed = |why: String| SettingError::File { path: path.to_owned(), why };
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| failed(error.to_string()))?;
    table
        .iter()
        .map(|(key, value)| {
            let place = format!("{}: {key}", path.display());
            let Some(setting) = all().find(|setting| setting.key == key) else {
                let meant = closest(key, all().map(|setting| setting.key.to_owned()));
                return Err(SettingError::Unknown { place, meant });
            };
            let value = as_text(value).ok_or_else(|| SettingError::Value {
                place,
                value: value.to_string(),
                why: "is not one value".to_owned(),
            })?;
            Ok((setting.key, value))
        })
        .collect()
}

/// A value as a flag would have it; lists are joined by commas.
fn as_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(is) => Some(is.to_string()),
        toml::Value::Array(values) => {
            let texts: Option<Vec<String>> = values.iter().map(|value| value.as_str().map(str::to_owned)).collect();
            texts.map(|texts| texts.join(","))
        }
        _ => None,
    }
}
