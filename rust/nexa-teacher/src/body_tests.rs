//! Bodies of every kind: read, or refused with a reason that doesn't quote them.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use proptest::prelude::*;

use crate::{Answer, State, columns, summarize};

fn decoded(bodies: &[&str], logprobs: bool) -> RecordBatch {
    let read = |body: &&str| Answer {
        state: State::Answered,
        attempt: 1,
        latency_us: 1500,
        body: Some(Ok(body.as_bytes().to_vec())),
    };
    columns(bodies, logprobs, read).unwrap()
}

fn text<'a>(batch: &'a RecordBatch, name: &str, row: usize) -> Option<&'a str> {
    let column = batch.column_by_name(name).unwrap().as_string::<i32>();
    column.is_valid(row).then(|| column.value(row))
}

#[test]
fn a_completion_becomes_a_row_per_choice_in_the_order_of_their_numbers() {
    let body = r#"{"id":"c","model":"m","system_fingerprint":null,"choices":[
        {"index":1,"message":{"role":"assistant","content":"b","reasoning":"why"},"finish_reason":"length"},
        {"index":0,"message":{"content":[{"type":"text","text":"a"},{"type":"image"}],"tool_calls":[]},"finish_reason":"stop"}],
        "usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"details":{"x":1}}}"#;
    let batch = decoded(&[body, "<html>"], false);
    assert_eq!(batch.num_rows(), 3);
    assert_eq!((text(&batch, "text", 0), text(&batch, "text", 1)), (Some("a"), Some("b")));
    assert_eq!((text(&batch, "reasoning", 1), text(&batch, "tool_calls", 0)), (Some("why"), None));
    assert_eq!((text(&batch, "model_id", 1), text(&batch, "system_fingerprint", 1)), (Some("m"), None));
    assert_eq!(batch.column_by_name("total_tokens").unwrap().as_primitive::<Int64Type>().value(1), 5);
    assert!(text(&batch, "error", 2).unwrap().contains("isn't JSON"));
    let summary = summarize(body.as_bytes()).unwrap();
    assert_eq!((summary.choices, summary.prompt_tokens, summary.cut), (2, Some(3), true));
}

#[test]
fn choices_that_are_all_of_one_number_are_counted_as_they_come() {
    let body = r#"{"choices":[{"index":0,"message":{"content":"a"}},{"index":0,"message":{"content":"b"}}]}"#;
    let batch = decoded(&[body], false);
    let numbers = batch.column_by_name("choice").unwrap().as_primitive::<Int32Type>().values().to_vec();
    assert_eq!((numbers, text(&batch, "text", 1)), (vec![0, 1], Some("b")));
}

#[test]
fn tokens_have_bytes_numbers_and_log_probabilities() {
    let body = r#"{"choices":[{"message":{"content":"A"},"logprobs":{"content":[
        {"id":7,"token":"A","bytes":[65],"logprob":-0.5,"top_logprobs":[{"id":7,"token":"A","bytes":[65],"logprob":-0.5},{"token":"token_id:9","logprob":null}]},
        {"token":"é","logprob":-1,"top_logprobs":[]}]}}]}"#;
    let batch = decoded(&[body, r#"{"choices":[{"message":{"content":"B"},"logprobs":null}]}"#], true);
    let bytes = batch.column_by_name("token_bytes").unwrap().as_list::<i32>();
    assert_eq!(bytes.value(0).as_binary::<i32>().value(1), "é".as_bytes());
    assert!(bytes.is_null(1));
    let ids = batch.column_by_name("token_ids").unwrap().as_list::<i32>().value(0);
    assert_eq!((ids.as_primitive::<Int32Type>().value(0), ids.is_null(1)), (7, true));
    let top = batch.column_by_name("top_ids").unwrap().as_list::<i32>().value(0);
    assert_eq!(top.as_list::<i32>().value(0).as_primitive::<Int32Type>().value(1), 9);
    let logprobs = batch.column_by_name("top_logprobs").unwrap().as_list::<i32>().value(0);
    let first = logprobs.as_list::<i32>().value(0);
    assert_eq!(first.as_primitive::<Float32Type>().values(), &[-0.5, f32::NEG_INFINITY]);
    assert_eq!(logprobs.as_list::<i32>().value(1).len(), 0);
}

#[test]
fn what_is_no_answer_has_a_reason_that_does_not_quote_it() {
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    for body in [
        "",
        "null",
        "secret",
        r#"{"error":{"message":"secret"}}"#,
        r#"{"choices":[]}"#,
        r#"{"choices":"secret"}"#,
        r#"{"choices":[{"message":"secret"}]}"#,
        r#"{"choices":[{"message":{"content":{"secret":1}}}]}"#,
        r#"{"choices":[{"message":{"content":"secret"}}]} secret"#,
        r#"{"choices":[{"message":{"content":"cut"#,
        &deep,
    ] {
        let reason = summarize(body.as_bytes()).unwrap_err();
        assert!(!reason.contains("secret") && reason.len() < 200, "{reason}");
        assert_eq!(decoded(&[body], true).num_rows(), 1);
    }
}

#[test]
fn a_paid_answer_is_not_lost_over_a_detail() {
    for (detail, expected) in [
        (r#"{"choices":[{"message":{"content":"a"}}],"choices":[{"message":{"content":"b"}}]}"#, "b"),
        (r#"{"choices":[{"message":{"content":"a","content":"b"}}]}"#, "b"),
        (r#"{"choices":[{"message":{"content":"a"}}],"usage":"n/a"}"#, "a"),
        (r#"{"choices":[{"message":{"content":"a"}}],"usage":[1]}"#, "a"),
        (r#"{"choices":[{"message":{"content":"\ud800x \ud83d\ude00"}}]}"#, "\u{fffd}x \u{1f600}"),
        (r#"{"score":NaN,"choices":[{"message":{"content":"NaN \" -Infinity"}}]}"#, "NaN \" -Infinity"),
        (r#"{"choices":[{"message":{"content":"a"},"logprobs":"no"}]}"#, "a"),
        (r#"{"choices":[{"message":{"content":"a"},"logprobs":{"content":[{"token":"a"}]}}]}"#, "a"),
        (r#"{"choices":[{"message":{"content":"a"},"logprobs":{"content":[{"logprob":"-1"}]}}]}"#, "a"),
    ] {
        assert!(summarize(detail.as_bytes()).is_ok(), "{detail}");
        for logprobs in [false, true] {
            assert_eq!(text(&decoded(&[detail], logprobs), "text", 0), Some(expected), "{detail}");
        }
        crate::replay::check_body(detail.as_bytes());
    }
}

#[test]
fn log_probabilities_that_json_has_no_word_for_are_those_of_impossible_tokens() {
    let body = r#"{"choices":[{"message":{"content":"a"},"logprobs":{"content":[
        {"token":"\udc00","bytes":[97],"logprob":-Infinity,"top_logprobs":[{"token":"b","logprob":NaN}]}]}}]}"#;
    let batch = decoded(&[body], true);
    let own = batch.column_by_name("token_logprobs").unwrap().as_list::<i32>().value(0);
    assert_eq!(own.as_primitive::<Float32Type>().values(), &[f32::NEG_INFINITY]);
    let bytes = batch.column_by_name("token_bytes").unwrap().as_list::<i32>().value(0);
    assert_eq!(bytes.as_binary::<i32>().value(0), b"a");
}

#[test]
fn tool_calls_keep_their_members_order_and_say_nothing_where_there_are_none() {
    let with = |calls: &str| format!(r#"{{"choices":[{{"message":{{"tool_calls":{calls}}}}}]}}"#);
    let calls = r#"[{"type":"function","function":{"name":"f","arguments":"{\"b\": 1}"},"b":[1.5,-2,true,null],"a":{}}]"#;
    assert_eq!(text(&decoded(&[&with(calls)], false), "tool_calls", 0), Some(calls));
    for nothing in ["null", "[]", " [ ] "] {
        assert_eq!(text(&decoded(&[&with(nothing)], false), "tool_calls", 0), None);
    }
}

#[test]
fn many_answers_are_decoded_as_one_is() {
    let bodies: Vec<String> =
        (0..1000).map(|n| format!(r#"{{"choices":[{{"message":{{"content":"{n}"}}}}]}}"#)).collect();
    let borrowed: Vec<&str> = bodies.iter().map(String::as_str).collect();
    let batch = decoded(&borrowed, true);
    assert!((0..1000).all(|n| text(&batch, "text", n) == Some(n.to_string().as_str())));
}

proptest! {
    #[test]
    fn any_bytes_are_a_body_or_a_reason(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        crate::replay::check_body(&bytes);
    }

    #[test]
    fn any_text_comes_back(content in any::<String>(), cut in any::<bool>()) {
        let reason = if cut { "length" } else { "stop" };
        let body = serde_json::json!({"choices": [{"message": {"content": content}, "finish_reason": reason}]});
        let body = body.to_string();
        let batch = decoded(&[&body], false);
        prop_assert_eq!(text(&batch, "text", 0), Some(content.as_str()));
        prop_assert_eq!(summarize(body.as_bytes()).unwrap().cut, cut);
        for end in 0..body.len() {
            crate::replay::check_body(&body.as_bytes()[..end]);
        }
    }
}
