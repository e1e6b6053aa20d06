//! The table `[transport.quic]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{PluginConfig, Problems, config::DurationText};
use std::{ops::RangeInclusive, time::Duration};

/// The table under the name that every plugin's table has.
pub type Config = QuicTransportConfig;

/// The least that a path must carry (RFC 9000, section 14).
const LEAST_MTU: u64 = 1_200;
/// What a jumbo frame of Ethernet leaves after the headers of IPv6 and UDP.
const MOST_MTU: u64 = 8_952;
/// Windows are encoded as QUIC's variable-length integers; a gibibyte is more than any connection needs.
const WINDOW: RangeInclusive<u64> = 65_536..=1_073_741_824;
const MAX_HANDSHAKE: DurationText = DurationText::secs(60);
const IDLE: RangeInclusive<DurationText> = DurationText::millis(500)..=DurationText::secs(3_600);
const LEAST_KEEP_ALIVE: Duration = Duration::from_millis(100);

/// How the rate of sending follows the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Congestion {
    /// RFC 9438, the default of most systems.
    Cubic,
    /// RFC 9002, section 7: slower to recover on long paths.
    Newreno,
    /// A model of the path instead of its losses; experimental in the QUIC library.
    Bbr,
}

/// Options of the QUIC transport. Each key applies to dialled and to accepted connections unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QuicTransportConfig {
    /// How long a handshake may take: "1ms" to "60s", default "5s".
    ///
    /// A dial to a silent address fails after it. The caller's own limit still applies.
    pub handshake_timeout: DurationText,
    /// A connection ends when nothing came for so long: "500ms" to "1h", default "30s".
    ///
    /// The smaller value of both ends counts. Shorter finds dead peers sooner and ends connections over bad links.
    pub idle_timeout: DurationText,
    /// Time without traffic after which a packet is sent to keep the connection: "100ms" up to below
    /// `idle_timeout`, or "0s" for never; default "15s".
    ///
    /// Each costs a packet and its answer; at 5 s a thousand idle connections take some percent of a core.
    pub keep_alive: DurationText,
    /// Streams that the peer may have open at once: 1 to 65536, default 256.
    ///
    /// Bounds what a peer can make this node remember. A peer that wants more waits.
    pub max_concurrent_streams: u32,
    /// Unread bytes of one stream, 65536 to 1073741824 and no more than `connection_window`; default 8388608 (8 MiB).
    ///
    /// One stream is no faster than this per round trip: 80 MB/s at 100 ms.
    pub stream_window: u32,
    /// Unread bytes of all streams of a connection together, 65536 to 1073741824; default 33554432 (32 MiB).
    ///
    /// The most memory that a peer can fill where the application does not read.
    pub connection_window: u32,
    /// Bytes of a connection that were written and not acknowledged, 65536 to 1073741824; default 16777216 (16 MiB).
    ///
    /// The most memory that is held for what is on its way.
    pub send_window: u32,
    /// How the rate of sending follows the network: "cubic", "newreno" or "bbr"; default "cubic".
    pub congestion: Congestion,
    /// Hand the system many packets at once (UDP GSO) where it can: true or false, default true.
    ///
    /// Off costs several times the CPU per byte; needed off only under network drivers that do it wrong.
    pub gso: bool,
    /// Look for the largest packet that the path takes (RFC 8899): true or false, default true.
    ///
    /// Costs a few probe packets; off, packets stay at `initial_mtu`.
    pub mtu_discovery: bool,
    /// UDP payload of the first packets in bytes, from `min_mtu` to `max_mtu`; default 1200.
    pub initial_mtu: u16,
    /// UDP payload that the path surely takes in bytes, 1200 to 8952; default 1200.
    ///
    /// Where it does not, no connection comes up at all.
    pub min_mtu: u16,
    /// Largest UDP payload to send and to accept in bytes, from `initial_mtu` to 8952; default 1452.
    ///
    /// A listening port keeps a buffer of 2048 packets of this size, at least of 1472 bytes.
    pub max_mtu: u16,
    /// Connections from addresses not yet proven, waiting or in their handshake, from which on newcomers must prove
    /// theirs first (RFC 9000, section 8.1.2): 0 to 65536, default 64; 0 asks all.
    ///
    /// The proof costs the peer one round trip; without it one host can pretend to be many.
    pub retry_threshold: u32,
    /// Connections of a listener that wait to be accepted: 1 to 65536, default 256. Newcomers beyond are ignored, and
    /// come back when they send again.
    ///
    /// Each costs some kilobytes.
    pub max_pending_incoming: u32,
    /// Receive buffer of a UDP socket in bytes, 4096 to 1073741824; default 4194304 (4 MiB). The system may cap it
    /// (`net.core.rmem_max`).
    ///
    /// Too small, and bursts are lost and sent again.
    pub receive_buffer: u32,
    /// Send buffer of a UDP socket in bytes, 4096 to 1073741824; default 4194304 (4 MiB). The system may cap it
    /// (`net.core.wmem_max`).
    pub send_buffer: u32,
    /// Let peers that dialled change their address, as phones do: true or false, default true.
    ///
    /// Off, such a connection ends by its time-out.
    pub migration: bool,
    /// Dial from the port of a listener of the same address family: true or false, default true.
    ///
    /// A NAT then keeps one mapping for both directions, which hole punching needs.
    pub port_reuse: bool,
}

impl Default for QuicTransportConfig {
    fn default() -> Self {
        Self {
            handshake_timeout: DurationText::secs(5),
            idle_timeout: DurationText::secs(30),
            keep_alive: DurationText::secs(15),
            max_concurrent_streams: 256,
            stream_window: 8 * 1024 * 1024,
            connection_window: 32 * 1024 * 1024,
            send_window: 16 * 1024 * 1024,
            congestion: Congestion::Cubic,
            gso: true,
            mtu_discovery: true,
            initial_mtu: 1_200,
            min_mtu: 1_200,
            max_mtu: 1_452,
            retry_threshold: 64,
            max_pending_incoming: 256,
            receive_buffer: 4 * 1024 * 1024,
            send_buffer: 4 * 1024 * 1024,
            migration: true,
            port_reuse: true,
        }
    }
}

impl PluginConfig for QuicTransportConfig {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        self.validate_times(problems);
        self.validate_sizes(problems);
        problems.range("max_concurrent_streams", self.max_concurrent_streams.into(), 1..=65_536);
        problems.range("retry_threshold", self.retry_threshold.into(), 0..=65_536);
        problems.range("max_pending_incoming", self.max_pending_incoming.into(), 1..=65_536);
    }
}

impl QuicTransportConfig {
    fn validate_times(&self, problems: &mut Problems) {
        let out_of_range = |value: DurationText| format!("{value} is out of range");
        if self.handshake_timeout.0.is_zero() || self.handshake_timeout > MAX_HANDSHAKE {
            problems.add(
                "handshake_timeout",
                out_of_range(self.handshake_timeout),
                "allowed: \"1ms\" to \"60s\"",
            );
        }
        if !IDLE.contains(&self.idle_timeout) {
            problems.add("idle_timeout", out_of_range(self.idle_timeout), "allowed: \"500ms\" to \"1h\"");
        }
        let keep_alive = self.keep_alive;
        if keep_alive.0.is_zero() {
            return;
        }
        if keep_alive.0 < LEAST_KEEP_ALIVE || keep_alive >= self.idle_timeout {
            let allowed = format!(
                "allowed: \"0s\" (never), or \"100ms\" to less than `idle_timeout`, which is \"{}\"",
                self.idle_timeout
            );
            problems.add("keep_alive", out_of_range(keep_alive), allowed);
        }
    }

    fn validate_sizes(&self, problems: &mut Problems) {
        let connection = u64::from(self.connection_window);
        problems.range("connection_window", connection, WINDOW);
        let most = connection.clamp(*WINDOW.start(), *WINDOW.end());
        problems.range("stream_window", self.stream_window.into(), *WINDOW.start()..=most);
        problems.range("send_window", self.send_window.into(), WINDOW);
        problems.range("receive_buffer", self.receive_buffer.into(), 4_096..=*WINDOW.end());
        problems.range("send_buffer", self.send_buffer.into(), 4_096..=*WINDOW.end());
        let (min, initial) = (u64::from(self.min_mtu), u64::from(self.initial_mtu));
        problems.range("min_mtu", min, LEAST_MTU..=MOST_MTU);
        let least = min.clamp(LEAST_MTU, MOST_MTU);
        problems.range("initial_mtu", initial, least..=MOST_MTU);
        problems.range("max_mtu", self.max_mtu.into(), initial.clamp(least, MOST_MTU)..=MOST_MTU);
    }
}
