//! Connections that come from elsewhere: a link that the caller made goes the rest of the road.

use crate::{
    connection::SwarmConn,
    error::{AttemptError, Cause, Stage},
    permits::Permit,
    pipeline::{
        admit,
        progress::Progress,
        upgrade::{Established, Upgrade},
    },
    swarm::{Inner, Swarm},
};
use skep_api::{
    Code, Multiaddr, PeerId,
    gate::Checkpoint,
    resources::ConnectionRequest,
    security::Role,
    transport::{Link, MuxedLink, RawLink},
};
use std::sync::Arc;
use tokio::{sync::oneshot, time::Instant};

/// What the name of the transport is for links that no transport of the stack made.
const GIVEN: &str = "given";

impl Swarm {
    /// Secures and multiplexes a byte stream that was accepted elsewhere, and registers the connection. Its addresses
    /// are those that the link carries. Permits, gates, limits and `[swarm] upgrade_timeout` are as for a connection
    /// that this node has accepted, but that nothing waits for room. Dropping the future closes the link.
    ///
    /// # Errors
    /// [`AttemptError`] with the stage at which it ended. There is no event of it beside.
    pub async fn upgrade_inbound_raw_conn(&self, raw: RawLink) -> Result<SwarmConn, AttemptError> {
        self.0.upgrade_given(Link::Raw(raw), Role::Listener, None).await
    }

    /// Secures and multiplexes a byte stream that was dialled elsewhere, and registers the connection, if it is `peer`
    /// who answers. Otherwise as [`Swarm::upgrade_inbound_raw_conn`].
    ///
    /// # Errors
    /// [`AttemptError`] with the stage at which it ended.
    pub async fn upgrade_outbound_raw_conn(
        &self,
        raw: RawLink,
        peer: PeerId,
    ) -> Result<SwarmConn, AttemptError> {
        self.0.upgrade_given(Link::Raw(raw), Role::Dialer, Some(peer)).await
    }

    /// Registers a connection that is secured and multiplexed already. `role` is this node's side. Permits, gates and
    /// limits are as for any other.
    ///
    /// # Errors
    /// [`AttemptError`] with the stage at which it ended; the link is closed.
    pub async fn add_conn(&self, link: MuxedLink, role: Role) -> Result<SwarmConn, AttemptError> {
        self.0.upgrade_given(Link::Muxed(Box::new(link)), role, None).await
    }

    /// Cuts a connection off and takes it from the table, whoever holds it; nothing more is sent. Whether it was one of
    /// this node's. See [`SwarmConn::close`] for an orderly end.
    pub async fn remove_conn(&self, conn: &SwarmConn) -> bool {
        let ours = self.0.to(&conn.peer()).iter().any(|known| Arc::ptr_eq(&known.0, &conn.0));
        if ours {
            conn.abort(Code::NONE).await;
        }
        ours
    }
}

impl Inner {
    /// In a task, so that shutdown ends it without its caller.
    async fn upgrade_given(
        self: &Arc<Self>,
        link: Link,
        role: Role,
        expected: Option<PeerId>,
    ) -> Result<SwarmConn, AttemptError> {
        let end = |cause| Err(AttemptError::new(Stage::Filter, "", cause));
        if self.is_draining() {
            return end(Cause::ShuttingDown);
        }
        let ((answer, answered), gone) = (oneshot::channel(), self.draining.child_token());
        let _gone = gone.clone().drop_guard();
        let node = Arc::clone(self);
        self.tasks.spawn("given upgrade", async move {
            let upgrade = node.upgrade_link(link, role, expected);
            if let Some(upgraded) = gone.run_until_cancelled(upgrade).await {
                if let (Role::Listener, Err(error)) = (role, &upgraded) {
                    node.meters.inbound_failed(GIVEN, error);
                }
                // Whoever does not wait any more finds it among the connections.
                let _ = answer.send(upgraded);
            }
        });
        match answered.await {
            Ok(upgraded) => upgraded,
            Err(_) if self.is_draining() => end(Cause::ShuttingDown),
            Err(_) => end(Cause::Panicked),
        }
    }

    async fn upgrade_link(
        self: &Arc<Self>,
        link: Link,
        role: Role,
        expected: Option<PeerId>,
    ) -> Result<SwarmConn, AttemptError> {
        let begun = Instant::now();
        let permit = self.given_permit(role, link.local(), link.remote(), expected.as_ref())?;
        let progress = Progress::default();
        progress.at(Stage::Connect, GIVEN);
        let upgrade = Upgrade {
            node: self,
            stack: Arc::clone(&self.live().stack),
            role,
            transport: GIVEN,
            expected,
            begun,
            progress: &progress,
        };
        let limit = self.live().settings.upgrade_timeout.0;
        let established: Established =
            match tokio::time::timeout(limit, upgrade.run(admit::given(link, permit))).await {
                Ok(established) => established?,
                Err(_) => return Err(progress.timed_out(limit)),
            };
        self.register(established)
    }

    /// Room for a link, and the gates' consent to it. Nothing waits: the link is there already.
    fn given_permit(
        &self,
        role: Role,
        local: &Multiaddr,
        remote: &Multiaddr,
        expected: Option<&PeerId>,
    ) -> Result<Permit, AttemptError> {
        let limit = |limit| AttemptError::new(Stage::Queue, "", Cause::Limit(limit));
        let permit = match role {
            Role::Dialer => self.permits.outbound(expected.is_some_and(|peer| self.is_reserved(peer))),
            Role::Listener => self.permits.inbound_now(),
        };
        let mut permit = permit.map_err(limit)?;
        match role {
            Role::Dialer => {
                self.ask(&Checkpoint::AddrDial { peer: expected, addr: remote }, None)?;
                permit.sit(self.counted.take_seat(role, remote));
            }
            Role::Listener => self.ask_in_turn(&Checkpoint::Link { local, remote }, &mut permit)?,
        }
        let mut request = ConnectionRequest::new(role, remote);
        request.expected = expected;
        self.grant(&mut permit, &request)?;
        Ok(permit)
    }

    /// The resource manager's word on a connection.
    pub(crate) fn grant(
        &self,
        permit: &mut Permit,
        request: &ConnectionRequest<'_>,
    ) -> Result<(), AttemptError> {
        let resources = self.resources();
        permit
            .grant(resources.as_deref(), request)
            .map_err(|limit| AttemptError::new(Stage::Queue, self.resources_name(), Cause::Limit(limit)))
    }

    /// What errors call the resource manager.
    pub(crate) fn resources_name(&self) -> String {
        self.live().stack.resources.as_ref().map(|resources| resources.name.clone()).unwrap_or_default()
    }
}
