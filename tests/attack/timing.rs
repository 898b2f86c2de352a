//! What the time of one answer tells somebody who sees packets: a short form of `lostcard-load timing`, which has the figures.
//! What it would not let pass is a hit that waits for a flush or asks the store: that is told from a miss with certainty.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bodies::random_number;
use crate::target::{Target, head};

/// Of each kind.
const OBSERVATIONS: usize = 1_000;
const LISTED: usize = 200;
/// The figures are 0.50 to 0.55; a debug build beside other tests blurs them, and a flush or a read of the store is above 0.95.
const AUC_MAX: f64 = 0.65;

/// The time from the request's last byte to the answer's.
async fn ask(connection: &mut TcpStream, token: &str, number: &str) -> (Duration, bool) {
    let body = format!(r#"{{"id_number":"{number}","purpose":"lodging","receipt":false}}"#);
    let request = head("/v1/checks", token, &format!("Content-Length: {}", body.len())) + &body;
    let (begun, mut answer, mut part) = (Instant::now(), Vec::new(), [0; 4096]);
    connection.write_all(request.as_bytes()).await.unwrap();
    loop {
        let read = connection.read(&mut part).await.unwrap();
        assert!(read > 0, "the node closed the connection");
        answer.extend_from_slice(&part[..read]);
        if is_whole(&answer) {
            break;
        }
    }
    let took = begun.elapsed();
    let text = String::from_utf8(answer).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    (took, !text.contains("\"not_listed\""))
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    body.len() >= length.trim().parse::<usize>().unwrap()
}

/// How often an observation of one kind is the longer one.
fn auc(one: &[Duration], other: &[Duration]) -> f64 {
    let longer = |left: &Duration| other.iter().filter(|right| left > *right).count();
    let sum: usize = one.iter().map(longer).sum();
    let area = f64::from(u32::try_from(sum).unwrap()) / f64::from(u32::try_from(one.len() * other.len()).unwrap());
    area.max(1.0 - area)
}

#[tokio::test]
async fn the_time_of_an_answer_does_not_tell_hits_from_misses() {
    let target = Target::new(&[]).await;
    let listed: Vec<_> = (0..LISTED).map(|_| random_number()).collect();
    for number in &listed {
        let answer = target.service.report(&target.node, number).await;
        assert_eq!(answer.status, 201);
    }
    let token = &target.honest;
    let mut connection = target.connect().await;
    connection.set_nodelay(true).unwrap();
    for _ in 0..OBSERVATIONS / 10 {
        ask(&mut connection, token, &random_number()).await;
    }
    let misses: Vec<_> = (0..LISTED).map(|_| random_number()).collect();
    // The first of each number, then repeats; hits and misses in turn, so that what else the machine does falls on both.
    let (mut times, mut first) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for nth in 0..OBSERVATIONS {
        for (kind, numbers) in [&misses, &listed].into_iter().enumerate() {
            let (took, is_hit) = ask(&mut connection, token, &numbers[nth % LISTED]).await;
            assert_eq!(is_hit, kind == 1);
            let of = if nth < LISTED { &mut first } else { &mut times };
            of[kind].push(took);
        }
    }
    let (first, repeated) = (auc(&first[0], &first[1]), auc(&times[0], &times[1]));
    println!("time of an answer: AUC of the first {first:.3}, of a repeated one {repeated:.3}");
    assert!(first <= AUC_MAX && repeated <= AUC_MAX, "{first} {repeated}");
}
