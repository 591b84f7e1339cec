//! Authorization codes: what the person agreed to, until an application takes it up.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::KeyPolicy;

/// How a challenge was made of its verifier (RFC 7636 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeMethod {
    /// The verifier's SHA-256 in unpadded base64url.
    S256,
    /// The verifier itself.
    Plain,
}

impl ChallengeMethod {
    /// The method that the protocol's word names.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "S256" => Some(Self::S256),
            "plain" => Some(Self::Plain),
            _ => None,
        }
    }
}

/// A PKCE challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeChallenge {
    /// How it was made.
    pub method: ChallengeMethod,
    /// What was made.
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

/// Why a code buys no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeError {
    /// Another challenge method than at consent.
    MethodMismatch,
    /// No such code, a used one, or not the verifier that it asks for.
    InvalidGrant,
    /// Older than [`Code::LIFE`].
    Expired,
}

/// One authorization code.
#[derive(Clone, Debug)]
pub struct AuthorizationCode {
    /// The key that was agreed to.
    pub policy: KeyPolicy,
    /// What the application has to prove.
    pub challenge: Option<CodeChallenge>,
    /// When it was issued.
    pub issued_at: Timestamp,
}

impl AuthorizationCode {
    /// How long a code can be exchanged.
    pub const LIFETIME: SignedDuration = SignedDuration::from_mins(10);

    /// Checks what an application presents with the code.
    ///
    /// A method that is left out means the one of the consent. A verifier where no challenge was
    /// made is refused: it would hide that somebody took the challenge out (RFC 9700 section 4.8.2).
    pub fn verify(
        &self,
        verifier: Option<&str>,
        method: Option<ChallengeMethod>,
        now: Timestamp,
    ) -> Result<(), ExchangeError> {
        if now.duration_since(self.issued_at) >= Self::LIFETIME {
            return Err(ExchangeError::Expired);
        }
        let agreed = self.challenge.as_ref().map(|challenge| challenge.method);
        if method.is_some() && method != agreed {
            return Err(ExchangeError::MethodMismatch);
        }
        let proven = match (&self.challenge, verifier) {
            (Some(challenge), Some(verifier)) => challenge.is_verified_by(verifier),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if proven { Ok(()) } else { Err(ExchangeError::InvalidGrant) }
    }
}
