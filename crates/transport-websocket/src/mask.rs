//! The masks of a client's frames (RFC 6455, section 5.3).

use std::io;

/// A mask, turned to the byte that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mask(pub(crate) [u8; 4]);

impl Mask {
    /// Masks or unmasks bytes, and turns by as many.
    pub(crate) fn apply(&mut self, data: &mut [u8]) {
        let [a, b, c, d] = self.0;
        let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
        let mut words = data.chunks_exact_mut(8);
        for word in &mut words {
            if let Ok(bytes) = <[u8; 8]>::try_from(&*word) {
                word.copy_from_slice(&(u64::from_ne_bytes(bytes) ^ wide).to_ne_bytes());
            }
        }
        let rest = words.into_remainder();
        let turn = rest.len() % 4;
        for (byte, mask) in rest.iter_mut().zip(self.0.into_iter().cycle()) {
            *byte ^= mask;
        }
        self.0.rotate_left(turn);
    }
}

/// Unpredictable masks, as the specification asks for. They are drawn many at a time.
#[derive(Debug)]
pub(crate) struct Masks {
    random: [u8; 128],
    used: usize,
}

impl Masks {
    pub(crate) fn new() -> Self {
        Self { random: [0; 128], used: 128 }
    }

    /// # Errors
    /// When the system has no randomness to give.
    pub(crate) fn draw(&mut self) -> io::Result<Mask> {
        if self.used >= self.random.len() {
            aws_lc_rs::rand::fill(&mut self.random)
                .map_err(|_| io::Error::other("no randomness for a mask"))?;
            self.used = 0;
        }
        let drawn = self.random.get(self.used..).and_then(<[u8]>::first_chunk).copied();
        self.used = self.used.saturating_add(4);
        drawn.map(Mask).ok_or_else(|| io::Error::other("no randomness for a mask"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_masked_as_the_whole() {
        let plain: Vec<u8> = (0..100).collect();
        let expected: Vec<u8> = plain.iter().zip([1, 2, 3, 4].iter().cycle()).map(|(a, b)| a ^ b).collect();
        for piece in 1..=plain.len() {
            let mut mask = Mask([1, 2, 3, 4]);
            let mut masked = plain.clone();
            masked.chunks_mut(piece).for_each(|piece| mask.apply(piece));
            assert_eq!(masked, expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn masks_differ() {
        let mut masks = Masks::new();
        let drawn: std::collections::BTreeSet<_> = (0..100).map(|_| masks.draw().unwrap().0).collect();
        assert!(drawn.len() > 95, "{} of 100 masks differ", drawn.len());
    }
}
