//! `config list|get|set|unset|path`.

use subrosa_client_core::{
    api::ConfigPath,
    clean::clean_line,
    config::{Config, SETTINGS},
};

use crate::{Context, account::accounts, args::ConfigVerb, errors::Failure};

pub(crate) fn run(ctx: &Context, verb: ConfigVerb) -> Result<(), Failure> {
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
