//! Whoever reads our standard output: what they cannot get does not count as printed.

use std::{io, os::fd::AsFd};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FileType, OFlags, fcntl_getfl, fstat, stat},
    io::ioctl_fionread,
};
use subrosa_client_core::{ApiError, ErrorKind};

/// An error if standard output was closed (`>&-`): the runtime then opened `/dev/null` in its place, for reading and writing, as no
/// shell does for `> /dev/null`.
pub(crate) fn check_open() -> Result<(), ApiError> {
    let stdout = io::stdout();
    let writable_both_ways = fcntl_getfl(&stdout).is_ok_and(|flags| flags.contains(OFlags::RDWR));
    let is_null = match (fstat(&stdout), stat("/dev/null")) {
        (Ok(ours), Ok(null)) => {
            FileType::from_raw_mode(ours.st_mode) == FileType::CharacterDevice && ours.st_rdev == null.st_rdev
        }
        _ => false,
    };
    if writable_both_ways && is_null {
        return Err(ApiError::new(
            ErrorKind::Storage,
            "standard output is closed: what came would be lost, so nothing is taken",
        )
        .hint("leave it open; to throw messages away: > /dev/null"));
    }
    Ok(())
}

/// Whether another program reads our output: it may end at any line.
pub(crate) fn is_program() -> bool {
    matches!(kind(), Some(FileType::Fifo | FileType::Socket))
}

fn kind() -> Option<FileType> {
    fstat(io::stdout()).ok().map(|file| FileType::from_raw_mode(file.st_mode))
}

/// An error if whoever reads our output is gone, and has not taken all of it.
pub(crate) fn check_there() -> io::Result<()> {
    if !is_program() {
        return Ok(());
    }
    let stdout = io::stdout();
    let mut looked = [PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut looked, Some(&at_once))?;
    if !looked[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) {
        return Ok(());
    }
    // `head -1` has read its line when it ends. What else is in a pipe was read by nobody; of a socket that is not told.
    match (kind(), ioctl_fionread(&stdout)) {
        (Some(FileType::Fifo), Ok(0)) => Ok(()),
        _ => Err(io::ErrorKind::BrokenPipe.into()),
    }
}
