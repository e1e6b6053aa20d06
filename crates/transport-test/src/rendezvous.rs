//! How listener and dialer find each other: a key of a Redis server.
//!
//! The programs of the transport suite have a list there, those of the perf suite a text.

use crate::{
    Failure,
    plan::{Plan, Suite},
};
use redis::{AsyncConnectionConfig, Client, RedisError, aio::MultiplexedConnection, cmd};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// Between two tries to connect to a server that may yet start.
const RETRY: Duration = Duration::from_millis(200);
/// How long the server is asked to wait for a list to appear; then it may be that a text has.
const BLOCK_SECS: u64 = 1;
/// How long an answer may take: longer than the server waits.
const ANSWER: Duration = Duration::from_secs(5);

/// A connection to the server, and the key.
pub(crate) struct Rendezvous<'a> {
    plan: &'a Plan,
    /// Of the whole run.
    deadline: Instant,
    connection: MultiplexedConnection,
}

impl<'a> Rendezvous<'a> {
    /// Connects, again and again until the deadline: the server may be started after this.
    pub(crate) async fn connect(plan: &'a Plan, deadline: Instant) -> Result<Self, Failure> {
        let client = Client::open(format!("redis://{}", plan.redis)).map_err(|e| failure(plan, e))?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER))
            .set_response_timeout(Some(ANSWER));
        loop {
            match client.get_multiplexed_async_connection_with_config(&config).await {
                Ok(connection) => return Ok(Self { plan, deadline, connection }),
                Err(e) if Instant::now() >= deadline => return Err(failure(plan, e)),
                Err(e) => tracing::debug!(error = %e, "The Redis server does not answer yet."),
            }
            sleep(RETRY).await;
        }
    }

    /// Publishes the listener's address, in place of what an earlier run may have left.
    pub(crate) async fn publish(&mut self, addr: &str) -> Result<(), Failure> {
        let Self { plan, connection, .. } = self;
        let mut commands = redis::pipe();
        commands.del(&plan.key).ignore();
        match plan.suite {
            // One after the other, not as a transaction: the suites' proxy for older programs knows no transactions.
            Suite::Transport => commands.rpush(&plan.key, addr).ignore(),
            Suite::Perf => commands.set(&plan.key, addr).ignore(),
        };
        commands.query_async::<()>(connection).await.map_err(|e| failure(plan, e))
    }

    /// Waits for the listener's address.
    pub(crate) async fn listener(&mut self) -> Result<String, Failure> {
        let (plan, deadline) = (self.plan, self.deadline);
        let none = |_| Failure::NoListener { key: plan.key.clone(), waited: plan.timeout };
        timeout_at(deadline, self.ask()).await.map_err(none)?
    }

    async fn ask(&mut self) -> Result<String, Failure> {
        let Self { plan, connection, .. } = self;
        loop {
            let popped: Result<Option<(String, String)>, RedisError> =
                cmd("BLPOP").arg(&plan.key).arg(BLOCK_SECS).query_async(connection).await;
            let found = match popped {
                Ok(entry) => entry.map(|(_, addr)| addr),
                Err(e) if e.code() == Some("WRONGTYPE") => {
                    cmd("GET").arg(&plan.key).query_async(connection).await.map_err(|e| failure(plan, e))?
                }
                Err(e) => return Err(failure(plan, e)),
            };
            if let Some(addr) = found {
                return Ok(addr);
            }
        }
    }
}

fn failure(plan: &Plan, source: RedisError) -> Failure {
    Failure::Redis { addr: plan.redis.clone(), source }
}
