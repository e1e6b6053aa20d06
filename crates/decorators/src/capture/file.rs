//! The file of a transcript: private, and never another one than was named.

use super::Existing;
use std::{io, path::PathBuf};
use tokio::fs::{File, OpenOptions};

/// Who may read a transcript: its owner.
#[cfg(unix)]
const MODE: u32 = 0o600;

/// A transcript that cannot be written. Connections go on without it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file cannot be opened.
    #[error(
        "the file {path:?} of decorator capture cannot be opened, and nothing is recorded: {}",
        advice(source)
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The path leads to something else than a file.
    #[error("{path:?} of decorator capture is not a regular file, and nothing is recorded: name another one")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file cannot be written any more.
    #[error(
        "the file {path:?} of decorator capture cannot be written, and its transcript ends: is the disk full?"
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn advice(error: &io::Error) -> &'static str {
    // ELOOP, whose kind is not stable.
    #[cfg(unix)]
    if error.raw_os_error() == Some(libc::ELOOP) {
        return "it is a symbolic link; name the file itself";
    }
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            "it is there already; move it away, or set `existing` to \"append\" or \"overwrite\""
        }
        io::ErrorKind::NotFound => "its folder must be there",
        io::ErrorKind::PermissionDenied => "the node's user must own it, or be able to write into its folder",
        _ => "see the cause",
    }
}

/// Opens the file, and says how much is in it already.
pub(super) async fn open(path: &str, existing: Existing) -> Result<(File, u64), CaptureError> {
    let failed = |source| CaptureError::Open { path: path.into(), source };
    let file = options(existing).open(path).await.map_err(failed)?;
    let found = file.metadata().await.map_err(failed)?;
    if !found.is_file() {
        return Err(CaptureError::NotAFile { path: path.into() });
    }
    make_private(&file, &found).await.map_err(failed)?;
    match existing {
        Existing::Append => Ok((file, found.len())),
        Existing::Refuse | Existing::Overwrite => {
            // Not when it was opened: then it was not known yet to be a file.
            file.set_len(0).await.map_err(failed)?;
            Ok((file, 0))
        }
    }
}

fn options(existing: Existing) -> OpenOptions {
    let mut options = OpenOptions::new();
    match existing {
        Existing::Refuse => options.write(true).create_new(true),
        Existing::Append => options.append(true).create(true),
        Existing::Overwrite => options.write(true).create(true),
    };
    #[cfg(unix)]
    // Not to wait for the reader of a named pipe.
    options.mode(MODE).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}

/// A file that was there may be open to others.
#[cfg(unix)]
async fn make_private(file: &File, found: &std::fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if found.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    file.set_permissions(std::fs::Permissions::from_mode(MODE)).await
}

#[cfg(not(unix))]
async fn make_private(_: &File, _: &std::fs::Metadata) -> io::Result<()> {
    Ok(())
}
