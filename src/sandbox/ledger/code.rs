//! Authorization codes: what the person agreed to, until an application takes it up.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::Policy;

/// How a challenge was made of its verifier (RFC 7636 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The verifier's SHA-256 in unpadded base64url.
    S256,
    /// The verifier itself.
    Plain,
}

impl Method {
    /// The method that the protocol's word names.
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "S256" => Some(Self::S256),
            "plain" => Some(Self::Plain),
            _ => None,
        }
    }
}

/// A PKCE challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// How it was made.
    pub method: Method,
    /// What was made.
    pub value: String,
}

impl Challenge {
    fn answered_by(&self, verifier: &str) -> bool {
        match self.method {
            Method::S256 => URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) == self.value,
            Method::Plain => verifier == self.value,
        }
    }
}

/// Why a code buys no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another challenge method than at consent.
    Method,
    /// No such code, a used one, or not the verifier that it asks for.
    Invalid,
    /// Older than [`Code::LIFE`].
    Expired,
}

/// One authorization code.
#[derive(Clone, Debug)]
pub struct Code {
    /// The key that was agreed to.
    pub policy: Policy,
    /// What the application has to prove.
    pub challenge: Option<Challenge>,
    /// When it was issued.
    pub issued_at: Timestamp,
}

impl Code {
    /// How long a code can be exchanged.
    pub const LIFE: SignedDuration = SignedDuration::from_mins(10);

    /// Checks what an application presents with the code.
    ///
    /// A method that is left out means the one of the consent. A verifier where no challenge was
    /// made is refused: it would hide that somebody took the challenge out (RFC 9700 section 4.8.2).
    pub fn check(
        &self,
        verifier: Option<&str>,
        method: Option<Method>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if now.duration_since(self.issued_at) >= Self::LIFE {
            return Err(Refusal::Expired);
        }
        let agreed = self.challenge.as_ref().map(|challenge| challenge.method);
        if method.is_some() && method != agreed {
            return Err(Refusal::Method);
        }
        let proven = match (&self.challenge, verifier) {
            (Some(challenge), Some(verifier)) => challenge.answered_by(verifier),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if proven { Ok(()) } else { Err(Refusal::Invalid) }
    }
}
