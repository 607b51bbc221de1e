//! How times and ids are written on the command line.

pub(crate) use subrosa_client_core::config::duration;

pub(super) fn message_id(text: &str) -> Result<String, String> {
    if text.len() == 32 && text.bytes().all(|c| c.is_ascii_hexdigit()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("a message id has 32 hexadecimal digits".to_owned())
    }
}
