//! A chat completion as the API writes it, read once; what isn't needed is passed over, but must be JSON.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;

use crate::compact::Compact;
use crate::lenient::{Content, Count, Counts, Logprob, Text};
use crate::mend::mend;

/// Longest body that is read as a value.
const MAX_VALUE_BYTES: usize = 16 << 20;

/// A body, with its log probabilities as `L`: `IgnoredAny` passes over them.
#[derive(Deserialize)]
#[serde(bound = "L: Deserialize<'de>")]
pub(crate) struct Body<L> {
    pub choices: Vec<Choice<L>>,
    #[serde(default)]
    pub model: Text,
    #[serde(default)]
    pub system_fingerprint: Text,
    #[serde(default)]
    pub usage: Counts,
}

#[derive(Deserialize)]
#[serde(bound = "L: Deserialize<'de>")]
pub(crate) struct Choice<L> {
    #[serde(default)]
    pub index: Count,
    pub message: Message,
    #[serde(default)]
    pub finish_reason: Text,
    #[serde(default = "nothing")]
    pub logprobs: Option<L>,
}

fn nothing<L>() -> Option<L> {
    None
}

#[derive(Deserialize)]
pub(crate) struct Message {
    #[serde(default)]
    pub content: Content,
    #[serde(default)]
    pub reasoning_content: Text,
    #[serde(default)]
    pub reasoning: Text,
    #[serde(default)]
    pub refusal: Text,
    #[serde(default)]
    pub tool_calls: Compact,
}

#[derive(Deserialize)]
pub(crate) struct Logprobs {
    #[serde(default)]
    pub content: Option<Vec<Token>>,
}

/// A token with its log probability; one of the answer has its alternatives too.
#[derive(Deserialize)]
pub(crate) struct Token {
    #[serde(default)]
    pub token: Text,
    #[serde(default)]
    pub id: Count,
    #[serde(default)]
    pub token_id: Count,
    #[serde(default)]
    pub bytes: Option<Vec<u8>>,
    pub logprob: Logprob,
    #[serde(default)]
    pub top_logprobs: Option<Vec<Token>>,
}

/// Read a body. What is paid for isn't lost over a detail: of members that come twice the last counts, and what some
/// encoders write that isn't JSON is mended.
///
/// # Errors
/// Why it is no answer, in a line that doesn't quote it.
pub(crate) fn parse<L: DeserializeOwned>(body: &[u8]) -> Result<Body<L>, String> {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let parsed = read::<L>(text).or_else(|error| match mend(text) {
        Some(mended) if error.is_syntax() => read(&mended),
        _ => Err(error),
    });
    let parsed = parsed.map_err(|error| why(&error, body.len()))?;
    if parsed.choices.is_empty() {
        return Err("it has no choices".to_owned());
    }
    Ok(parsed)
}

fn read<L: DeserializeOwned>(text: &[u8]) -> Result<Body<L>, serde_json::Error> {
    serde_json::from_slice(text).or_else(|error| {
        // A value keeps the last of members that come twice, at which reading straight ends; it takes more memory.
        if error.is_data() && text.len() <= MAX_VALUE_BYTES {
            Body::deserialize(serde_json::from_slice::<Value>(text)?)
        } else {
            Err(error)
        }
    })
}

fn why(error: &serde_json::Error, bytes: usize) -> String {
    let place = format!("line {}, column {}", error.line(), error.column());
    match error.classify() {
        Category::Eof => format!("the body ends too early, after {bytes} bytes"),
        Category::Syntax => format!("the body isn't JSON ({place} of {bytes} bytes)"),
        Category::Data => format!("the body is JSON but no chat completion ({place})"),
        Category::Io => "the body can't be read".to_owned(),
    }
}
