//! `config check`.

use std::io::{self, Write};

use serde_json::json;

use crate::{
    json::json_line,
    operate::{
        serve::{ServeArgs, complete},
        settings::{Origin, Settings, all},
    },
};

/// Shows every setting, then says what is wrong with them as a whole.
pub(super) fn check(args: &ServeArgs) -> anyhow::Result<()> {
    let resolved = args.resolve()?;
    let defaults = Settings::default();
    let mut out = io::stdout().lock();
    for (setting, source) in all().zip(&resolved.sources) {
        let (value, default) = ((setting.show)(&resolved.settings), (setting.show)(&defaults));
        if args.json {
            let line = json!({
                "v": 1, "type": "setting", "key": setting.key, "value": value, "from": source.name(),
                "default": default, "help": setting.help, "reason": setting.reason,
            });
            writeln!(out, "{}", json_line(&line)?)?;
            continue;
        }
        let text = |value: &str| if value.is_empty() { "(unset)".to_owned() } else { value.to_owned() };
        let from = match source {
            Origin::Default => "default".to_owned(),
            other => format!("{}; default: {}", other.name(), text(&default)),
        };
        writeln!(out, "{} = {}   [{from}]\n    {}. {}", setting.key, text(&value), setting.help, setting.reason)?;
    }
    complete(resolved)?;
    Ok(())
}
