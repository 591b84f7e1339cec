//! OpenRouter's OAuth sign-in and its HTTP API.

pub mod oauth;
pub mod openrouter;
