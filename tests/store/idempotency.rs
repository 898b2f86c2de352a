//! First answers, kept in the transaction of their change.

use lostcard::crypto::random;
use lostcard::store::idempotency::{IdempotentRequest, Remembered, StoredAnswer};

use crate::backend::Database;
use crate::records::{NOW_MS, write};

fn request() -> IdempotentRequest {
    IdempotentRequest { key: random::bytes(), request: random::bytes() }
}

fn answer(text: &str) -> StoredAnswer {
    StoredAnswer { status: 201, location: "/v1/loss-reports/x".to_owned(), body: text.to_owned() }
}

pub(crate) async fn a_key_is_remembered_with_its_change_or_not_at_all(database: &Database) {
    let store = database.open().await;
    let request = request();
    let mut given_up = store.begin().await.unwrap();
    given_up.remember(&request, &answer("lost"), NOW_MS).await.unwrap();
    drop(given_up);
    assert_eq!(write(&store, async |tx| tx.recall(&request).await.unwrap()).await, Remembered::Nothing);
    write(&store, async |tx| tx.remember(&request, &answer("kept"), NOW_MS).await.unwrap()).await;
    store.close().await;
    let store = database.open().await;
    let recalled = write(&store, async |tx| tx.recall(&request).await.unwrap()).await;
    assert_eq!(recalled, Remembered::Answer(answer("kept")));
}

pub(crate) async fn a_key_of_another_request_is_told_apart(database: &Database) {
    let store = database.open().await;
    let first = request();
    write(&store, async |tx| tx.remember(&first, &answer("one"), NOW_MS).await.unwrap()).await;
    let other_body = IdempotentRequest { request: random::bytes(), ..first };
    let other_key = IdempotentRequest { key: random::bytes(), ..first };
    write(&store, async |tx| {
        assert_eq!(tx.recall(&other_body).await.unwrap(), Remembered::OtherRequest);
        assert_eq!(tx.recall(&other_key).await.unwrap(), Remembered::Nothing);
    })
    .await;
    let mut tx = store.begin().await.unwrap();
    assert!(tx.remember(&other_body, &answer("two"), NOW_MS).await.is_err(), "the first answer stays");
}

pub(crate) async fn of_two_concurrent_requests_the_second_sees_the_first(database: &Database) {
    let stores = [database.open().await, database.open().await];
    let request = request();
    let attempts = (0..8).map(|n| {
        let store = stores[n % 2].clone();
        tokio::spawn(async move {
            let mut tx = store.begin().await.unwrap();
            match tx.recall(&request).await.unwrap() {
                Remembered::Nothing => {
                    let own = answer(&format!("attempt {n}"));
                    tx.remember(&request, &own, NOW_MS).await.unwrap();
                    tx.commit().await.unwrap();
                    own
                }
                Remembered::Answer(first) => first,
                Remembered::OtherRequest => panic!("it is the same request"),
            }
        })
    });
    let attempts: Vec<_> = attempts.collect();
    let mut answers = Vec::new();
    for attempt in attempts {
        answers.push(attempt.await.unwrap());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}
