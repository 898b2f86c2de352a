//! The one place where randomness for keys, salts and ids is drawn.
//! Long-lived keys come straight from the operating system; salts and ids from the thread's ChaCha generator,
//! which the operating system seeds and reseeds, without a system call per check.

use crate::domain::ids::Id;
use crate::domain::instant::UnixMs;
use rand::rngs::SysRng;
use rand::{Rng, TryRng};
use uuid::Uuid;

/// The operating system gave no randomness: nothing may be made without it.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no randomness")]
pub struct NoRandomness;

/// What the crates of cryptography draw from.
pub use rand::CryptoRng;

/// The thread's generator, for those crates.
pub fn generator() -> impl CryptoRng {
    rand::rng()
}

/// What signatures draw from that need randomness (ECDSA).
pub fn of_signatures() -> aws_lc_rs::rand::SystemRandom {
    aws_lc_rs::rand::SystemRandom::new()
}

/// Bytes for a key that will live on disk.
pub fn key_bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// Bytes for a salt or a nonce.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// A new id: a `UUIDv7` of the given instant.
pub fn id<T: Id>(now_ms: UnixMs) -> T {
    T::from_uuid(uuid_v7(now_ms))
}

/// A `UUIDv7` (RFC 9562, 5.7) of the given instant.
pub fn uuid_v7(now_ms: UnixMs) -> Uuid {
    let ms = u64::try_from(now_ms.get()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(ms, &bytes::<10>()).into_uuid()
}

/// A number in `0..bound`, for jitter.
pub fn below(bound: u32) -> u32 {
    let wide = u64::from(u32::from_le_bytes(bytes::<4>())) * u64::from(bound);
    u32::try_from(wide >> 32).unwrap_or(0)
}
