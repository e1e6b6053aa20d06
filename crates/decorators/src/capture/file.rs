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
    /// The file was there, and is somebody else's.
    #[error(
        "the file {path:?} of decorator capture belongs to user {owner}, who could read it, and nothing is recorded: \
         remove it, or name another one"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The number of the user that it belongs to.
        owner: u32,
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
    if existing != Existing::Refuse {
        check_owner(path, &found, own_user())?;
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

#[cfg(unix)]
fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn own_user() -> u32 {
    0
}

/// Whoever owns a file can read it, whatever its mode is; root can open those of others.
#[cfg(unix)]
fn check_owner(path: &str, found: &std::fs::Metadata, own: u32) -> Result<(), CaptureError> {
    use std::os::unix::fs::MetadataExt;
    match found.uid() {
        owner if owner == own => Ok(()),
        owner => Err(CaptureError::Foreign { path: path.into(), owner }),
    }
}

#[cfg(not(unix))]
fn check_owner(_: &str, _: &std::fs::Metadata, _: u32) -> Result<(), CaptureError> {
    Ok(())
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn only_its_own_user_may_have_the_file() {
        let found = std::fs::metadata(env!("CARGO_MANIFEST_DIR")).unwrap();
        let owner = found.uid();
        assert!(check_owner("a.capture", &found, owner).is_ok());
        assert_eq!(
            check_owner("a.capture", &found, owner.wrapping_add(1)).unwrap_err().to_string(),
            format!(
                "the file \"a.capture\" of decorator capture belongs to user {owner}, who could read it, and nothing is \
                 recorded: remove it, or name another one"
            )
        );
    }
}
