//! Answers to Arrow columns: a row per choice, in the order of the requests.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, Float32Builder, Float64Builder, Int32Builder, Int64Builder, ListBuilder, StringBuilder,
    UInt8Builder, UInt32Builder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema};
use rayon::prelude::*;
use serde::de::IgnoredAny;

use crate::body::{Body, Choice, Logprobs, Message, Token, parse};
use crate::error::JournalError;
use crate::index::State;
use crate::lenient::Counts;

/// Answers that one thread decodes at once.
const PER_TASK: usize = 64;
/// Tokens that are written as their number.
const TOKEN_ID: &str = "token_id:";

/// What is known of one request.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Where it stands.
    pub state: State,
    /// The attempt that was answered.
    pub attempt: u16,
    /// How long that took, in microseconds.
    pub latency_us: u64,
    /// The raw body; `None` where there is no answer, or why it can't be read.
    pub body: Option<Result<Vec<u8>, String>>,
}

/// Decode answers on the pool's threads, each read where it is decoded: memory holds few bodies at a time.
///
/// A row is a choice; a request without a readable answer is one row of nulls, with the reason in `error`. `logprobs`
/// asks for the columns of each token; where an answer's can't be read they are null and the rest of it stays.
///
/// # Errors
/// [`JournalError::Threads`].
///
/// # Panics
/// Where all texts of one column take more than 2 GiB.
pub fn columns<T: Sync>(
    requests: &[T],
    logprobs: bool,
    read: impl Fn(&T) -> Answer + Sync,
) -> Result<RecordBatch, JournalError> {
    let decode = |(task, piece): (usize, &[T])| {
        let mut rows = Rows::default();
        for (offset, request) in piece.iter().enumerate() {
            rows.add(task * PER_TASK + offset, &read(request), logprobs);
        }
        rows.finish(logprobs)
    };
    if requests.len() <= PER_TASK {
        return Ok(decode((0, requests)));
    }
    let pieces: Vec<RecordBatch> =
        nexa_io::threads::pool()?.install(|| requests.par_chunks(PER_TASK).enumerate().map(decode).collect());
    let joined = arrow_select::concat::concat_batches(&pieces[0].schema(), &pieces);
    Ok(joined.expect("the pieces have one schema, and less than 2 GiB a column"))
}

#[derive(Default)]
struct Rows {
    key_index: UInt32Builder,
    choice: Int32Builder,
    state: UInt8Builder,
    text: StringBuilder,
    reasoning: StringBuilder,
    tool_calls: StringBuilder,
    refusal: StringBuilder,
    model_id: StringBuilder,
    latency_ms: Float64Builder,
    prompt_tokens: Int64Builder,
    completion_tokens: Int64Builder,
    total_tokens: Int64Builder,
    finish_reason: StringBuilder,
    system_fingerprint: StringBuilder,
    attempt: Int32Builder,
    error: StringBuilder,
    own: Tokens,
    top: Alternatives,
}

/// Lists of tokens: of each row, its answer's.
#[derive(Default)]
struct Tokens {
    bytes: ListBuilder<BinaryBuilder>,
    ids: ListBuilder<Int32Builder>,
    logprobs: ListBuilder<Float32Builder>,
}

/// Lists of lists: of each token of the answer, its alternatives.
#[derive(Default)]
struct Alternatives {
    bytes: ListBuilder<ListBuilder<BinaryBuilder>>,
    ids: ListBuilder<ListBuilder<Int32Builder>>,
    logprobs: ListBuilder<ListBuilder<Float32Builder>>,
}

impl Rows {
    fn add(&mut self, index: usize, answer: &Answer, logprobs: bool) {
        let bytes = match &answer.body {
            Some(Ok(bytes)) => bytes,
            Some(Err(reason)) => return self.add_nothing(index, answer, Some(reason)),
            None => return self.add_nothing(index, answer, None),
        };
        if let Some(body) = logprobs.then(|| parse::<Logprobs>(bytes).ok()).flatten() {
            return self.add_body(index, answer, body, Self::add_logprobs);
        }
        match parse::<IgnoredAny>(bytes) {
            Ok(body) => self.add_body(index, answer, body, |rows, _| rows.add_no_logprobs()),
            Err(reason) => self.add_nothing(index, answer, Some(&reason)),
        }
    }

    fn add_body<L>(
        &mut self,
        index: usize,
        answer: &Answer,
        body: Body<L>,
        mut add_logprobs: impl FnMut(&mut Self, Option<L>),
    ) {
        let usage = body.usage;
        let numbers: HashSet<_> = body.choices.iter().filter_map(|choice| choice.index.0).collect();
        let numbered = numbers.len() == body.choices.len();
        let mut choices: Vec<(i64, Choice<L>)> = body
            .choices
            .into_iter()
            .zip(0..)
            .map(|(choice, place)| (choice.index.0.filter(|_| numbered).unwrap_or(place), choice))
            .collect();
        choices.sort_by_key(|(number, _)| *number);
        for (number, choice) in choices {
            self.begin(index, answer);
            self.choice.append_value(i32::try_from(number).unwrap_or(i32::MAX));
            self.model_id.append_option(body.model.0.as_deref());
            self.system_fingerprint.append_option(body.system_fingerprint.0.as_deref());
            self.finish_reason.append_option(choice.finish_reason.0.as_deref());
            self.error.append_null();
            self.latency_ms.append_value(answer.latency_us as f64 / 1000.0);
            self.attempt.append_value(i32::from(answer.attempt));
            self.add_usage(usage);
            self.add_message(choice.message);
            add_logprobs(self, choice.logprobs);
        }
    }

    fn begin(&mut self, index: usize, answer: &Answer) {
        self.key_index.append_value(u32::try_from(index).unwrap_or(u32::MAX));
        self.state.append_value(answer.state as u8);
    }

    fn add_usage(&mut self, usage: Counts) {
        self.prompt_tokens.append_option(usage.prompt_tokens.0);
        self.completion_tokens.append_option(usage.completion_tokens.0);
        self.total_tokens.append_option(usage.total_tokens.0);
    }

    fn add_message(&mut self, message: Message) {
        self.text.append_option(message.content.0);
        self.reasoning.append_option(message.reasoning_content.0.or(message.reasoning.0));
        self.refusal.append_option(message.refusal.0);
        self.tool_calls.append_option(message.tool_calls.0);
    }

    fn add_logprobs(&mut self, found: Option<Logprobs>) {
        match found.and_then(|found| found.content) {
            Some(tokens) => {
                self.own.add(&tokens);
                self.top.add(&tokens);
            }
            None => self.add_no_logprobs(),
        }
    }

    fn add_no_logprobs(&mut self) {
        self.own.bytes.append_null();
        self.own.ids.append_null();
        self.own.logprobs.append_null();
        self.top.bytes.append_null();
        self.top.ids.append_null();
        self.top.logprobs.append_null();
    }

    fn add_nothing(&mut self, index: usize, answer: &Answer, reason: Option<&str>) {
        self.begin(index, answer);
        self.choice.append_null();
        for column in [
            &mut self.text,
            &mut self.reasoning,
            &mut self.tool_calls,
            &mut self.refusal,
            &mut self.model_id,
            &mut self.finish_reason,
            &mut self.system_fingerprint,
        ] {
            column.append_null();
        }
        self.latency_ms.append_null();
        self.add_usage(Counts::default());
        self.attempt.append_null();
        self.error.append_option(reason);
        self.add_no_logprobs();
    }

    fn finish(mut self, logprobs: bool) -> RecordBatch {
        let mut named: Vec<(&str, ArrayRef)> = vec![
            ("key_index", Arc::new(self.key_index.finish())),
            ("choice", Arc::new(self.choice.finish())),
            ("state", Arc::new(self.state.finish())),
            ("text", Arc::new(self.text.finish())),
            ("reasoning", Arc::new(self.reasoning.finish())),
            ("tool_calls", Arc::new(self.tool_calls.finish())),
            ("refusal", Arc::new(self.refusal.finish())),
            ("model_id", Arc::new(self.model_id.finish())),
            ("latency_ms", Arc::new(self.latency_ms.finish())),
            ("prompt_tokens", Arc::new(self.prompt_tokens.finish())),
            ("completion_tokens", Arc::new(self.completion_tokens.finish())),
            ("total_tokens", Arc::new(self.total_tokens.finish())),
            ("finish_reason", Arc::new(self.finish_reason.finish())),
            ("system_fingerprint", Arc::new(self.system_fingerprint.finish())),
            ("attempt", Arc::new(self.attempt.finish())),
            ("error", Arc::new(self.error.finish())),
        ];
        if logprobs {
            named.extend::<[(&str, ArrayRef); 6]>([
                ("token_bytes", Arc::new(self.own.bytes.finish())),
                ("token_ids", Arc::new(self.own.ids.finish())),
                ("token_logprobs", Arc::new(self.own.logprobs.finish())),
                ("top_bytes", Arc::new(self.top.bytes.finish())),
                ("top_ids", Arc::new(self.top.ids.finish())),
                ("top_logprobs", Arc::new(self.top.logprobs.finish())),
            ]);
        }
        let fields: Vec<Field> =
            named.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
        let arrays = named.into_iter().map(|(_, array)| array).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("all columns have a value per row")
    }
}

impl Tokens {
    fn add(&mut self, tokens: &[Token]) {
        for token in tokens {
            with_bytes(token, |bytes| self.bytes.values().append_value(bytes));
            self.logprobs.values().append_value(token.logprob.0);
        }
        self.bytes.append(true);
        self.logprobs.append(true);
        let known = tokens.iter().any(|token| id(token).is_some());
        if known {
            tokens.iter().for_each(|token| self.ids.values().append_option(id(token)));
        }
        self.ids.append(known);
    }
}

impl Alternatives {
    fn add(&mut self, tokens: &[Token]) {
        let known = tokens.iter().any(|token| shown(token).iter().any(|each| id(each).is_some()));
        for token in tokens {
            for each in shown(token) {
                with_bytes(each, |bytes| self.bytes.values().values().append_value(bytes));
                self.logprobs.values().values().append_value(each.logprob.0);
                if known {
                    self.ids.values().values().append_option(id(each));
                }
            }
            self.bytes.values().append(true);
            self.logprobs.values().append(true);
            if known {
                self.ids.values().append(true);
            }
        }
        self.bytes.append(true);
        self.logprobs.append(true);
        self.ids.append(known);
    }
}

/// A token's alternatives.
fn shown(token: &Token) -> &[Token] {
    token.top_logprobs.as_deref().unwrap_or(&[])
}

/// Hand on a token's bytes: those that it says, else its text's.
fn with_bytes(token: &Token, take: impl FnOnce(&[u8])) {
    match (&token.bytes, &token.token.0) {
        (Some(bytes), _) => take(bytes),
        (None, Some(text)) => take(text.as_bytes()),
        (None, None) => take(&[]),
    }
}

/// A token's number, where the endpoint gives it.
fn id(token: &Token) -> Option<i32> {
    let number = token.id.0.or(token.token_id.0).or_else(|| {
        token
            .token
            .0
            .as_deref()
            .and_then(|text| text.strip_prefix(TOKEN_ID))
            .and_then(|text| text.parse().ok())
    });
    number.and_then(|number| i32::try_from(number).ok())
}
