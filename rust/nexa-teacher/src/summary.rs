//! What is needed of an answer at once: is it one, and what did it use?

use serde::de::IgnoredAny;

use crate::body::parse;
use crate::lenient::Count;

/// An answer in a few numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Choices in it.
    pub choices: u32,
    /// Prompt tokens, where the endpoint says.
    pub prompt_tokens: Option<u32>,
    /// Answered tokens, where the endpoint says.
    pub completion_tokens: Option<u32>,
    /// A choice was cut at the most tokens that were asked for.
    pub cut: bool,
}

/// Read a body as far as that is needed; all of it must be JSON.
///
/// # Errors
/// Why it is no answer, in a line that doesn't quote it.
pub fn summarize(body: &[u8]) -> Result<Summary, String> {
    let body = parse::<IgnoredAny>(body)?;
    let usage = body.usage;
    Ok(Summary {
        choices: u32::try_from(body.choices.len()).unwrap_or(u32::MAX),
        prompt_tokens: count(usage.prompt_tokens),
        completion_tokens: count(usage.completion_tokens),
        cut: body.choices.iter().any(|choice| choice.finish_reason.0.as_deref() == Some("length")),
    })
}

fn count(count: Count) -> Option<u32> {
    count.0.and_then(|count| u32::try_from(count).ok())
}
