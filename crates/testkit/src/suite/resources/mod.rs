//! Resource managers: the obligations `U1` to `U6` of [`skep_api::resources`].

mod grants;
mod words;

pub use grants::{
    u0_limits_are_enforced, u1_a_denied_connection_takes_nothing,
    u1_a_denied_move_leaves_everything_where_it_was, u1_a_denied_stream_takes_nothing,
    u1_a_move_needs_no_second_slot, u2_guards_are_dropped_in_any_order,
    u2_what_is_dropped_can_be_taken_again,
};
pub use words::{
    u3_a_denial_names_what_to_change, u4_sums_beyond_all_numbers_are_denied,
    u5_nothing_is_kept_of_who_holds_nothing, u6_a_full_manager_does_not_wait, usage_is_no_longer_than_asked,
};

use super::build;
use crate::{
    cx::build_cx,
    harness::{self, Broken, During, Outcome, ensure, suite},
};
use skep_api::{
    Keypair, Multiaddr, PeerId, Plugin,
    multiaddr::Protocol,
    plugin::layer,
    resources::{ConnectionRequest, ConnectionScope, LimitExceeded, Resource, ResourceManager, StreamScope},
    security::Role,
};
use std::{collections::BTreeMap, fmt, sync::Arc};

suite! { $
    /// Tests of a resource manager with limits of up to a hundred, those of `system` and `peer` among them:
    /// `resources_suite!(my_manager::PLUGIN, "max_connections = 4");`
    ///
    /// A manager that has no limits passes if it denies nothing.
    resources_suite in resources, fixture: Fixture;
    u0_limits_are_enforced,
    u1_a_denied_connection_takes_nothing,
    u1_a_denied_move_leaves_everything_where_it_was,
    u1_a_denied_stream_takes_nothing,
    u1_a_move_needs_no_second_slot,
    u2_guards_are_dropped_in_any_order,
    u2_what_is_dropped_can_be_taken_again,
    u3_a_denial_names_what_to_change,
    u4_sums_beyond_all_numbers_are_denied,
    u5_nothing_is_kept_of_who_holds_nothing,
    u6_a_full_manager_does_not_wait,
    usage_is_no_longer_than_asked,
}

/// Guards that are asked for before a manager counts as one that denies nothing.
const MANY: usize = 300;

/// How to build the manager under test.
#[derive(Clone)]
pub struct Fixture {
    build: Arc<dyn Fn() -> Arc<dyn ResourceManager> + Send + Sync>,
}

impl Fixture {
    /// Tests this plugin with this table, in TOML.
    #[must_use]
    pub fn of(plugin: Plugin<layer::Resources>, table: &str) -> Self {
        let table = table.to_string();
        Self::new(move || build(&plugin, &table, &build_cx()))
    }

    /// Tests the managers that a function makes.
    pub fn new(build: impl Fn() -> Arc<dyn ResourceManager> + Send + Sync + 'static) -> Self {
        Self { build: Arc::new(build) }
    }

    fn manager(&self) -> Arc<dyn ResourceManager> {
        (self.build)()
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").finish_non_exhaustive()
    }
}

impl harness::Fixture for Fixture {}

type Connection = Box<dyn ConnectionScope>;

/// Takes a connection from an address without an IP, so that no limit of addresses is in the way.
fn open(manager: &dyn ResourceManager, role: Role) -> Result<Connection, LimitExceeded> {
    let remote = Multiaddr::empty().with(Protocol::Memory(1));
    manager.open_connection(&ConnectionRequest::new(role, &remote))
}

/// Takes connections of one direction until one is denied, or there are [`MANY`].
fn fill(manager: &dyn ResourceManager, role: Role) -> (Vec<Connection>, Option<LimitExceeded>) {
    take_many(|_| open(manager, role))
}

/// Takes until something is denied.
fn take_many<T>(mut take: impl FnMut(usize) -> Result<T, LimitExceeded>) -> (Vec<T>, Option<LimitExceeded>) {
    let mut taken = Vec::new();
    while taken.len() < MANY {
        match take(taken.len()) {
            Ok(guard) => taken.push(guard),
            Err(denial) => return (taken, Some(denial)),
        }
    }
    (taken, None)
}

type Streams = Vec<Box<dyn StreamScope>>;

/// A connection of a peer, and streams on it until one is denied.
fn fill_streams(
    manager: &dyn ResourceManager,
) -> Result<(Connection, Streams, Option<LimitExceeded>), Broken> {
    let mut connection = open(manager, Role::Listener).during("the first connection is denied")?;
    connection.set_peer(&peer(1)).during("the first connection of a peer is denied")?;
    let (streams, denial) = take_many(|_| connection.open_stream(Role::Listener));
    Ok((connection, streams, denial))
}

/// What is in use in every scope.
fn in_use(manager: &dyn ResourceManager) -> BTreeMap<(String, Resource), u64> {
    let rows = manager.usage(usize::MAX).into_iter().filter(|row| row.current > 0);
    rows.map(|row| ((row.scope, row.resource), row.current)).collect()
}

fn is_empty(manager: &dyn ResourceManager) -> Outcome {
    let left = in_use(manager);
    ensure!(left.is_empty(), "after all guards were dropped there is left: {left:?}");
    Ok(())
}

/// The peer of a key made of this number.
fn peer(n: u64) -> PeerId {
    let mut key = [7; 32];
    for (place, byte) in key.iter_mut().zip(n.to_le_bytes()) {
        *place = byte;
    }
    let key = Keypair::ed25519_from_bytes(key).unwrap_or_else(|e| panic!("a key: {e}"));
    key.public().to_peer_id()
}
