//! The random part of a commitment to a number. Who has it, and the commitment, can try numbers: it prints itself redacted, has
//! no `Display` and wipes itself on drop.

use std::fmt;

use zeroize::Zeroize;

use super::random;
use super::signing::{base64url, from_base64url};
use crate::domain::redacted::SaltText;

/// `N` random bytes.
#[derive(Clone)]
pub struct Salt<const N: usize>([u8; N]);

impl<const N: usize> Salt<N> {
    /// A new one.
    pub fn draw() -> Self {
        Self(random::bytes::<N>())
    }

    /// A salt as it was given out. A shortened one is none.
    pub fn parse(text: &SaltText) -> Option<Self> {
        let bytes = zeroize::Zeroizing::new(from_base64url(text.expose())?);
        bytes.as_slice().try_into().ok().map(Self)
    }

    /// The bytes, for commitments and answers only.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// As it is given out.
    pub fn to_text(&self) -> SaltText {
        base64url(&self.0).into()
    }
}

impl<const N: usize> From<[u8; N]> for Salt<N> {
    fn from(bytes: [u8; N]) -> Self {
        Self(bytes)
    }
}

impl<const N: usize> fmt::Debug for Salt<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(redacted)")
    }
}

impl<const N: usize> Drop for Salt<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_salt_is_read_as_it_was_given_out_and_not_shown() {
        let salt = Salt::<16>::draw();
        assert_eq!(Salt::<16>::parse(&salt.to_text()).unwrap().expose(), salt.expose());
        assert!(Salt::<32>::parse(&salt.to_text()).is_none(), "of another length");
        assert!(Salt::<16>::parse(&"no base64url".to_owned().into()).is_none());
        assert_ne!(salt.expose(), Salt::<16>::draw().expose());
        assert_eq!(format!("{salt:?}"), "Salt(redacted)");
    }
}
