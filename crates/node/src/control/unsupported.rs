//! Systems without Unix domain sockets.

use super::{error::ControlError, protocol::Request, status::About};
use serde::de::DeserializeOwned;
use skep_api::TaskScope;
use skep_swarm::Swarm;
use std::path::Path;

/// Says that there is no control socket on this system.
///
/// # Errors
/// [`ControlError::Unsupported`], always.
#[allow(clippy::unused_async, reason = "as on systems that have such sockets")]
pub async fn serve(_: &Path, _: &Swarm, _: About, _: &TaskScope) -> Result<(), ControlError> {
    Err(ControlError::Unsupported)
}

/// Says that there is no control socket on this system.
///
/// # Errors
/// [`ControlError::Unsupported`], always.
#[allow(clippy::unused_async, reason = "as on systems that have such sockets")]
pub async fn ask<T: DeserializeOwned>(_: &Path, _: &Request) -> Result<T, ControlError> {
    Err(ControlError::Unsupported)
}
