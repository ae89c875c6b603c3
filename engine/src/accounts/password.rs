//! Passwords: Argon2id (RFC 9106) in PHC form. Nothing here logs or keeps a password.

use crate::error::{Error, Result};
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

/// What one guess costs. The default is OWASP's first recommendation: 19 MiB, 2 passes.
#[derive(Debug, Clone, Copy)]
pub struct PasswordCost {
    pub memory_kib: u32,
    pub passes: u32,
}

impl Default for PasswordCost {
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2 }
    }
}

/// Longer ones are refused, so that a hash never costs more than it should.
const MAX_PASSWORD_BYTES: usize = 1024;

pub fn hash(password: &str, cost: PasswordCost) -> Result<String> {
    if password.is_empty() || password.len() > MAX_PASSWORD_BYTES {
        return Err(Error::NotPossible(format!("a password has 1 to {MAX_PASSWORD_BYTES} bytes")));
    }
    let mut salt = [0u8; 16];
    getrandom::fill(&mut salt).map_err(|e| Error::NotPossible(format!("no random numbers: {e}")))?;
    let salt = SaltString::encode_b64(&salt).map_err(|e| Error::NotPossible(e.to_string()))?;
    let params = Params::new(cost.memory_kib, cost.passes, 1, None)
        .map_err(|e| Error::NotPossible(format!("the password cost is not possible: {e}")))?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|e| Error::NotPossible(e.to_string()))
}

/// True when the password is the one that was hashed. The cost is read from the hash.
#[must_use]
pub fn verify(password: &str, hash: &str) -> bool {
    password.len() <= MAX_PASSWORD_BYTES
        && PasswordHash::new(hash)
            .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: PasswordCost = PasswordCost { memory_kib: 8, passes: 1 };

    #[test]
    fn only_the_right_password_is_accepted() {
        let hashed = hash("correct horse", QUICK).unwrap();
        assert!(verify("correct horse", &hashed));
        assert!(!verify("correct horsf", &hashed));
        assert!(!verify("", &hashed));
        assert!(!verify("correct horse", "not a hash"));
        assert_ne!(hashed, hash("correct horse", QUICK).unwrap(), "each hash has its own salt");
    }

    #[test]
    fn an_empty_or_endless_password_is_refused() {
        assert!(hash("", QUICK).is_err());
        assert!(hash(&"x".repeat(2000), QUICK).is_err());
    }
}
