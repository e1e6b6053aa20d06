//! The primitives of `Noise_XX_25519_ChaChaPoly_SHA256` from AWS-LC, in the form that `snow` asks for.
//!
//! They serve the handshake only; [`crate::cipher`] seals and opens what comes after it.

use crate::cipher::{TAG_LEN, nonce};
use aws_lc_rs::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, UnboundKey},
    agreement::{self, PrivateKey, UnparsedPublicKey, X25519},
    digest::{Context, SHA256, SHA256_OUTPUT_LEN},
    error::Unspecified,
    rand,
};
use snow::{
    params::{CipherChoice, DHChoice, HashChoice},
    resolvers::CryptoResolver,
    types::{Cipher, Dh, Hash, Random},
};
use std::sync::Arc;

/// Length of an X25519 key, in bytes.
pub(crate) const KEY_LEN: usize = 32;

/// An X25519 key pair whose public half is computed once.
#[derive(Debug)]
pub(crate) struct KeyPair {
    private: PrivateKey,
    public: [u8; KEY_LEN],
}

impl KeyPair {
    /// A fresh key pair.
    pub(crate) fn generate() -> Result<Self, Unspecified> {
        let private = PrivateKey::generate(&X25519)?;
        let public = private.compute_public_key()?.as_ref().try_into().map_err(|_| Unspecified)?;
        Ok(Self { private, public })
    }

    /// The public half.
    pub(crate) fn public(&self) -> &[u8; KEY_LEN] {
        &self.public
    }
}

/// Makes the primitives of one handshake.
#[derive(Clone, Debug)]
pub(crate) struct Primitives {
    /// The key pair that a [`Dh`] takes when a private key is set.
    pub(crate) static_key: Arc<KeyPair>,
}

impl CryptoResolver for Primitives {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(SystemRandom))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        let dh = Agreement { static_key: Arc::clone(&self.static_key), current: None };
        matches!(choice, DHChoice::Curve25519).then(|| Box::new(dh) as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        matches!(choice, HashChoice::SHA256).then(|| Box::new(Sha256(Context::new(&SHA256))) as Box<dyn Hash>)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        matches!(choice, CipherChoice::ChaChaPoly).then(|| Box::new(ChaChaPoly(None)) as Box<dyn Cipher>)
    }
}

struct SystemRandom;

impl Random for SystemRandom {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        rand::fill(dest).map_err(|_| snow::Error::Rng)
    }
}

/// X25519. The private key never leaves AWS-LC, neither to `snow` nor back.
struct Agreement {
    static_key: Arc<KeyPair>,
    current: Option<Arc<KeyPair>>,
}

impl Dh for Agreement {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        KEY_LEN
    }

    fn priv_len(&self) -> usize {
        KEY_LEN
    }

    /// Takes the static key pair. `snow` sets a private key for that one only, so what it passes is a
    /// placeholder and the scalar multiplication for the public half is spared.
    fn set(&mut self, _placeholder: &[u8]) {
        self.current = Some(Arc::clone(&self.static_key));
    }

    fn generate(&mut self, _rng: &mut dyn Random) -> Result<(), snow::Error> {
        self.current = Some(Arc::new(KeyPair::generate().map_err(|_| snow::Error::Rng)?));
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        self.current.as_ref().map_or(&[], |pair| pair.public().as_slice())
    }

    fn privkey(&self) -> &[u8] {
        &[]
    }

    /// AWS-LC refuses a result of all zeros, which a peer forces with a point of small order.
    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let pair = self.current.as_ref().ok_or(snow::Error::Dh)?;
        let public = public.get(..KEY_LEN).ok_or(snow::Error::Dh)?;
        let public = UnparsedPublicKey::new(&X25519, public);
        agreement::agree(&pair.private, public, snow::Error::Dh, |secret| {
            out.get_mut(..secret.len()).ok_or(snow::Error::Dh)?.copy_from_slice(secret);
            Ok(())
        })
    }
}

struct Sha256(Context);

impl Hash for Sha256 {
    fn name(&self) -> &'static str {
        "SHA256"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        SHA256_OUTPUT_LEN
    }

    fn reset(&mut self) {
        self.0 = Context::new(&SHA256);
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        let digest = std::mem::replace(&mut self.0, Context::new(&SHA256)).finish();
        for (to, from) in out.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
    }
}

/// ChaCha20-Poly1305, without a key until the handshake has one.
struct ChaChaPoly(Option<LessSafeKey>);

impl ChaChaPoly {
    fn seal(&self, nonce_value: u64, ad: &[u8], plain: &[u8], out: &mut [u8]) -> Option<usize> {
        let key = self.0.as_ref()?;
        let (body, rest) = out.split_at_mut_checked(plain.len())?;
        let tag_out = rest.first_chunk_mut::<TAG_LEN>()?;
        body.copy_from_slice(plain);
        let tag = key.seal_in_place_separate_tag(nonce(nonce_value), Aad::from(ad), body).ok()?;
        tag_out.copy_from_slice(tag.as_ref());
        Some(plain.len() + TAG_LEN)
    }

    fn open(&self, nonce_value: u64, ad: &[u8], sealed: &[u8], out: &mut [u8]) -> Option<usize> {
        let (body, tag) = sealed.split_last_chunk::<TAG_LEN>()?;
        let out = out.get_mut(..body.len())?;
        let key = self.0.as_ref()?;
        key.open_separate_gather(nonce(nonce_value), Aad::from(ad), body, tag, out).ok()?;
        Some(body.len())
    }
}

impl Cipher for ChaChaPoly {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.0 = UnboundKey::new(&CHACHA20_POLY1305, key).ok().map(LessSafeKey::new);
    }

    /// The contract has no room for an error. Sealing fails for want of a key or of room only, which `snow`
    /// checks before; were it to fail, zeros would go out in place of the message, and the peer refuses them.
    fn encrypt(&self, nonce: u64, ad: &[u8], plain: &[u8], out: &mut [u8]) -> usize {
        self.seal(nonce, ad, plain, out).unwrap_or_else(|| {
            out.fill(0);
            out.len().min(plain.len().saturating_add(TAG_LEN))
        })
    }

    fn decrypt(&self, nonce: u64, ad: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<usize, snow::Error> {
        self.open(nonce, ad, sealed, out).ok_or(snow::Error::Decrypt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dh() -> Agreement {
        Agreement { static_key: Arc::new(KeyPair::generate().unwrap()), current: None }
    }

    #[test]
    fn both_ends_agree_and_points_of_small_order_are_refused() {
        let (mut a, mut b) = (dh(), dh());
        a.set(&[]);
        b.generate(&mut SystemRandom).unwrap();
        assert_eq!(a.pubkey(), a.static_key.public());

        let (mut of_a, mut of_b) = ([0; KEY_LEN], [0; KEY_LEN]);
        a.dh(b.pubkey(), &mut of_a).unwrap();
        b.dh(a.pubkey(), &mut of_b).unwrap();
        assert_eq!(of_a, of_b);

        let mut one = [0; KEY_LEN];
        one[0] = 1;
        for small_order in [[0; KEY_LEN], one] {
            assert_eq!(a.dh(&small_order, &mut of_a), Err(snow::Error::Dh));
        }
    }

    #[test]
    fn hkdf_matches_rfc_5869() {
        // Case 1 of appendix A: with its salt and input, and an empty `info`, the extract step is the same.
        let mut hash = Sha256(Context::new(&SHA256));
        let mut prk = [0; SHA256_OUTPUT_LEN];
        let salt: Vec<u8> = (0..=0x0c).collect();
        hash.hmac(&salt, &[0x0b; 22], &mut prk);
        let text: String = prk.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(text, "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
    }
}
