//! Moves a damaged file out of the way without overwriting anything.

use redb::{StorageBackend, backends::FileBackend};
use skep_api::peerstore::{PeerStoreError, PeerStoreErrorKind};
use std::{
    ffi::OsString,
    fs,
    io::{self, ErrorKind},
    ops::Bound,
    path::{Path, PathBuf},
};

/// How many damaged files are kept before somebody has to look.
const MOST: u32 = 1_000;

/// Moves the file to `<path>.damaged-<n>`, with the lowest number that is free. Where it is now.
///
/// # Errors
/// [`PeerStoreErrorKind::InUse`] if another process has it by now, [`PeerStoreErrorKind::Io`] if it cannot be moved.
pub(super) fn move_aside(path: &Path) -> Result<PathBuf, PeerStoreError> {
    let failed = |e: io::Error| {
        let detail = format!("{} cannot be moved aside", path.display());
        PeerStoreError::new(PeerStoreErrorKind::Io, detail).with_source(e)
    };
    // Held while it is moved, so that of two nodes only one does.
    let _locked = lock(path)
        .map_err(failed)?
        .ok_or_else(|| PeerStoreError::new(PeerStoreErrorKind::InUse, path.display().to_string()))?;
    let target = free_name(path).map_err(failed)?;
    fs::rename(path, &target).map_err(|e| {
        // The name was reserved by an empty file, which is all that is removed here.
        drop(fs::remove_file(&target));
        failed(e)
    })?;
    Ok(target)
}

fn lock(path: &Path) -> io::Result<Option<FileBackend>> {
    let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
    let backend = FileBackend::new(file).map_err(io::Error::other)?;
    Ok(backend.try_lock_range(Bound::Unbounded, Bound::Unbounded)?.then_some(backend))
}

/// Reserves a name by making an empty file, which the rename then replaces.
fn free_name(path: &Path) -> io::Result<PathBuf> {
    for n in 1..=MOST {
        let mut name = OsString::from(path);
        name.push(format!(".damaged-{n}"));
        let name = PathBuf::from(name);
        match fs::OpenOptions::new().write(true).create_new(true).open(&name) {
            Ok(_) => return Ok(name),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::new(ErrorKind::AlreadyExists, format!("{MOST} damaged files are there already")))
}
