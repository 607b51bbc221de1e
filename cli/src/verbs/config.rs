//! `config list|get|set|unset|path`.

use subrosa_client_core::{
    api::{ConfigPath, KeepAgreeParams, KeepShowParams},
    clean::clean_line,
    config::{Config, SETTINGS},
    keep::{self, Keep},
};

use super::chat::loss;
use crate::{
    Context,
    account::{Use, accounts, with_account},
    args::ConfigVerb,
    confirm::confirm,
    errors::Failure,
};

pub(crate) async fn run(ctx: &Context, verb: ConfigVerb) -> Result<(), Failure> {
    let accounts = accounts(ctx)?;
    let file = accounts.settings();
    match verb {
        ConfigVerb::List => {
            let config = file.load()?;
            for setting in SETTINGS {
                ctx.out.line(config.get(setting.name)?)?;
            }
            report_unknown(ctx, &config);
        }
        ConfigVerb::Get(args) => {
            let setting = file.load()?.get(&args.name)?;
            if ctx.out.json {
                ctx.out.line(setting)?;
            } else {
                crate::output::print(&format!("{}\n", clean_line(&setting.value)))?;
            }
        }
        ConfigVerb::Set(args) => {
            if args.name == "account" && !args.value.is_empty() {
                // Only one that is there: the next command would fail.
                accounts.make_current(&args.value)?;
            } else if args.name == KEEP {
                set_keep(ctx, &args.value, args.force).await?;
            } else {
                file.change(&args.name, Some(&args.value))?;
            }
            show(ctx, &file.load()?, &args.name)?;
        }
        ConfigVerb::Unset(args) => {
            file.change(&args.name, None)?;
            show(ctx, &file.load()?, &args.name)?;
        }
        ConfigVerb::Path => ctx.out.line(ConfigPath { path: file.path().display().to_string() })?,
    }
    Ok(())
}

/// The setting that deletes messages.
const KEEP: &str = "keep";

/// How long messages are kept. What the account that is meant has too much of is said before anything is set; other accounts of the
/// home delete nothing by it before their turn comes.
async fn set_keep(ctx: &Context, text: &str, force: bool) -> Result<(), Failure> {
    let accounts = accounts(ctx)?;
    let file = accounts.settings();
    let keep = match keep::for_all(text) {
        Ok(keep @ Keep::For(_)) if accounts.select(ctx.global.account.as_deref()).is_ok() => keep.to_string(),
        // For ever deletes nothing; and what is wrong is said as of any other setting.
        _ => return Ok(file.change(KEEP, Some(text))?),
    };
    with_account(ctx, Use { kind: "config", drain: false }, async |client| {
        let goes = client.keep_show(KeepShowParams { chat: None, keep: Some(keep.clone()) }).await?.goes;
        if let Some(loss) = loss(goes, &keep, "this account") {
            confirm(ctx, force, &loss).await?;
        }
        file.change(KEEP, Some(&keep))?;
        client.keep_agree(KeepAgreeParams { keep }).await?;
        Ok(())
    })
    .await
}

/// What the setting is now, which may not be what was asked for.
fn show(ctx: &Context, config: &Config, name: &str) -> Result<(), Failure> {
    let setting = config.get(name)?;
    if setting.origin == subrosa_client_core::api::SettingOrigin::Environment {
        ctx.out.warn("an environment variable overrides the file");
    }
    ctx.out.line(setting)?;
    report_unknown(ctx, config);
    Ok(())
}

fn report_unknown(ctx: &Context, config: &Config) {
    let unknown = config.unknown();
    if !unknown.is_empty() {
        ctx.out
            .warn(&format!("the settings file has what this version does not know; it stays: {}", unknown.join(", ")));
    }
}
