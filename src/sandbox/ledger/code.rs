//! Authorization codes and their PKCE verification.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::KeyPolicy;

/// How a challenge is derived from its verifier (RFC 7636 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeMethod {
    /// The SHA-256 hash of the verifier in unpadded base64url.
    S256,
    /// The verifier itself.
    Plain,
}

impl ChallengeMethod {
    /// Parses the name in the protocol.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "S256" => Some(Self::S256),
            "plain" => Some(Self::Plain),
            _ => None,
        }
    }
}

/// A PKCE challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeChallenge {
    /// How it was derived.
    pub method: ChallengeMethod,
    /// The challenge.
    pub value: String,
}

impl CodeChallenge {
    fn is_verified_by(&self, verifier: &str) -> bool {
        match self.method {
            ChallengeMethod::S256 => URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) == self.value,
            ChallengeMethod::Plain => verifier == self.value,
        }
    }
}

/// Why a code cannot be exchanged for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeError {
    /// The challenge method differs from the one at consent.
    MethodMismatch,
    /// The code is unknown or already used, or the verifier is wrong.
    InvalidGrant,
    /// The code is older than [`AuthorizationCode::LIFETIME`].
    Expired,
}

/// One authorization code.
#[derive(Clone, Debug)]
pub struct AuthorizationCode {
    /// The policy that the user agreed to.
    pub policy: KeyPolicy,
    /// The challenge that the application must prove.
    pub challenge: Option<CodeChallenge>,
    /// When the code was issued.
    pub issued_at: Timestamp,
}

impl AuthorizationCode {
    /// How long a code can be exchanged.
    pub const LIFETIME: SignedDuration = SignedDuration::from_mins(10);

    /// Checks the verifier that the application sends with the code.
    ///
    /// If `method` is `None`, the method at consent is used. A verifier without a challenge is
    /// rejected, because an attacker may have removed the challenge (RFC 9700 section 4.8.2).
    pub fn verify(
        &self,
        verifier: Option<&str>,
        method: Option<ChallengeMethod>,
        now: Timestamp,
    ) -> Result<(), ExchangeError> {
        if now.duration_since(self.issued_at) >= Self::LIFETIME {
            return Err(ExchangeError::Expired);
        }
        let expected_method = self.challenge.as_ref().map(|challenge| challenge.method);
        if method.is_some() && method != expected_method {
            return Err(ExchangeError::MethodMismatch);
        }
        let is_verified = match (&self.challenge, verifier) {
            (Some(challenge), Some(verifier)) => challenge.is_verified_by(verifier),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if is_verified { Ok(()) } else { Err(ExchangeError::InvalidGrant) }
    }
}
