//! A pre-shared key, and the fingerprint by which it may be spoken of.

use salsa20::{
    Salsa20,
    cipher::{KeyIvInit, StreamCipher},
};
use shake::{ExtendableOutput, Shake128, Update, XofReader};
use zeroize::Zeroizing;

/// Length of a key in bytes.
pub(crate) const KEY_LEN: usize = 32;

/// A pre-shared key. It is boxed so that moving it leaves no copy behind, is overwritten when dropped, and has no
/// `Debug` on purpose.
#[derive(PartialEq, Eq)]
pub(crate) struct Key(Box<Zeroizing<[u8; KEY_LEN]>>);

impl Key {
    /// A key that `fill` writes into its place.
    pub(crate) fn made<E>(fill: impl FnOnce(&mut [u8; KEY_LEN]) -> Result<(), E>) -> Result<Self, E> {
        let mut bytes = Box::new(Zeroizing::new([0; KEY_LEN]));
        fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    /// What go-ipfs and Kubo print as the swarm key fingerprint, in hexadecimal: SHAKE-128, cut to 16 bytes, of the
    /// first 64 bytes of the Salsa20 key stream under the nonce `finprint`. No specification has it; the source is
    /// `pnetFingerprint` in Kubo's `core/node/libp2p/pnet.go`.
    pub(crate) fn fingerprint(&self) -> String {
        let mut stream = [0; 64];
        Salsa20::new(self.bytes().into(), b"finprint".into()).apply_keystream(&mut stream);
        let mut hash = Shake128::default();
        hash.update(&stream);
        let mut fingerprint = [0; 16];
        hash.finalize_xof().read(&mut fingerprint);
        hex::encode(fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value of go-ipfs, from the tests of libp2p-pnet.
    #[test]
    fn the_fingerprint_is_that_of_kubo() {
        let key = Key::made(|bytes| {
            hex::decode_to_slice("6189c5cf0b87fb800c1a9feeda73c6ab5e998db48fb9e6a978575c770ceef683", bytes)
        });
        assert_eq!(key.unwrap().fingerprint(), "45fc986bbc9388a11d939df26f730f0c");
    }
}
