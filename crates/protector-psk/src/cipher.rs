//! XSalsa20: the key stream of one direction.

use crate::key::Key;
use salsa20::{
    XSalsa20,
    cipher::{KeyIvInit, StreamCipher},
};
use std::io;

/// Length of a nonce in bytes.
pub(crate) const NONCE_LEN: usize = 24;

/// The number that each side chooses for what it sends, and sends first, in clear.
pub(crate) type Nonce = [u8; NONCE_LEN];

/// The key stream of one direction. It goes forward with each byte, and never back.
pub(crate) struct Keystream(XSalsa20);

impl Keystream {
    pub(crate) fn new(key: &Key, nonce: &Nonce) -> Self {
        Self(XSalsa20::new(key.bytes().into(), nonce.into()))
    }

    /// Encrypts or decrypts the next bytes where they are.
    ///
    /// # Errors
    /// The stream has an end, after 2^70 bytes.
    pub(crate) fn apply(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.0.try_apply_keystream(bytes).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::digest;

    fn keystream(nonce: &str) -> Keystream {
        let key = Key::made(|bytes| {
            hex::decode_to_slice("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389", bytes)
        });
        let mut bytes = [0; NONCE_LEN];
        hex::decode_to_slice(nonce, &mut bytes).unwrap();
        Keystream::new(&key.unwrap(), &bytes)
    }

    const NONCE: &str = "69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37";

    /// From the tests of `NaCl`, `tests/stream3.c`.
    #[test]
    fn the_stream_begins_as_that_of_nacl() {
        let mut bytes = [0; 32];
        keystream(NONCE).apply(&mut bytes).unwrap();
        assert_eq!(hex::encode(bytes), "eea6a7251c1e72916d11c2cb214d3c252539121d8e234e652d651fa4c8cff880");
    }

    /// From the tests of `NaCl`, `tests/stream.c`: the SHA-256 of 4 MiB of the stream, here taken in pieces that are
    /// no multiple of the cipher's blocks.
    #[test]
    fn the_stream_goes_on_as_that_of_nacl_however_it_is_cut() {
        let mut bytes = vec![0; 4_194_304];
        let mut stream = keystream(NONCE);
        let mut size = 1;
        let mut rest = bytes.as_mut_slice();
        while !rest.is_empty() {
            let piece = rest.split_off_mut(..size.min(rest.len())).unwrap();
            stream.apply(piece).unwrap();
            size = (size * 3) % 100_003;
        }
        let hash = digest::digest(&digest::SHA256, &bytes);
        assert_eq!(hex::encode(hash), "662b9d0e3463029156069b12f918691a98f7dfb2ca0393c96bbfc6b1fbd630a2");
    }
}
