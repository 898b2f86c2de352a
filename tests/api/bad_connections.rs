//! tests/bad-inputs.json, target `raw_http`: bytes that are no request, that could be two, or that never end. Each has one answer:
//! what no request can be made of is refused with a problem as well, and the connection ends.

use crate::bad_inputs::{Row, Suite};
use crate::raw;
use crate::recipes::expand;

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
async fn what_is_no_request_has_one_answer() {
    let mut suite = Suite::start().await;
    let rows = Row::of("raw_http");
    let inputs: Vec<_> = rows.iter().map(|row| bytes_of(row, &suite.one.token)).collect();
    let address = suite.server.address;
    // All at once: the slow ones take as long as the bounds on a request.
    let exchanges = inputs.iter().map(|(bytes, drip)| raw::exchange_all(address, bytes, drip.as_deref()));
    let answers = futures_util::future::join_all(exchanges).await;
    for (row, answer) in rows.iter().zip(answers) {
        match answer {
            Some(answer) => suite.judge(row, &[], &answer),
            None => panic!("{}: no answer", row.id),
        }
        suite.assert_serves(row).await;
    }
    suite.assert_log_is_clean(&[]);
}
