//! Bodies, heads and connections that are held open: what one attacker takes of memory, places and descriptors, and what an honest
//! caller beside gets meanwhile.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use crate::bodies::{check_of, random_number};
use crate::target::{Target, connect_many, connect_many_from, ends, head, send, status};

const SHORT: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_trickle_in_take_one_clients_share() {
    const MIB: u64 = 16;
    let target = Target::new(&[("OVERLOAD__MEMORY_MIB", "16")]).await;
    let before = target.resident_mib_in_use().await;
    let honest = target.honest_caller(false).quiet().await;
    let mut attackers = JoinSet::new();
    for _ in 0..400 {
        let (address, head) =
            (target.node.address, head("/v1/checks/batch", &target.service.hotel.token, "Content-Length: 1048576"));
        attackers.spawn(async move {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            send(&mut stream, head.as_bytes(), SHORT).await;
            send(&mut stream, &vec![b' '; 1_048_000], SHORT).await;
            let answer = status(&mut stream, SHORT).await;
            (answer, stream)
        });
    }
    let (mut answers, mut open, mut most, mut reserved) = (BTreeMap::new(), Vec::new(), 0, 0);
    while let Some(done) = attackers.join_next().await {
        let (answer, stream) = done.unwrap();
        *answers.entry(answer).or_insert(0) += 1;
        open.push(stream);
        most = most.max(target.resident_mib());
        reserved = reserved.max(target.metric("lostcard_reserved_bytes").await);
    }
    let got = honest.stop().await;
    println!("bodies: 400 of 1,048,000 bytes: {before} -> {most} MiB, reserved {reserved}, answers {answers:?}; {got}");
    got.assert_served();
    // Its share is two of sixteen MiB; what is over is the work of the others and the allocator's.
    assert!(reserved <= MIB << 20 && most < before + MIB + 48, "{before} -> {most} MiB, reserved {reserved}");
    assert!(answers.get(&Some(503)).is_some_and(|refused| *refused > 300), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_trickle_in_leave_places_for_others_and_end() {
    let target = Target::new(&[("OVERLOAD__REQUESTS_MAX", "16"), ("OVERLOAD__CHECKS_PERCENT", "100")]).await;
    let head = head("/v1/checks/batch", &target.service.hotel.token, "Transfer-Encoding: chunked");
    let mut streams = connect_many(target.node.address, 16).await;
    for stream in &mut streams {
        assert!(send(stream, format!("{head}1\r\n{{\r\n").as_bytes(), SHORT).await);
    }
    let (mut refused, mut waiting) = (0, Vec::new());
    for mut stream in streams {
        match status(&mut stream, Duration::from_millis(500)).await {
            Some(503) => refused += 1,
            None => waiting.push(stream),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((refused, waiting.len()), (14, 2), "an eighth of the places");
    let batch = json!({ "checks": [check_of(&random_number(), None)] }).to_string();
    let mut other = target.connect().await;
    let head = crate::target::head("/v1/checks/batch", &target.honest, &format!("Content-Length: {}", batch.len()));
    send(&mut other, format!("{head}{batch}").as_bytes(), SHORT).await;
    assert_eq!(status(&mut other, SHORT).await, Some(200));
    // A byte a second keeps no socket.
    let (began, mut stream) = (Instant::now(), waiting.pop().unwrap());
    let (mut reader, mut writer) = stream.split();
    let drip = async {
        while tokio::io::AsyncWriteExt::write_all(&mut writer, b"1\r\n \r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let mut answer = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut answer);
    tokio::select! { () = drip => {}, _ = tokio::time::timeout(Duration::from_secs(20), read) => {} }
    let took = began.elapsed();
    println!(
        "bodies: a byte a second held a socket for {took:?}; 14 of 16 trickled batches were refused; another client's was answered"
    );
    assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 408") && took < Duration::from_secs(14), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_heads_hold_little_and_not_long() {
    let target = Target::new(&[("OVERLOAD__MEMORY_MIB", "16")]).await;
    let before = target.resident_mib_in_use().await;
    let honest = target.honest_caller(true).quiet().await;
    let mut streams = connect_many_from([127, 0, 0, 2], target.node.address, 300).await;
    let partial = format!("GET / HTTP/1.1\r\nHost: lostcard.test\r\nX: {}", "a".repeat(30_000));
    let mut attackers = JoinSet::new();
    for (at, mut stream) in streams.drain(..).enumerate() {
        // Some stay below the bound of a head, some continue to the 120 kB of the report.
        let bytes = if at % 2 == 0 { partial.clone() } else { partial.clone() + &"a".repeat(90_000) };
        attackers.spawn(async move {
            send(&mut stream, bytes.as_bytes(), SHORT).await;
            (status(&mut stream, Duration::from_secs(7)).await, ends(&mut stream, SHORT).await)
        });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (most, reserved) = (target.resident_mib(), target.metric("lostcard_reserved_bytes").await);
    let (mut answers, mut open) = (BTreeMap::new(), 0);
    while let Some(done) = attackers.join_next().await {
        let (answer, has_ended) = done.unwrap();
        *answers.entry(answer).or_insert(0) += 1;
        open += usize::from(!has_ended);
    }
    let got = honest.stop().await;
    println!(
        "heads: 300 partial ones: {before} -> {most} MiB, reserved {reserved}, answers {answers:?}, {open} open after 9 s; {got}"
    );
    got.assert_served();
    assert!(reserved <= 2 << 20, "an eighth: {reserved}");
    assert!(open == 0 && most < before + 32, "{before} -> {most} MiB, {open} open");
    assert!(answers.contains_key(&Some(408)) && answers.contains_key(&Some(429)), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_give_way_near_the_limit_of_descriptors() {
    let target = Target::under(&["prlimit", "--nofile=256:256"], &[]).await;
    let allowed = target.metric("lostcard_connections_allowed").await;
    let honest = target.honest_caller(true);
    let mut idle = Vec::new();
    for _ in 0..10 {
        // Of its own address: half of the connections are the most that one has.
        idle.extend(connect_many_from([127, 0, 0, 2], target.node.address, 20).await);
        idle.extend(connect_many_from([127, 0, 0, 3], target.node.address, 20).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (open, descriptors) =
        (target.metric("lostcard_connections").await, target.metric("lostcard_open_descriptors").await);
    let got = honest.stop().await;
    println!(
        "connections: 400 idle ones of two addresses, of 256 descriptors: {open} open, {allowed} allowed, {descriptors} descriptors in use; {got}"
    );
    got.assert_served();
    assert!(open <= allowed && descriptors < 250, "{open} of {allowed}, {descriptors} descriptors");
    let mut ended = 0;
    for stream in &mut idle {
        ended += u32::from(ends(stream, Duration::from_millis(20)).await);
    }
    assert!(ended > 0, "the longest idle gave way");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_so_many_connections_and_no_more() {
    let target = Target::new(&[("OVERLOAD__CONNECTIONS_PER_ADDRESS", "30"), ("OVERLOAD__IDLE_SECONDS", "1")]).await;
    let mut streams = connect_many(target.node.address, 100).await;
    let (mut answered, mut refused) = (0, 0);
    for stream in &mut streams {
        send(stream, b"GET /health/live HTTP/1.1\r\nHost: lostcard.test\r\n\r\n", SHORT).await;
        match status(stream, SHORT).await {
            Some(200) => answered += 1,
            _ => refused += 1,
        }
    }
    let mut open = 0;
    for stream in &mut streams {
        open += u32::from(!ends(stream, SHORT).await);
    }
    println!(
        "connections: 100 of one address, 30 allowed: {answered} answered, {refused} refused, {open} open after a second of rest"
    );
    assert!(answered <= 30 && answered + 5 >= 30 && open == 0, "{answered} {refused} {open}");
    let mut later = target.connect().await;
    send(&mut later, b"GET /health/live HTTP/1.1\r\nHost: lostcard.test\r\n\r\n", SHORT).await;
    assert_eq!(status(&mut later, SHORT).await, Some(200), "what has ended is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_hold_no_connection() {
    // The answer of a large batch goes out in pieces, that of a small one at once: the server buffers the rest of both.
    for (items, batches) in [(1000, 12), (20, 600)] {
        // Where one has its share of answers its next ones are refused: who takes these is idle, and ends as such.
        let target = Target::new(&[("OVERLOAD__ANSWER_MS", "1500"), ("OVERLOAD__IDLE_SECONDS", "5")]).await;
        let honest = target.honest_caller(false);
        let checks: Vec<_> = (0..items).map(|_| check_of(&random_number(), None)).collect();
        let body = json!({ "checks": checks }).to_string();
        let head = head("/v1/checks/batch", &target.service.hotel.token, &format!("Content-Length: {}", body.len()));
        let request = (head + &body).into_bytes();
        let mut attackers = JoinSet::new();
        for _ in 0..20 {
            let (address, request) = (target.node.address, request.clone());
            attackers.spawn(async move {
                let socket = tokio::net::TcpSocket::new_v4().unwrap();
                socket.set_recv_buffer_size(4096).unwrap();
                let mut stream = socket.connect(address).await.unwrap();
                let mut sent = 0;
                while sent < batches && send(&mut stream, &request, SHORT).await {
                    sent += 1;
                }
                // What the system has taken for the node is not with it yet.
                stream.readable().await.unwrap();
                (stream, sent)
            });
        }
        let (mut open, mut sent) = (Vec::new(), 0);
        while let Some(done) = attackers.join_next().await {
            let (stream, batches) = done.unwrap();
            open.push(stream);
            sent += batches;
        }
        let began = Instant::now();
        while target.metric("lostcard_connections").await > 3 && began.elapsed() < Duration::from_secs(40) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (connections, took) = (target.metric("lostcard_connections").await, began.elapsed());
        let got = honest.stop().await;
        println!(
            "answers: 20 connections sent {sent} batches of {items} and read nothing: {connections} open after {took:?}; {got}"
        );
        got.assert_served();
        assert!(connections <= 3, "{connections} open");
        drop(open);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_floods_takes_no_connection_from_another() {
    let target = Target::under(&["prlimit", "--nofile=256:256"], &[]).await;
    let allowed = usize::try_from(target.metric("lostcard_connections_allowed").await).unwrap();
    let live = b"GET /health/live HTTP/1.1\r\nHost: lostcard.test\r\n\r\n";
    let mut honest = connect_many_from([127, 0, 0, 7], target.node.address, 1).await.remove(0);
    send(&mut honest, live, SHORT).await;
    assert_eq!(status(&mut honest, SHORT).await, Some(200));
    let mut flood = Vec::new();
    for from in [[127, 0, 0, 2], [127, 0, 0, 3], [127, 0, 0, 4]] {
        for mut stream in connect_many_from(from, target.node.address, 200).await {
            // Half of a body: it works on a request.
            send(&mut stream, head("/v1/checks", &target.honest, "Content-Length: 100").as_bytes(), SHORT).await;
            flood.push(stream);
        }
    }
    let open = target.metric("lostcard_connections").await;
    println!(
        "connections: 600 of three addresses that flood, {open} open of {allowed} allowed; another one kept its own"
    );
    assert!(usize::try_from(open).unwrap() <= allowed);
    // It has been idle for longest of all.
    let mut rest = [0; 4096];
    while tokio::time::timeout(Duration::from_millis(200), tokio::io::AsyncReadExt::read(&mut honest, &mut rest))
        .await
        .is_ok_and(|read| read.is_ok_and(|length| length > 0))
    {}
    send(&mut honest, live, SHORT).await;
    assert_eq!(status(&mut honest, SHORT).await, Some(200), "its connection is still there");
    let mut newcomer = connect_many_from([127, 0, 0, 8], target.node.address, 1).await.remove(0);
    send(&mut newcomer, live, SHORT).await;
    assert_eq!(status(&mut newcomer, SHORT).await, Some(200), "and one more finds room");
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_that_trickle_in_take_no_places() {
    let target = Target::new(&[("LIMITS__ADDRESS", "1000000/60s")]).await;
    let honest = target.honest_caller(false).quiet().await;
    let form = "POST /oauth2/token HTTP/1.1\r\nHost: lostcard.test\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\ng";
    let mut attackers = JoinSet::new();
    for mut stream in connect_many_from([127, 0, 0, 2], target.node.address, 512).await {
        attackers.spawn(async move {
            send(&mut stream, form.as_bytes(), SHORT).await;
            (status(&mut stream, SHORT).await, stream)
        });
    }
    let (mut answers, mut held) = (BTreeMap::new(), Vec::new());
    let mut reports = 0;
    while let Some(done) = attackers.join_next().await {
        let (answer, stream) = done.unwrap();
        *answers.entry(answer).or_insert(0) += 1;
        held.push(stream);
        if held.len().is_multiple_of(64) {
            reports += u32::from(target.service.report(&target.node, &random_number()).await.status == 201);
        }
    }
    let got = honest.stop().await;
    println!("forms: 512 that trickle in: {answers:?}; {reports} of 8 reports; {got}");
    got.assert_served();
    assert_eq!(reports, 8);
    assert_eq!(answers.get(&None), Some(&64), "an eighth of the places is waited for: {answers:?}");
}
