//! Why a control socket cannot be offered, or asked.

use super::protocol::Refusal;
use skep_api::escape;
use std::{io, path::PathBuf, time::Duration};

/// A control socket that does not do what was wanted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The system has no such sockets.
    #[error("control sockets are not supported on this system")]
    Unsupported,
    /// A node that runs listens there already.
    #[error("another node uses the control socket {0}")]
    InUse(PathBuf),
    /// Something stands at the path that is no socket. It is left as it is.
    #[error("{0} is not a control socket and is left as it is")]
    NotASocket(PathBuf),
    /// Everybody may write to the folder, and so replace the socket by one of their own.
    #[error("everybody may write to {0}, the folder of the control socket (mode {1:o})")]
    Exposed(PathBuf, u32),
    /// Another user owns the folder, and so can replace the socket by one of their own.
    #[error("user {1} owns {0}, the folder of the control socket")]
    ForeignFolder(PathBuf, u32),
    /// The system does not let the node offer it.
    #[error("cannot {0} the control socket {1}")]
    Io(&'static str, PathBuf, #[source] io::Error),
    /// Nothing is at the path.
    #[error("no control socket is at {0}")]
    Missing(PathBuf, #[source] io::Error),
    /// The node that made the socket is gone.
    #[error("nobody listens at the control socket {0}")]
    Abandoned(PathBuf, #[source] io::Error),
    /// The socket is another user's.
    #[error("this user may not open the control socket {0}")]
    Denied(PathBuf, #[source] io::Error),
    /// No answer came.
    #[error("no answer from the control socket {0} within {1:?}")]
    TimedOut(PathBuf, Duration),
    /// The connection ended before the answer.
    #[error("the node at the control socket {0} ended the connection without an answer")]
    Closed(PathBuf, #[source] Option<io::Error>),
    /// The answer is not one of this protocol.
    #[error("the answer from the control socket {0} cannot be read")]
    Garbled(PathBuf, #[source] Option<serde_json::Error>),
    /// The node does not do it.
    #[error("the node refuses: {}{}", escape::remote(&.0.error), problems(&.0.problems))]
    // No source: it would show the text again, as it came.
    Refused(Refusal),
}

/// One line each.
fn problems(problems: &[String]) -> String {
    problems.iter().map(|problem| format!("\n  - {}", escape::remote(problem))).collect()
}

impl ControlError {
    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        let same_version = "check that the node is of the same version as this program";
        match self {
            Self::Unsupported => "leave --control out".into(),
            Self::InUse(_) => "give each node a path of its own, or stop the other one".into(),
            Self::NotASocket(_) => "give another path, or move that file away".into(),
            Self::Exposed(folder, _) => format!("run `chmod o-w {}`, or give another path", folder.display()),
            Self::ForeignFolder(..) => "give a path in a folder of this user or of root".into(),
            Self::Io(_, _, e) if e.kind() == io::ErrorKind::InvalidInput => {
                "give a shorter path: the system takes about 100 bytes".into()
            }
            Self::Io(..) => "give a path that this user may write to".into(),
            Self::Missing(path, _) => {
                let path = path.display();
                format!("start the node with `skep run --control {path}`, or give the path that it has said")
            }
            Self::Abandoned(..) => "the node has ended; the next one with this path replaces the file".into(),
            Self::Denied(..) => "run this as the user that runs the node".into(),
            Self::TimedOut(..) => "check that the node is not stopped, or try again".into(),
            Self::Closed(..) => "check that the node still runs, and try again".into(),
            Self::Garbled(..) => same_version.into(),
            Self::Refused(refusal) => escape::remote(&refusal.advice),
        }
    }
}
