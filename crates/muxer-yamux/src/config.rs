//! The keys of `[muxer.yamux]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{PluginConfig, Problems, config::DurationText};

/// The window that every yamux stream starts with, in bytes (yamux spec, "Flow control").
pub(crate) const INITIAL_WINDOW: u32 = 256 * 1024;

const MAX_STREAMS: std::ops::RangeInclusive<u64> = 1..=16_384;
const FRAME_SIZE: std::ops::RangeInclusive<u64> = 1_024..=1_048_576;
const ACCEPT_BACKLOG: std::ops::RangeInclusive<u64> = 1..=4_096;
const RECEIVE_WINDOW_LIMIT: u64 = 64 * 1024 * 1024 * 1024;

/// The table `[muxer.yamux]`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Most streams of a connection, both directions together. Default 512. Streams that the peer opens beyond
    /// are reset with the code of a resource limit. Each costs up to 256 KiB of unread data, and while its data
    /// waits for the peer up to 12 frames of `frame_size`.
    pub max_streams: u32,
    /// Most unread bytes that a connection may hold, over all of its streams. Default 150994944 (144 MiB). At
    /// least 256 KiB × `max_streams`; what is above lets the windows of busy streams grow with the path's delay,
    /// in the default 16 MiB. This is the worst case of memory for what a peer sends, per connection.
    pub max_receive_window: u64,
    /// Most payload bytes of a data frame that is sent, 1024 to 1048576. Default 65507: with its header it fills
    /// one Noise message. Smaller frames let streams take turns faster and cost CPU.
    pub frame_size: u32,
    /// How long the peer may leave data unread on the way before the connection is ended. Default "30s".
    pub write_timeout: DurationText,
    /// Most streams that the peer opened and the application has not accepted. Default 256. Further ones are
    /// reset with the code of a resource limit.
    pub accept_backlog: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_streams: 512,
            max_receive_window: 144 * 1024 * 1024,
            frame_size: 65_507,
            write_timeout: DurationText::secs(30),
            accept_backlog: 256,
        }
    }
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        problems.range("max_streams", self.max_streams.into(), MAX_STREAMS);
        problems.range("frame_size", self.frame_size.into(), FRAME_SIZE);
        problems.range("accept_backlog", self.accept_backlog.into(), ACCEPT_BACKLOG);
        if !(DurationText::secs(1)..=DurationText::secs(3_600)).contains(&self.write_timeout) {
            let problem = format!("{} is out of range", self.write_timeout);
            problems.add("write_timeout", problem, "allowed: 1s to 1h");
        }
        self.validate_window(problems);
    }
}

impl Config {
    /// Every stream is owed the window that the specification gives it at its start.
    fn validate_window(&self, problems: &mut Problems) {
        let (streams, window) = (u64::from(self.max_streams), self.max_receive_window);
        let owed = streams.saturating_mul(INITIAL_WINDOW.into());
        if window < owed {
            let problem = format!(
                "{window} is too little for {streams} streams: {streams} × {INITIAL_WINDOW} bytes = {owed}"
            );
            problems.add(
                "max_receive_window",
                problem,
                format!("set at least {owed}, or lower `max_streams`"),
            );
        } else if window > RECEIVE_WINDOW_LIMIT {
            problems.range("max_receive_window", window, owed..=RECEIVE_WINDOW_LIMIT);
        }
    }
}
