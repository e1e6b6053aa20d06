//! The keys of `[muxer.mplex]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{PluginConfig, Problems, config::DurationText};

const MAX_STREAMS: std::ops::RangeInclusive<u64> = 2..=4_096;
const MAX_BUFFER: std::ops::RangeInclusive<u64> = 65_536..=67_108_864;
const FRAME_SIZE: std::ops::RangeInclusive<u64> = 1_024..=1_048_576;
const ACCEPT_BACKLOG: std::ops::RangeInclusive<u64> = 1..=4_096;

/// Most unread bytes that all streams of a connection may hold together.
const MAX_UNREAD: u64 = 1024 * 1024 * 1024;

/// The table `[muxer.mplex]`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Most streams of a connection, 2 to 4096, of which each end may open half. Default 128. Streams that the peer
    /// opens beyond are reset, and one more of this end is refused.
    pub max_streams: u32,
    /// Most bytes of a stream that have arrived and are not read yet, 65536 to 67108864. Default 262144. Times
    /// `max_streams` it is the worst case of memory for what a peer sends, per connection: 32 MiB in the default.
    pub max_buffer: u64,
    /// How long a full stream may hold up its connection, until half of its buffer is read. Default "1s". Then the
    /// stream is reset, for mplex has no other way to slow down one stream alone.
    pub slow_reader_timeout: DurationText,
    /// Most payload bytes of a frame that is sent, 1024 to 1048576. Default 16384. Smaller frames let streams take
    /// turns faster and cost CPU.
    pub frame_size: u32,
    /// How long the peer may leave data unread on the way before the connection is ended. Default "30s".
    pub write_timeout: DurationText,
    /// Most streams that the peer opened and the application has not accepted. Default 64. Further ones are reset.
    pub accept_backlog: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_streams: 128,
            max_buffer: 256 * 1024,
            slow_reader_timeout: DurationText::secs(1),
            frame_size: 16 * 1024,
            write_timeout: DurationText::secs(30),
            accept_backlog: 64,
        }
    }
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        problems.range("max_streams", self.max_streams.into(), MAX_STREAMS);
        problems.range("max_buffer", self.max_buffer, MAX_BUFFER);
        problems.range("frame_size", self.frame_size.into(), FRAME_SIZE);
        problems.range("accept_backlog", self.accept_backlog.into(), ACCEPT_BACKLOG);
        let allowed =
            |value: &DurationText, most| (DurationText::secs(1)..=DurationText::secs(most)).contains(value);
        if !allowed(&self.slow_reader_timeout, 60) {
            let problem = format!("{} is out of range", self.slow_reader_timeout);
            problems.add("slow_reader_timeout", problem, "allowed: 1s to 1m");
        }
        if !allowed(&self.write_timeout, 3_600) {
            let problem = format!("{} is out of range", self.write_timeout);
            problems.add("write_timeout", problem, "allowed: 1s to 1h");
        }
        self.validate_total(problems);
    }
}

impl Config {
    fn validate_total(&self, problems: &mut Problems) {
        let (streams, buffer) = (u64::from(self.max_streams), self.max_buffer);
        let total = streams.saturating_mul(buffer);
        if MAX_STREAMS.contains(&streams) && MAX_BUFFER.contains(&buffer) && total > MAX_UNREAD {
            let problem =
                format!("{streams} streams × {buffer} bytes = {total} bytes of unread data per connection");
            problems.add("max_buffer", problem, format!("at most {MAX_UNREAD}: lower it, or `max_streams`"));
        }
    }
}
