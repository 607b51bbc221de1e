//! Settings.

use clap::{Args, Subcommand};

/// Show and change settings
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  subrosa config list
  subrosa config set read_receipts off
  subrosa config get read_receipts
  subrosa config unset read_receipts")]
#[command(after_help = "\
What counts, in this order: a flag, the environment (SUBROSA_READ_RECEIPTS), the file, the default.
The file holds no secrets. It is made when something first differs from the default; your comments in it stay, and if it is a link,
what that points to is changed.")]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) verb: ConfigVerb,
}

/// What to do with settings.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Every setting: what it is, who says so, what it does
    #[command(before_help = "\
Examples:
  subrosa config list
  subrosa config list --json")]
    List,
    /// Print what a setting is
    #[command(before_help = "\
Examples:
  subrosa config get read_receipts")]
    Get(SettingName),
    /// Change a setting
    #[command(before_help = "\
Examples:
  subrosa config set read_receipts off
  subrosa config set lock_timeout 20s
  subrosa config set keep 1y")]
    Set(SettingValue),
    /// Go back to the default
    #[command(before_help = "\
Examples:
  subrosa config unset read_receipts")]
    Unset(SettingName),
    /// Print where the settings are kept
    #[command(before_help = "\
Examples:
  subrosa config path
  $EDITOR $(subrosa config path)")]
    Path,
}

/// A setting.
#[derive(Debug, Args)]
pub(crate) struct SettingName {
    /// Its name, as in: subrosa config list
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// A setting and what it is to be.
#[derive(Debug, Args)]
pub(crate) struct SettingValue {
    /// Its name, as in: subrosa config list
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// What it is to be
    #[arg(value_name = "VALUE", allow_hyphen_values = true)]
    pub(crate) value: String,
    /// For keep: delete what is older without asking
    #[arg(long)]
    pub(crate) force: bool,
}
