//! tests/bad-inputs.json, target `raw_http`: bytes that are no request, that could be two, or that never end. Each has at most one
//! answer. What no request can be made of is refused below the service: an empty 400, and the connection ends.

use crate::bad_inputs::{Row, Suite};
use crate::helpers::Answer;
use crate::raw;
use crate::recipes::expand;

/// Rows whose connection ends without an answer, and why.
const CUT: &[(&str, &str)] = &[
    (
        "RAW-013",
        "the framing of the body breaks while the service reads it: where the next request begins is not known",
    ),
    (
        "RAW-016",
        "the framing of the body breaks while the service reads it: where the next request begins is not known",
    ),
];

/// A row's bytes and its drip, addressed to the node under test, with the token that its other checks have.
fn bytes_of(row: &Row, token: &str) -> (Vec<u8>, Option<Vec<u8>>) {
    let (input, drip) = match row.input.split_once("{{DRIP:1s:") {
        Some((input, drip)) => (input, Some(drip.strip_suffix("}}").unwrap().as_bytes().to_vec())),
        None => (row.input.as_str(), None),
    };
    let more = format!("\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n");
    let host = |name: &str| format!("Host: {name}\r\n");
    let input = input.replace(&host("x"), &format!("Host: 127.0.0.1{more}")).replace("Host: a", "Host: 127.0.0.1");
    (expand(&input), drip)
}

#[tokio::test]
async fn what_is_no_request_has_at_most_one_answer() {
    let mut suite = Suite::start().await;
    let rows = Row::of("raw_http");
    let inputs: Vec<_> = rows.iter().map(|row| bytes_of(row, &suite.one.token)).collect();
    let address = suite.server.address;
    // All at once: the slow ones take as long as the bounds on a request.
    let exchanges = inputs.iter().map(|(bytes, drip)| raw::exchange_all(address, bytes, drip.as_deref()));
    let answers = futures_util::future::join_all(exchanges).await;
    for (row, answer) in rows.iter().zip(answers) {
        match answer {
            Some(answer) if is_below_the_service(&answer) => assert!(row.expects(answer.status), "{}", row.id),
            Some(answer) => suite.judge(row, &[], &answer),
            None => assert!(CUT.iter().any(|(id, _)| *id == row.id), "{}: no answer", row.id),
        }
        suite.assert_serves(row).await;
    }
    suite.assert_log_is_clean(&[]);
}

/// Whether the HTTP layer has refused it by itself: without a body, and then it must end the connection.
fn is_below_the_service(answer: &Answer) -> bool {
    let is_below = answer.status >= 400 && answer.text.is_empty();
    assert!(!is_below || answer.header("connection") == "close", "{:?}", answer.headers);
    is_below
}
