//! Finds the programs under test beside this executable, and builds them when they are missing or old.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
    time::SystemTime,
};

use anyhow::{Context, Result, ensure};

/// The two programs under test.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `subrosa`.
    pub client: PathBuf,
    /// `subrosa-relay`.
    pub relay: PathBuf,
}

/// One build at a time: tests of one executable run on several threads.
static BUILDING: Mutex<()> = Mutex::new(());

impl Programs {
    /// The programs of the same build profile as this executable.
    ///
    /// # Errors
    /// The build fails, or this executable does not lie in a cargo target directory.
    pub fn locate() -> Result<Self> {
        let executable = std::env::current_exe().context("where this executable lies")?;
        let mut folder = executable.parent().context("this executable has no folder")?;
        if folder.ends_with("deps") {
            folder = folder.parent().context("deps has no parent")?;
        }
        let programs = Self { client: folder.join("subrosa"), relay: folder.join("subrosa-relay") };
        let built_here = folder.ends_with("debug") || folder.ends_with("release");
        if !built_here {
            // Copied somewhere by a person, who then knows what they are.
            ensure!(programs.client.exists() && programs.relay.exists(), "no programs beside {}", folder.display());
            return Ok(programs);
        }
        let _one_build = BUILDING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !programs.fresh() {
            programs.build(folder)?;
        }
        Ok(programs)
    }

    /// Whether both exist and are newer than every source file they are made from.
    fn fresh(&self) -> bool {
        let built = |path: &Path| path.metadata().and_then(|meta| meta.modified()).ok();
        let (Some(client), Some(relay)) = (built(&self.client), built(&self.relay)) else { return false };
        let oldest = client.min(relay);
        ["crates", "cli", "tui", "Cargo.lock"].iter().all(|part| {
            let path = workspace().join(part);
            !path.exists() || newest(&path).is_none_or(|changed| changed <= oldest)
        })
    }

    fn build(&self, folder: &Path) -> Result<()> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(workspace()).args(["build", "--quiet", "-p", "subrosa", "-p", "subrosa-relay"]);
        if folder.ends_with("release") {
            command.arg("--release");
        }
        if let Some(target) = folder.parent() {
            command.arg("--target-dir").arg(target);
        }
        let status = command.stdin(Stdio::null()).status().context("starting cargo to build the programs")?;
        ensure!(status.success(), "building subrosa and subrosa-relay failed");
        // Cargo leaves a program alone when a changed file does not concern it: say that it was looked at.
        for path in [&self.client, &self.relay] {
            let file = std::fs::File::open(path).with_context(|| format!("{} was not built", path.display()))?;
            file.set_modified(SystemTime::now()).with_context(|| format!("touching {}", path.display()))?;
        }
        Ok(())
    }
}

/// The root of the repository.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned()
}

/// When anything in a file or folder last changed.
fn newest(path: &Path) -> Option<SystemTime> {
    if path.is_file() {
        return path.metadata().ok()?.modified().ok();
    }
    std::fs::read_dir(path).ok()?.filter_map(|entry| newest(&entry.ok()?.path())).max()
}
