//! What this machine holds, as people read it: accounts and settings.

use subrosa_client_core::{
    api::{LocalAccount, SettingInfo, SettingOrigin},
    clean::clean_line,
};

use super::{
    columns::{fit, short_id},
    ticks::Ticks,
};

/// Columns for a local name.
const ACCOUNT_COLUMNS: usize = 14;

/// Columns for a setting's name and value.
const SETTING_COLUMNS: usize = 17;

/// `* alice   alice   f9c2ab10  https://relay.example.org/  listen (pid 71)`
pub(super) fn account(it: &LocalAccount, ticks: Ticks) -> String {
    let name = fit(&it.account, ACCOUNT_COLUMNS);
    let (mark, name) = if it.current { ("*", ticks.bold(&name)) } else { (" ", name) };
    let engine = it
        .engine
        .as_ref()
        .map(|engine| format!("  {} (pid {})", clean_line(&engine.kind), engine.pid))
        .unwrap_or_default();
    format!(
        "{mark} {name}  {}  {}  {}{engine}\n  {}",
        fit(&it.name, ACCOUNT_COLUMNS),
        ticks.dim(&short_id(&it.id)),
        clean_line(&it.relay),
        ticks.dim(&format!("opens with {}", clean_line(&it.opens_with)))
    )
}

/// `read_receipts   off             (file)  tell the writers …`
pub(super) fn setting(it: &SettingInfo, ticks: Ticks) -> String {
    let value = if it.value.is_empty() { "-" } else { &it.value };
    let origin = match it.origin {
        SettingOrigin::Default => "default",
        SettingOrigin::File => "file",
        SettingOrigin::Environment => "environment",
    };
    let value = fit(value, SETTING_COLUMNS);
    let value = if it.origin == SettingOrigin::Default { value } else { ticks.bold(&value) };
    format!(
        "{}  {value}  {}  {}; {}",
        fit(&it.name, SETTING_COLUMNS),
        ticks.dim(&format!("{origin:<11}")),
        it.about,
        ticks.dim(&it.kind)
    )
}
