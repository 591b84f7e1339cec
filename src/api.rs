//! Talking to OpenRouter: the sign-in and the HTTP API.

pub mod oauth;
pub mod openrouter;
