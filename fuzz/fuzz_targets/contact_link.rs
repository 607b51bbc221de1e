//! Contact links and handles: any text is refused, or is written and read again with the same
//! meaning.
#![no_main]

use libfuzzer_sys::fuzz_target;
use subrosa_wire::{ContactLink, Handle};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    if let Ok(link) = text.parse::<ContactLink>() {
        let written = link.to_string();
        assert_eq!(written.parse::<ContactLink>().as_ref(), Ok(&link));
    }
    if let Ok(handle) = text.parse::<Handle>() {
        assert_eq!(handle.as_str(), text);
    }
});
