//! What must hold for any input of each of the relay's own parsers: called by the fuzz targets and by the property tests below.
//! (Frames are `wire`'s; account records and device lists are held against the cryptography's parser in client-core's tests.)
#![allow(missing_docs)]

use std::path::Path;

use crate::operate::{
    admin::protocol::AdminRequest,
    settings::{Flags, all, resolve_with},
};

/// A settings file is refused with a reason, or every setting that it makes can be shown and read back as the same.
pub fn settings(data: &[u8]) {
    let path = Path::new("relay.toml");
    let text = String::from_utf8_lossy(data);
    match resolve_with(&Flags::default(), [], Some((path, &text))) {
        Ok(resolved) => {
            for setting in all() {
                let shown = (setting.show)(&resolved.settings);
                let mut again = resolved.settings.clone();
                assert_eq!((setting.set)(&mut again, &shown), Ok(()), "{} = {shown:?}", setting.key);
                assert_eq!((setting.show)(&again), shown, "{}", setting.key);
            }
        }
        Err(error) => assert!(error.to_string().contains("relay.toml"), "{error}"),
    }
}

/// A request of the operator's verbs is refused, or is written and read again as the same.
pub fn admin(data: &[u8]) {
    let Ok(request) = serde_json::from_slice::<AdminRequest>(data) else { return };
    let written = serde_json::to_string(&request).ok();
    let again: Option<AdminRequest> = written.as_deref().and_then(|line| serde_json::from_str(line).ok());
    assert_eq!(again.and_then(|request| serde_json::to_string(&request).ok()), written);
    assert!(written.is_some_and(|line| !line.contains('\n')), "one line");
}

#[cfg(test)]
#[path = "../../../fuzz/inputs.rs"]
mod inputs;

#[cfg(test)]
mod tests {
    use super::{inputs::hold, *};

    #[test]
    fn settings_files_are_refused_or_mean_something() {
        hold("relay_settings", settings);
    }

    #[test]
    fn admin_requests_keep_their_meaning() {
        hold("relay_admin", admin);
    }
}
