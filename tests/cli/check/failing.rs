//! A service that answers, and has no verdict: what is awaited, what is given up, and what is told. It stands here as a node whose
//! store fails stands before a client: HTTP 200, and a problem in each item.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};

use super::guests;
use crate::import::number;
use crate::run::{Folder, stderr};

/// Answers every batch with what `item` makes of each check; its URL. It ends with the test.
fn answering(item: impl Fn(&Value) -> Value + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = answer(stream.unwrap(), &item);
        }
    });
    url
}

fn answer(stream: TcpStream, item: &impl Fn(&Value) -> Value) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let lower = line.to_ascii_lowercase();
        if let Some(told) = lower.strip_prefix("content-length:") {
            length = told.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
        head.push(line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let answer = if head[0].contains("/oauth2/token") {
        json!({"access_token": "t", "token_type": "Bearer", "expires_in": 600})
    } else {
        let asked: Value = serde_json::from_slice(&body).unwrap();
        let items = asked["checks"].as_array().unwrap().iter().enumerate();
        let result = |(index, check)| {
            let mut result = item(check);
            result["index"] = json!(index);
            result
        };
        json!({"results": items.map(result).collect::<Vec<_>>()})
    };
    let text = answer.to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
    reader.get_mut().write_all(format!("{head}content-length: {}\r\n\r\n{text}", text.len()).as_bytes())
}

fn problem(status: u16, code: &str) -> Value {
    json!({"problem": {"status": status, "code": code, "title": "Not now", "detail": "the registry cannot be asked"}})
}

fn verdict() -> Value {
    json!({"check": {"check_id": "01993c5e-0000-7000-8000-000000000000", "verdict": "not_listed", "advice": "proceed"}})
}

/// A folder with a list, and what a check of it at this service says.
fn check(url: &str, list: &str, code: i32) -> (Folder, String) {
    let folder = Folder::new();
    folder.write("guests.csv", list);
    folder.write("client.json", "{\"client_id\":\"01993c5e-0000-7000-8000-000000000000\",\"client_secret\":\"lcs_x\"}");
    let args = ["check", "--url", url, "--credentials", "client.json", "--purpose", "lodging", "--patience", "2"];
    let output = folder.run(&[&args[..], &["guests.csv"]].concat()).code(code);
    let said = stderr(&output);
    (folder, said)
}

#[test]
fn a_registry_that_cannot_be_asked_is_not_awaited_for_ever() {
    let url = answering(|_| problem(503, "registry_unavailable"));
    let (folder, said) = check(&url, &guests(5), 75);
    assert!(said.contains("the service answers 503 registry_unavailable"), "{said}");
    assert!(said.contains("the same command continues"), "{said}");
    // None of the rows is done.
    let out = std::fs::read_to_string(folder.path().join("guests.csv.checked.csv")).unwrap();
    assert_eq!(out.lines().count(), 1, "{out}");
}

#[test]
fn a_row_at_which_the_service_always_fails_is_told_and_the_others_are_checked() {
    let failing = number(1);
    let url = answering(
        move |check| {
            if check["id_number"] == failing.as_str() { problem(500, "internal") } else { verdict() }
        },
    );
    for count in [2, 5] {
        let (folder, _) = check(&url, &guests(count), 65);
        let out = std::fs::read_to_string(folder.path().join("guests.csv.checked.csv")).unwrap();
        assert_eq!(out.matches("not_listed").count() as u64, count - 1, "{out}");
        assert_eq!(out.matches("the service answers 500 internal").count(), 1, "{out}");
    }
}
