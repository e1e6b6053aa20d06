//! The socket as a file: who may open it, what may be replaced, and how it goes away.

use super::error::ControlError;
use std::{
    fs::{self, DirBuilder, Permissions},
    hash::{BuildHasher, RandomState},
    io::{self, ErrorKind},
    os::unix::{
        fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt},
        net::SocketAddr,
    },
    path::{Path, PathBuf},
};
use tokio::net::{UnixListener, UnixSocket, UnixStream};

/// Clients that the system queues.
const BACKLOG: u32 = 64;
/// How often a path is tried that others try, too.
const TRIES: usize = 5;

/// A socket that listens. Its file goes with it.
#[derive(Debug)]
pub(super) struct ControlSocket {
    // First, so that the file goes while it still listens: whatever is at the path then is its own.
    _file: SocketFile,
    listener: UnixListener,
}

impl ControlSocket {
    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

/// A file of this process, known by its number: the path may be another's by the time it is removed.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    id: (u64, u64),
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.into(), id: id(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if id(&self.path).is_ok_and(|id| id == self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn id(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Whether a socket is at `path` itself, rather than behind a link.
pub(super) fn is_socket(path: &Path) -> io::Result<bool> {
    Ok(fs::symlink_metadata(path)?.file_type().is_socket())
}

/// Listens at `path`, for this user only. The socket of a process that is gone is replaced, and nothing else.
pub(super) async fn bind(path: &Path) -> Result<ControlSocket, ControlError> {
    check_folder(path)?;
    for _ in 0..TRIES {
        match listen(path) {
            Err(e) if matches!(e.kind(), ErrorKind::AlreadyExists | ErrorKind::AddrInUse) => {
                remove_stale(path).await?
            }
            result => return result.map_err(|e| ControlError::Io("make", path.into(), e)),
        }
    }
    Err(ControlError::InUse(path.into()))
}

/// Makes the folder where it is missing. Where it is not, others must not be able to put a socket of theirs there.
fn check_folder(path: &Path) -> Result<(), ControlError> {
    let fail = |e| ControlError::Io("make the folder of", path.into(), e);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match fs::metadata(folder) {
        // With the sticky bit, as /tmp has it, nobody can move the files of others.
        Ok(found) if found.is_dir() && found.mode() & 0o1002 == 0o0002 => {
            Err(ControlError::Exposed(folder.into(), found.mode() & 0o7777))
        }
        // Of its owner's moves the sticky bit keeps nobody safe.
        Ok(found) if is_anothers(found.uid(), own_uid()) => {
            Err(ControlError::ForeignFolder(folder.into(), found.uid()))
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(fail)
        }
        found => found.map(drop).map_err(fail),
    }
}

/// The user that this process runs as, where the system shows it: without a call into C, only Linux does.
fn own_uid() -> Option<u32> {
    fs::metadata("/proc/self").ok().map(|metadata| metadata.uid())
}

/// Whether a folder is neither root's nor this user's.
fn is_anothers(owner: u32, own: Option<u32>) -> bool {
    owner != 0 && own.is_some_and(|own| own != owner)
}

/// Fails with [`ErrorKind::AlreadyExists`] whatever stands at `path`.
///
/// The socket gets its name when it listens and only then: one that nobody listens at is always left over.
fn listen(path: &Path) -> io::Result<ControlSocket> {
    // Clients have to be able to write the path as an address, too.
    SocketAddr::from_pathname(path)?;
    let own = beside(path);
    let socket = UnixSocket::new_stream()?;
    socket.bind(&own)?;
    let file = SocketFile::at(&own)?;
    // Before it listens: until then nobody can connect, whatever the umask is.
    fs::set_permissions(&own, Permissions::from_mode(0o600))?;
    let listener = socket.listen(BACKLOG)?;
    fs::hard_link(&own, path)?;
    Ok(ControlSocket { listener, _file: SocketFile { path: path.into(), id: file.id } })
}

/// Removes the socket of a process that is gone.
async fn remove_stale(path: &Path) -> Result<(), ControlError> {
    let fail = |e| ControlError::Io("replace", path.into(), e);
    if !stale(path, path).await? {
        return Ok(());
    }
    // Moved first, and looked at again: another node may have replaced it between the look and the removal.
    let aside = beside(path);
    match fs::rename(path, &aside) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        moved => moved.map_err(fail)?,
    }
    match stale(&aside, path).await {
        Ok(_) => fs::remove_file(&aside).map_err(fail),
        Err(error) => {
            // Unlike another move, a link replaces nothing. Where a third has the path by now, both files stay.
            match fs::hard_link(&aside, path).and_then(|()| fs::remove_file(&aside)) {
                Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(fail(e)),
                _ => Err(error),
            }
        }
    }
}

/// Whether the file is a socket that nobody listens at; `false` where it is gone. The error is for `path`.
async fn stale(file: &Path, path: &Path) -> Result<bool, ControlError> {
    let fail = |e| ControlError::Io("replace", path.into(), e);
    match is_socket(file) {
        Ok(false) => return Err(ControlError::NotASocket(path.into())),
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
        found => drop(found.map_err(fail)?),
    }
    match UnixStream::connect(file).await {
        Ok(_) => Err(ControlError::InUse(path.into())),
        // The queue of a node that does not accept is full.
        Err(e) if e.kind() == ErrorKind::WouldBlock => Err(ControlError::InUse(path.into())),
        Err(e) => match e.kind() {
            ErrorKind::ConnectionRefused => Ok(true),
            ErrorKind::NotFound => Ok(false),
            _ => Err(fail(e)),
        },
    }
}

/// A name of this call's own, in the same folder. At random: two containers may share a folder and a process id.
fn beside(path: &Path) -> PathBuf {
    path.with_file_name(format!(".skep-{:08x}", RandomState::new().hash_one(path) >> 32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net;

    /// Short, because the paths of sockets have to be; removed with what is in it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("skep-{}-{test}", std::process::id()));
            DirBuilder::new().mode(0o700).create(&folder).unwrap();
            Self(folder)
        }

        fn names(&self) -> Vec<String> {
            let names = fs::read_dir(&self.0).unwrap();
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_folder_of_another_user_is_refused() {
        assert!(is_anothers(1000, Some(1001)));
        assert!(!is_anothers(1000, Some(1000)) && !is_anothers(0, Some(1000)) && !is_anothers(1000, None));
        assert!(own_uid().is_some() || !cfg!(target_os = "linux"));
    }

    #[tokio::test]
    async fn the_file_is_for_its_owner_only_and_goes_with_the_socket() {
        let folder = Folder::new("own");
        let path = folder.0.join("deep/er/s");
        let socket = bind(&path).await.unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(mode(&folder.0.join("deep")), 0o700);
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_of_a_process_that_is_gone_is_replaced() {
        let folder = Folder::new("stale");
        let path = folder.0.join("s");
        drop(net::UnixListener::bind(&path).unwrap());
        let _socket = bind(&path).await.unwrap();
        assert!(UnixStream::connect(&path).await.is_ok());
        assert_eq!(folder.names(), ["s"]);
    }

    #[tokio::test]
    async fn a_socket_that_is_in_use_is_left_alone() {
        let folder = Folder::new("live");
        let path = folder.0.join("s");
        let _first = bind(&path).await.unwrap();
        assert!(matches!(bind(&path).await.unwrap_err(), ControlError::InUse(at) if at == path));
        assert!(UnixStream::connect(&path).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_no_socket_is_never_removed() {
        let folder = Folder::new("file");
        let (file, link) = (folder.0.join("f"), folder.0.join("l"));
        fs::write(&file, "precious").unwrap();
        drop(net::UnixListener::bind(folder.0.join("s")).unwrap());
        std::os::unix::fs::symlink(folder.0.join("s"), &link).unwrap();
        for path in [&file, &link, &folder.0] {
            let error = bind(path).await.unwrap_err();
            assert!(matches!(error, ControlError::NotASocket(_)), "{error:?}");
        }
        assert_eq!(fs::read(&file).unwrap(), b"precious");
        assert!(link.is_symlink());
    }

    #[tokio::test]
    async fn a_file_that_another_has_put_at_the_path_is_not_removed_with_the_socket() {
        let folder = Folder::new("other");
        let path = folder.0.join("s");
        let socket = bind(&path).await.unwrap();
        fs::rename(&path, folder.0.join("moved")).unwrap();
        fs::write(&path, "another's").unwrap();
        drop(socket);
        assert_eq!(fs::read(&path).unwrap(), b"another's");
    }

    #[tokio::test]
    async fn a_folder_that_everybody_may_write_to_is_refused() {
        let folder = Folder::new("exposed");
        let mode = |mode| fs::set_permissions(&folder.0, Permissions::from_mode(mode)).unwrap();
        mode(0o777);
        let error = bind(&folder.0.join("s")).await.unwrap_err();
        assert!(matches!(error, ControlError::Exposed(_, 0o777)), "{error:?}");
        mode(0o1777);
        assert!(bind(&folder.0.join("s")).await.is_ok());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_two_that_replace_the_same_socket_at_once_one_has_it() {
        let folder = Folder::new("race");
        for n in 0..50 {
            let path = folder.0.join(n.to_string());
            drop(net::UnixListener::bind(&path).unwrap());
            let both =
                [path.clone(), path.clone()].map(|path| tokio::spawn(async move { bind(&path).await }));
            let mut winners = Vec::new();
            for one in both {
                match one.await.unwrap() {
                    Ok(socket) => winners.push(socket),
                    Err(error) => assert!(matches!(error, ControlError::InUse(_)), "{error:?}"),
                }
            }
            assert_eq!(winners.len(), 1);
            assert!(UnixStream::connect(&path).await.is_ok());
            assert_eq!(folder.names(), [n.to_string()]);
        }
    }
}
