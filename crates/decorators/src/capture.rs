//! `capture`: writes a transcript of what passes into a file, for debugging.
//!
//! Around a security upgrade or a muxer it records what peers have said in the clear, so it is never on by itself, needs
//! the name of a file, and says at each start what it records and where. The file can be read by its owner alone.
//!
//! Connections do not wait for the disk: events go through a bounded queue to a task that writes them. What finds the
//! queue full is left out and counted, and the transcript says how many events it lacks. The file is opened at the first
//! event; one that cannot be opened or written is reported once in the log, and connections go on without a transcript.

mod entry;
mod file;
mod place;
mod transcript;
mod writer;

pub use file::CaptureError;

use crate::{
    amount::Bytes,
    around::{Place, around},
};
use place::Recording;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skep_api::{
    BuildCx, PluginConfig, Problems, decorator::Decorator, muxer::Muxer, register_decorator,
    security::Upgrader, transport::Transport,
};
use std::sync::{Arc, Mutex, PoisonError};
use transcript::Transcript;

register_decorator! {
    name: "capture",
    summary: "records what passes in a file, in the clear above security; for debugging",
    example: "file = \"skep.capture\"\nexisting = \"refuse\"\nmax_size = \"64MiB\"\nbytes_per_event = 1024",
    config: Config,
    build: |config, cx| Ok(Arc::new(Capture::new(config, cx))),
}

const SIZES: std::ops::RangeInclusive<u64> = 4_096..=1 << 40;
const MAX_SHOWN: Bytes = Bytes(16 << 10);

/// The keys of `[decorator.capture]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["file"]))]
pub struct Config {
    /// The file, such as `"skep.capture"`; its folder must be there. No default: it will hold what peers have said.
    pub file: String,
    /// What to do about a file that is there: `"refuse"`, `"append"`, or `"overwrite"`. Default `"refuse"`; a symbolic
    /// link is never followed.
    pub existing: Existing,
    /// How large the file may become, `"4KiB"` to `"1TiB"`. Default `"64MiB"`; the transcript ends there with a note.
    pub max_size: Bytes,
    /// How many bytes of a read or a write are shown, up to `"16KiB"`. Default 1024; each takes three characters.
    pub bytes_per_event: Bytes,
}

/// What to do about a file that is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Existing {
    /// Leave it as it is, and write nothing.
    #[default]
    Refuse,
    /// Write after what is in it.
    Append,
    /// Write in its place.
    Overwrite,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            file: String::new(),
            existing: Existing::Refuse,
            max_size: Bytes(64 << 20),
            bytes_per_event: Bytes(1_024),
        }
    }
}

impl PluginConfig for Config {
    const FILE: &'static str = file!();

    fn validate(&self, problems: &mut Problems) {
        if self.file.is_empty() {
            problems.add("file", "there is no file", "the path of a file, such as \"skep.capture\"");
        }
        if !SIZES.contains(&self.max_size.0) {
            problems.add("max_size", format!("{} is out of range", self.max_size), "allowed: 4KiB to 1TiB");
        }
        if self.bytes_per_event > MAX_SHOWN {
            let problem = format!("{} is out of range", self.bytes_per_event);
            problems.add("bytes_per_event", problem, "allowed: 0B to 16KiB");
        }
    }
}

/// The decorator. All that it is around goes into one transcript.
#[derive(Debug)]
pub struct Capture {
    transcript: Arc<Transcript>,
    file: String,
    places: Mutex<Vec<Place>>,
}

impl Capture {
    /// A decorator whose writer runs among the node's tasks.
    #[must_use]
    pub fn new(config: Config, cx: &BuildCx) -> Self {
        let file = config.file.clone();
        let transcript = Arc::new(Transcript::new(config, cx.tasks.clone()));
        Self { transcript, file, places: Mutex::default() }
    }

    fn at(&self, layer: &'static str, plugin: &str) -> Recording {
        let place = Place::new(layer, plugin);
        let recording = Recording::new(Arc::clone(&self.transcript), &place);
        self.places.lock().unwrap_or_else(PoisonError::into_inner).push(place);
        recording
    }
}

impl Decorator for Capture {
    fn transport(&self, name: &str, inner: Arc<dyn Transport>) -> Option<Arc<dyn Transport>> {
        Some(around(self.at("transport", name), inner))
    }

    fn security(&self, name: &str, inner: Arc<dyn Upgrader>) -> Option<Arc<dyn Upgrader>> {
        Some(around(self.at("security", name), inner))
    }

    fn muxer(&self, name: &str, inner: Arc<dyn Muxer>) -> Option<Arc<dyn Muxer>> {
        Some(around(self.at("muxer", name), inner))
    }

    fn warning(&self) -> Option<String> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let names: Vec<_> = places.iter().map(Place::to_string).collect();
        let at = if names.is_empty() { String::new() } else { format!(" at {}", names.join(", ")) };
        Some(format!(
            "decorator capture records traffic{at} in the file {:?}, decrypted where it passes above security: whoever \
             reads the file reads what the peers said",
            self.file
        ))
    }
}
