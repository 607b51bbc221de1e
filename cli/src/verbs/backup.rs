//! `backup` and `restore`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use subrosa_client_core::{
    ApiError, ErrorKind,
    account::is_begun,
    api::{BackupMade, BackupParams},
    backup,
    clean::clean_line,
    home::Home,
    keys,
    new_file::unfinished,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Context,
    account::{Use, accounts, home, settle_current, with_account},
    args::{BackupArgs, RestoreArgs},
    errors::Failure,
    output::{
        progress::{Progress, Unit},
        time,
    },
    passphrase::PassphraseSource,
    secret::Secret,
};

/// How often the growing file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub(crate) async fn backup(ctx: &Context, args: BackupArgs) -> Result<(), Failure> {
    home(ctx)?.require_account()?;
    let path = std::path::absolute(&args.file)
        .map_err(|error| ApiError::new(ErrorKind::Storage, format!("cannot find {}: {error}", args.file.display())))?;
    // Before a passphrase is asked for; the engine looks again.
    if !args.force && path.symlink_metadata().is_ok() {
        return Err(ApiError::new(ErrorKind::Usage, format!("{} exists already", path.display()))
            .hint("choose another name, or replace it with --force")
            .into());
    }
    let source = PassphraseSource::of_backup(&ctx.global, &ctx.out, args.backup_passphrase_file);
    let progress = ctx.out.progress("backup", "making the backup's key");
    let hide = progress.hide();
    let key = blocking(ctx, move || backup::derive(&hide.during(|| source.get_new())?)).await?;
    drop(progress);

    let text = path
        .to_str()
        .map(str::to_owned)
        .ok_or_else(|| ApiError::new(ErrorKind::Usage, "the file's name is not UTF-8").hint("choose another name"))?;
    let params = BackupParams { path: text, force: args.force, key };
    with_account(ctx, Use { kind: "backup", drain: true }, async |client| {
        let progress = ctx.out.progress("backup", "writing the backup");
        let made: BackupMade = tokio::select! {
            made = client.backup(params.clone()) => made?,
            () = watch(&progress, &path, home(ctx)?.store()) => return Ok(()),
        };
        drop(progress);
        ctx.out.line(made)?;
        ctx.out.note("\nIt was read back and checked. Keep it on another machine; its passphrase opens it:\n  subrosa restore FILE");
        Ok(())
    })
    .await
}

/// Shows how the files of a backup grow. Never ends.
async fn watch(progress: &Progress, path: &Path, store: PathBuf) {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.len());
    let (sealed, mut copy) = (unfinished(path), unfinished(path).into_os_string());
    copy.push("-store");
    loop {
        // Copied once, sealed once.
        let total = 2 * size(&store);
        if total > 0 {
            progress.total(total, Unit::Bytes);
            progress.done((size(&sealed) + size(Path::new(&copy))).min(total));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

pub(crate) async fn restore(ctx: &Context, args: RestoreArgs) -> Result<(), Failure> {
    let accounts = accounts(ctx)?;
    let wanted = ctx.global.account.clone();
    if let Some(name) = &wanted {
        // Before anything is asked. Without a name it is the handle, which stands inside the backup.
        let home = accounts.place_for(name)?;
        if !is_begun(&home)
            && let Some(lost) = home.lost()
        {
            return Err(lost.into());
        }
    }
    let of_backup = PassphraseSource::of_backup(&ctx.global, &ctx.out, args.backup_passphrase_file);
    let of_account = Secret::new(&ctx.global, &ctx.out)?;
    let keyring = args.keyring;
    let progress = ctx.out.progress("restore", "restoring the backup");
    let hide = progress.hide();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let places = accounts.clone();
    let work = tokio::task::spawn_blocking(move || {
        let opens = hide.during(|| of_backup.get())?;
        let own_key = |home: &Home| {
            let name = home.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
            // One that an interrupted restore left is asked for, not made anew.
            let made = || if is_begun(home) { of_account.get(home) } else { of_account.make(&name, keyring) };
            keys::create(home, hide.during(made)?)
        };
        let place = |handle: &str| places.place_for(wanted.as_deref().unwrap_or(handle));
        subrosa_client_core::restore::restore(place, &args.file, &opens, own_key, &stopped)
    });
    tokio::pin!(work);
    let restored = tokio::select! {
        restored = &mut work => joined(restored)?,
        signal = ctx.interrupt.wait() => {
            stop.cancel();
            // It removes what it made; a question that nobody answers any more is not waited for.
            let _ = tokio::time::timeout(CLEAN_UP, work).await;
            return Err(Failure::Interrupted(signal));
        }
    };
    drop(progress);
    let made = Home::at(&restored.account.data_dir);
    let name = clean_line(&restored.account.name).into_owned();
    let when = time::short(restored.created_ms);
    ctx.out.line(restored)?;
    settle_current(ctx, &accounts, &made)?;
    ctx.out.note(&format!(
        "\nThis is {name} as of {when}. Conversations go on with new keys. See what came meanwhile; what others sent to the lost copy is asked for again:\n  subrosa receive"
    ));
    Ok(())
}

/// How long an interrupted restore may clean up.
const CLEAN_UP: Duration = Duration::from_secs(2);

/// Off the asynchronous threads, until somebody wants to stop.
async fn blocking<T: Send + 'static>(
    ctx: &Context,
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, Failure> {
    tokio::select! {
        result = tokio::task::spawn_blocking(work) => joined(result),
        signal = ctx.interrupt.wait() => Err(Failure::Interrupted(signal)),
    }
}

fn joined<T>(result: Result<Result<T, ApiError>, tokio::task::JoinError>) -> Result<T, Failure> {
    Ok(result.map_err(|error| ApiError::new(ErrorKind::Failed, format!("it failed: {error}")))??)
}
