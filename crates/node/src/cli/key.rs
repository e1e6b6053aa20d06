//! Identity keys in files: the protobuf form of the libp2p specs (peer-ids), readable by the owner only.

use super::{Failure, args::KeyCommand, context::Context, text::print};
use serde_json::json;
use skep_api::Keypair;
use skep_swarm::profile::IdentityConfig;
use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Larger files are no keys.
const MAX_LEN: u64 = 16 * 1024;

/// A key file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("the key file {0} does not exist")]
    Missing(PathBuf),
    #[error("the key file {0} can be read by others (mode {1:o})")]
    Exposed(PathBuf, u32),
    #[error("{0} is not a key file")]
    NotAKey(PathBuf, #[source] Option<skep_api::error::BoxError>),
    #[error("{0} exists already and is left as it is")]
    Exists(PathBuf),
    #[error("cannot {0} the key file {1}")]
    Io(&'static str, PathBuf, #[source] io::Error),
    #[error("the configuration has no `identity.key_file`, so the node has a new key each time")]
    NotConfigured,
}

impl KeyError {
    /// What to do about it.
    pub(crate) fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Missing(path) => {
                let path = path.display();
                format!(
                    "make it with `skep key generate {path}`, or let the node do so: identity.generate = true"
                )
            }
            Self::Exposed(path, _) => format!("run `chmod 600 {}`", path.display()),
            Self::NotAKey(..) => {
                "give a file that `skep key generate` wrote, or a libp2p private key in its protobuf form"
                    .into()
            }
            Self::Exists(path) => {
                format!("give another name, or look at it with `skep key show {}`", path.display())
            }
            Self::Io(..) => return None,
            Self::NotConfigured => "give a file, as in `skep key show FILE`, or set identity.key_file".into(),
        })
    }
}

/// The key that the configuration asks for. Without a file it lives as long as the process.
pub(crate) fn load(config: &IdentityConfig) -> Result<Keypair, KeyError> {
    let Some(path) = &config.key_file else { return Ok(Keypair::generate_ed25519()) };
    match read(path) {
        Err(KeyError::Missing(_)) if config.generate => generate(path),
        other => other,
    }
}

/// Reads a key file.
pub(crate) fn read(path: &Path) -> Result<Keypair, KeyError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(KeyError::Missing(path.into())),
        Err(e) => return Err(KeyError::Io("read", path.into(), e)),
    };
    if !metadata.is_file() || metadata.len() > MAX_LEN {
        return Err(KeyError::NotAKey(path.into(), None));
    }
    refuse_exposed(path, &metadata)?;
    let bytes = fs::read(path).map_err(|e| KeyError::Io("read", path.into(), e))?;
    Keypair::from_protobuf_encoding(&bytes).map_err(|e| KeyError::NotAKey(path.into(), Some(e.into())))
}

#[cfg(unix)]
fn refuse_exposed(path: &Path, metadata: &fs::Metadata) -> Result<(), KeyError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(KeyError::Exposed(path.into(), mode)) }
}

#[cfg(not(unix))]
fn refuse_exposed(_: &Path, _: &fs::Metadata) -> Result<(), KeyError> {
    Ok(())
}

/// Makes a key and writes it to a new file.
pub(crate) fn generate(path: &Path) -> Result<Keypair, KeyError> {
    let fail = |e: io::Error| match e.kind() {
        io::ErrorKind::AlreadyExists => KeyError::Exists(path.into()),
        _ => KeyError::Io("write", path.into(), e),
    };
    let key = Keypair::generate_ed25519();
    let bytes = key.to_protobuf_encoding().map_err(|e| KeyError::NotAKey(path.into(), Some(e.into())))?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(fail)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(fail)?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(fail)?;
    Ok(key)
}

/// `skep key …`.
pub(crate) fn run(command: &KeyCommand, cx: &Context) -> Result<(), Failure> {
    let (key, path) = match command {
        KeyCommand::Generate { file } => (generate(file)?, file.clone()),
        KeyCommand::Show { file: Some(file) } => (read(file)?, file.clone()),
        KeyCommand::Show { file: None } => {
            let path = cx.profile()?.identity()?.key_file.ok_or(KeyError::NotConfigured)?;
            (read(&path)?, path)
        }
    };
    let (peer, kind) = (key.public().to_peer_id().to_string(), key.key_type().to_string());
    if cx.json {
        print(json!({ "peer_id": peer, "key_type": kind, "file": path.to_string_lossy() }))
    } else {
        print(format_args!("peer id   {peer}\nkey type  {kind}\nfile      {}", path.display()))
    }
}
