//! Data that shows any loss, change or shift: each byte depends on the seed and on its place.

/// An endless text, and how much of it has passed.
#[derive(Clone, Debug)]
pub(super) struct Text {
    seed: u64,
    /// Bytes that have passed.
    pub(super) at: u64,
}

impl Text {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, at: 0 }
    }

    /// The next bytes, without passing them.
    pub(super) fn peek(&self, len: usize) -> Vec<u8> {
        let skip = usize::try_from(self.at % 8).unwrap_or_default();
        let mut bytes = Vec::with_capacity(len.saturating_add(16));
        let mut word = self.at / 8;
        while bytes.len() < len.saturating_add(skip) {
            bytes.extend_from_slice(&mix(self.seed ^ word).to_le_bytes());
            word = word.wrapping_add(1);
        }
        bytes.drain(..skip);
        bytes.truncate(len);
        bytes
    }

    /// Passes so many bytes.
    pub(super) fn pass(&mut self, len: usize) {
        self.at = self.at.saturating_add(len as u64);
    }

    /// Passes these bytes if they are what comes next.
    pub(super) fn matches(&mut self, bytes: &[u8]) -> bool {
        let same = self.peek(bytes.len()) == bytes;
        self.pass(bytes.len());
        same
    }
}

/// The finaliser of SplitMix64: a bijection that leaves no pattern of its input.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Small numbers that are the same on every run.
#[derive(Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// A number below `sides`.
    pub(super) fn roll(&mut self, sides: u64) -> usize {
        self.0 = self.0.wrapping_add(1);
        usize::try_from(mix(self.0).checked_rem(sides).unwrap_or_default()).unwrap_or_default()
    }
}
